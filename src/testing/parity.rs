//! An operation on a device against the same on the CPU: its output, and the gradients of all its inputs.

use super::cases::Case;
use super::closeness::{norm, relative_error};
use crate::Result;
use crate::autograd::{Graph, Var, grad};
use crate::tensor::{self, DType, Device, Key, Tensor};

/// Kernels have at most so many versions: see [`Device::cuda_with_versions`].
pub const VERSIONS: usize = 4;

/// The largest relative 2-norm error that passes.
pub fn tolerance(dtype: DType) -> f64 {
    match dtype {
        // The order of sums, and last bits of elementary functions.
        DType::F32 | DType::F64 => 1e-5,
        // Rounds at 4e-3, each operand and each result.
        DType::BF16 => 1e-2,
    }
}

/// Computes a case on a device and on the CPU from the same numbers. Errors tell the case and the result that is off, or
/// what the device said.
pub fn check(case: &Case, dtype: DType, device: &Device) -> std::result::Result<(), String> {
    let got = evaluate(case, dtype, device).map_err(|error| format!("{case}: {error}"))?;
    let want = evaluate(case, dtype, &Device::Cpu).map_err(|error| format!("{case} on the CPU: {error}"))?;
    assert_eq!(got.len(), want.len());
    // A gradient that nearly cancels is as exact as the terms that cancel, which are of the size of the output's.
    let of_output = (want[0].len() as f64).sqrt().max(norm(want[0].to_f64()));
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        assert_eq!(got.shape(), want.shape(), "{case}: result {i}");
        let floor = if i == 0 { 1e-3 } else { of_output };
        let error = relative_error(&got.to_f64(), &want.to_f64(), floor);
        // What is not a number does not pass either.
        if error.is_nan() || error > tolerance(dtype) {
            return Err(format!("{case}: result {i} in {dtype} differs by {error:e}"));
        }
    }
    Ok(())
}

/// The output, then the gradients of those inputs that have one.
fn evaluate(case: &Case, dtype: DType, device: &Device) -> Result<Vec<Tensor>> {
    // The CPU computes in f32, from the numbers that the device sees.
    let on_cpu = *device == Device::Cpu;
    let place = |t: &Tensor| match dtype {
        DType::BF16 if on_cpu => Ok(round_to_bf16(t)),
        _ => t.to(dtype, device),
    };
    let inputs = case.inputs(DType::F32);
    let inputs: Vec<Var> = inputs.iter().map(|t| Ok(Var::leaf(place(t)?))).collect::<Result<_>>()?;
    let y = case.run(&inputs)?;
    let dy = place(&tensor::normal(y.shape(), Key { seed: 1, stream: 1 }, DType::F32, &Device::Cpu)?)?;
    let gradients = grad(&y, Some(&Var::constant(dy)), &inputs.iter().collect::<Vec<_>>(), Graph::Free)?;
    Ok([y].into_iter().chain(gradients.into_iter().flatten()).map(Var::into_value).collect())
}

/// The nearest numbers of bf16, as f32.
pub fn round_to_bf16(t: &Tensor) -> Tensor {
    let round = |x: f32| {
        let bits = x.to_bits();
        f32::from_bits((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000)
    };
    Tensor::from_f32(&t.to_f32().into_iter().map(round).collect::<Vec<_>>(), t.shape())
}
