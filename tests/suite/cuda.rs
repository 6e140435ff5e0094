//! Every operation on a GPU against the CPU, on the case list. Without a GPU, `--features emulator` runs the same
//! kernels and launches under the stand-in driver.

use ddgan::autograd::Var;
use ddgan::tensor::{self, DType, Device, Key, Tensor};
use ddgan::testing::cases::{self, Case};
use ddgan::testing::closeness::{Tolerance, check_close};
use ddgan::testing::parity::{self, VERSIONS, round_to_bf16};
use ddgan::{Error, ops};

use crate::program::{ddgan, fail, stderr};

/// A GPU with a stream of its own, or none: then says why, and with DDGAN_REQUIRE_CUDA=1 fails.
pub fn gpu(newest_version: usize) -> Option<Device> {
    match Device::cuda_with_versions(0, newest_version) {
        Ok(device) => Some(device),
        Err(error) => {
            let required = cfg!(feature = "emulator") || std::env::var("DDGAN_REQUIRE_CUDA").as_deref() == Ok("1");
            assert!(!required, "{error}");
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// Runs the cases of one operation in one number type, with every version of its kernels.
fn compare(op: &str, dtype: DType) {
    let cases: Vec<Case> = cases::all().into_iter().filter(|c| c.op == op).collect();
    assert!(!cases.is_empty(), "no case of {op}");
    // On a processor the networks' own shapes take minutes each.
    let cases = cases.iter().filter(|c| !c.real || !cfg!(feature = "emulator")).collect::<Vec<_>>();
    let mut failures = Vec::new();
    for newest in 1..=VERSIONS {
        let Some(device) = gpu(newest) else { return };
        let failed = cases.iter().filter_map(|case| parity::check(case, dtype, &device).err());
        failures.extend(failed.map(|failure| format!("versions up to {newest}: {failure}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A test of each operation in each number type.
macro_rules! parity {
    ($($op:ident)*) => {
        $(mod $op {
            #[test]
            fn f32() {
                super::compare(stringify!($op), super::DType::F32);
            }

            #[test]
            fn bf16() {
                super::compare(stringify!($op), super::DType::BF16);
            }
        })*
    };
}

parity! { add affine expand leaky_relu linear matmul mean_all mul power scale_add sigmoid silu softplus sum tanh }

/// Sizes around a Philox block, a pack of 16 bytes and a block of threads.
const LENGTHS: [usize; 8] = [0, 1, 3, 4, 9, 255, 1024, 2051];

#[test]
fn random_numbers_are_those_of_the_cpu() {
    let Some(device) = gpu(VERSIONS) else { return };
    let key = Key { seed: 0x0123_4567_89AB_CDEF, stream: 0xFEDC_BA98_7654_3210 };
    for n in LENGTHS {
        let draw = |device| tensor::uniform([n], key, DType::F32, device).unwrap().to_f32();
        assert_eq!(draw(&device), draw(&Device::Cpu), "{n} uniform numbers");
        let draw = |device| tensor::normal([n], key, DType::F32, device).unwrap().to_f64();
        // The last bits of sine, cosine and logarithm are the device's own.
        let close = Tolerance { atol: 1e-6, rtol: 1e-6 };
        check_close(&format!("{n} normal numbers"), &draw(&device), &draw(&Device::Cpu), close).unwrap();
    }
}

#[test]
fn numbers_go_there_and_back() {
    let Some(device) = gpu(VERSIONS) else { return };
    for n in LENGTHS {
        let values: Vec<f32> = (0..n).map(|i| i as f32 - 7.5).collect();
        let there = Tensor::from_f32(&values, [n]).to_device(&device).unwrap();
        assert_eq!((there.device(), there.to_f32()), (device.clone(), values.clone()));
        assert_eq!(there.deep_clone().unwrap().to_device(&Device::Cpu).unwrap().to_f32(), values);
        assert_eq!(Tensor::full(2.5, [n], DType::BF16, &device).unwrap().to_f32(), vec![2.5; n]);
    }
    // 1 + 2^-8 lies half way between two numbers of bf16, and goes to the even one.
    let exact = Tensor::from_f32(&[1.0 + 1.0 / 256.0, -1.0e30, 1.0e-30], [3]);
    let rounded = exact.to(DType::BF16, &device).unwrap().to_f32();
    assert_eq!(rounded, round_to_bf16(&exact).to_f32());
    assert_eq!(rounded[0], 1.0);
}

#[test]
fn adam_and_its_average() {
    let Some(device) = gpu(VERSIONS) else { return };
    let draw = |n: usize, stream| tensor::normal([n], Key { seed: 3, stream }, DType::F32, &Device::Cpu).unwrap();
    let run = |n: usize, device: &Device, with_ema: bool| {
        let [mut w, m, v, mut ema] = [0, 1, 2, 3].map(|i| draw(n, i).to_device(device).unwrap());
        let v = ops::power(&Var::constant(v), 2.0).unwrap().into_value();
        let mut state = ops::AdamState { m, v };
        for step in 1..4 {
            let g = draw(n, 10 + step).to_device(device).unwrap();
            let p = ops::Adam { lr: 0.1, beta1: 0.5, beta2: 0.9, eps: 1e-8, step, ema_decay: 0.75 };
            ops::adam_ema(&mut w, &mut state, with_ema.then_some(&mut ema), &g, &p).unwrap();
        }
        [w, state.m, state.v, ema].map(|t| t.to_f64())
    };
    for n in LENGTHS {
        for with_ema in [false, true] {
            let (got, want) = (run(n, &device, with_ema), run(n, &Device::Cpu, with_ema));
            for (i, name) in ["w", "m", "v", "ema"].into_iter().enumerate() {
                check_close(name, &got[i], &want[i], Tolerance { atol: 1e-6, rtol: 1e-5 }).unwrap();
            }
        }
    }
}

#[test]
fn a_full_memory_is_an_error_that_says_how_full() {
    let Some(device) = gpu(VERSIONS) else { return };
    match Tensor::zeros([1 << 40], DType::F32, &device) {
        Err(Error::OutOfMemory { asked, free, total, .. }) => {
            assert_eq!(asked, 4 << 40);
            assert!(free <= total && total < asked);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(Tensor::full(1.0, [3], DType::F32, &device).unwrap().to_f32(), [1.0; 3]);
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fail(folder.path(), "train --device cuda:99", &["cuda:99 cannot be used"]);
    let unknown = ddgan(folder.path(), "train --device gpu");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("expected auto, cpu, cuda or cuda:N"));
}
