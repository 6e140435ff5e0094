//! Every operation on a GPU against the CPU, on the case list. Without a GPU, `--features emulator` runs the same
//! kernels and launches under the stand-in driver.

use ddgan::Result;
use ddgan::autograd::{Graph, Var, grad};
use ddgan::tensor::{self, DType, Device, Key, Tensor};
use ddgan::testing::cases::{self, Case};
use ddgan::testing::closeness::relative_error;

/// A GPU with a stream of its own, or none: then says why, and with DDGAN_REQUIRE_CUDA=1 fails.
pub fn gpu() -> Option<Device> {
    match Device::cuda(0) {
        Ok(device) => Some(device),
        Err(error) => {
            let required = cfg!(feature = "emulator") || std::env::var("DDGAN_REQUIRE_CUDA").as_deref() == Ok("1");
            assert!(!required, "{error}");
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// Output and gradients of all inputs, from the same numbers for any type and device.
fn evaluate(case: &Case, dtype: DType, device: &Device) -> Result<Vec<Tensor>> {
    // Through the type and back, so that the CPU sees what the GPU sees.
    let round = |t: &Tensor| if dtype == DType::BF16 { round_to_bf16(t) } else { t.clone() };
    let place = |t: &Tensor| if *device == Device::Cpu { Ok(round(t)) } else { t.to(dtype, device) };
    let inputs = case.inputs(DType::F32);
    let inputs: Vec<Var> = inputs.iter().map(|t| Ok(Var::leaf(place(t)?))).collect::<Result<_>>()?;
    let y = case.run(&inputs)?;
    let dy = place(&tensor::normal(y.shape(), Key { seed: 1, stream: 1 }, DType::F32, &Device::Cpu)?)?;
    let gradients = grad(&y, Some(&Var::constant(dy)), &inputs.iter().collect::<Vec<_>>(), Graph::Free)?;
    Ok([y].into_iter().chain(gradients.into_iter().flatten()).map(Var::into_value).collect())
}

fn round_to_bf16(t: &Tensor) -> Tensor {
    let round = |x: f32| {
        let bits = x.to_bits();
        f32::from_bits((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000)
    };
    Tensor::from_f32(&t.to_f32().into_iter().map(round).collect::<Vec<_>>(), t.shape())
}

/// Runs the cases of one operation in one number type on both devices.
fn compare(op: &str, dtype: DType, tolerance: f64) {
    let Some(device) = gpu() else { return };
    let emulated = cfg!(feature = "emulator");
    let cases: Vec<Case> = cases::all().into_iter().filter(|c| c.op == op).collect();
    assert!(!cases.is_empty(), "no case of {op}");
    let mut failures = Vec::new();
    for case in cases {
        if case.real && emulated {
            continue; // minutes each on a processor
        }
        let (got, want) = match (evaluate(&case, dtype, &device), evaluate(&case, dtype, &Device::Cpu)) {
            (Ok(got), Ok(want)) => (got, want),
            (Err(error), _) => {
                failures.push(format!("{case}: {error}"));
                continue;
            }
            (_, Err(error)) => panic!("{case} on the CPU: {error}"),
        };
        assert_eq!(got.len(), want.len());
        let size = |t: &Tensor| t.to_f64().iter().map(|x| x * x).sum::<f64>().sqrt();
        // A gradient that nearly cancels is as exact as the terms that cancel: of the size of the output's.
        let floor = (want[0].len() as f64).sqrt().max(size(&want[0])) * if want.len() > 1 { 1.0 } else { 0.0 };
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            assert_eq!(got.shape(), want.shape(), "{case}: result {i}");
            let error = relative_error(&got.to_f64(), &want.to_f64(), if i == 0 { 1e-3 } else { floor });
            if error > tolerance || error.is_nan() {
                failures.push(format!("{case}: result {i} differs by {error:e}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// f32 on both devices differs by the order of sums and by last bits of elementary functions.
const F32: f64 = 1e-5;
/// bf16 rounds at 4e-3, each operand and each result.
const BF16: f64 = 1e-2;

/// A test of each operation in each number type.
macro_rules! parity {
    ($($op:ident)*) => {
        $(mod $op {
            #[test]
            fn f32() {
                super::compare(stringify!($op), super::DType::F32, super::F32);
            }

            #[test]
            fn bf16() {
                super::compare(stringify!($op), super::DType::BF16, super::BF16);
            }
        })*
    };
}

parity! { silu }
