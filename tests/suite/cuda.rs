//! Every operation on a GPU against the CPU, on the case list. Without a GPU, `--features emulator` runs the same
//! kernels and launches under the stand-in driver.

#[cfg(feature = "cuda")]
mod convolver;
#[cfg(all(feature = "emulator", not(feature = "emulator_checked")))]
mod coverage;
#[cfg(all(feature = "emulator", feature = "nvtx"))]
mod nvtx;

use ddgan::autograd::{Graph, Var, grad};
use ddgan::tensor::{self, DType, Device, Key, Noise, Tensor};
use ddgan::testing::cases::{self, Case};
use ddgan::testing::closeness::{Tolerance, check_close, relative_error};
use ddgan::testing::parity::{self, VERSIONS, round_to_bf16};
use ddgan::{Error, Result, ops};

#[cfg(feature = "emulator")]
use crate::program::command;
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
    // On a processor, and under compute-sanitizer, the networks' own shapes take minutes each.
    let only_small = cfg!(feature = "emulator") || std::env::var_os("DDGAN_SMALL_CASES").is_some();
    let cases = cases.iter().filter(|c| !(c.real && only_small)).collect::<Vec<_>>();
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
        const COMPARED: &[&str] = &[$(stringify!($op)),*];

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

parity! {
    add affine attention concat conv2d dropout expand group_norm leaky_relu linear matmul mean_all minibatch_stddev mul
    pixel_norm pool2d posterior_step power resample scale_add scale_samples sigmoid silu sin slice_channels softplus sum tanh
}

#[test]
fn no_operation_is_left_out() {
    for case in cases::all() {
        assert!(COMPARED.contains(&case.op), "{case}");
    }
}

/// Enough pixels and taps for tiles of 128 x 128 on every multiprocessor.
#[test]
fn convolutions_by_large_tiles() {
    let Some(device) = gpu(VERSIONS) else { return };
    let draw = |shape: &[usize], stream| {
        Ok(round_to_bf16(&tensor::normal(shape, Key { seed: 4, stream }, DType::F32, &Device::Cpu)?))
    };
    let run = |dtype, device: &Device| -> Result<Vec<Tensor>> {
        let place = |t: Tensor| t.to(dtype, device);
        let [x, w] = [Var::leaf(place(draw(&[1, 130, 131, 16], 0)?)?), Var::leaf(place(draw(&[8, 1, 9, 16], 1)?)?)];
        let options = ops::Conv2dOptions { stride: 1, pad: [0, 0, 4, 4] };
        let y = ops::conv2d(&x, &w, &options, &ops::ConvEpilogue::default())?;
        let dy = Var::constant(place(draw(y.shape(), 2)?)?);
        let gradients = grad(&y, Some(&dy), &[&x, &w], Graph::Free)?;
        Ok([y].into_iter().chain(gradients.into_iter().flatten()).map(Var::into_value).collect())
    };
    let (got, want) = (run(DType::BF16, &device).unwrap(), run(DType::F32, &Device::Cpu).unwrap());
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        let error = relative_error(&got.to_f64(), &want.to_f64(), 0.0);
        assert!(error < parity::tolerance(DType::BF16), "result {i} differs by {error:e}");
    }
}

#[test]
fn casts_round_to_the_nearest_and_their_gradients_go_back() {
    let Some(device) = gpu(VERSIONS) else { return };
    for n in LENGTHS {
        let x = tensor::normal([n], Key { seed: 1, stream: 0 }, DType::F32, &Device::Cpu).unwrap();
        let there = Var::leaf(x.to_device(&device).unwrap());
        let y = ops::cast(&there, DType::BF16).unwrap();
        assert_eq!((y.dtype(), y.value().to_f32()), (DType::BF16, round_to_bf16(&x).to_f32()));
        assert_eq!(ops::cast(&y, DType::F32).unwrap().value().to_f32(), y.value().to_f32());
        let gradient = grad(&ops::sum_all(&y).unwrap(), None, &[&there], Graph::Free).unwrap().remove(0).unwrap();
        assert_eq!((gradient.dtype(), gradient.value().to_f32()), (DType::F32, vec![1.0; n]));
    }
}

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
        let close = Tolerance { atol: 3e-6, rtol: 1e-6 };
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

/// Samples of a size that is a multiple of a Philox block's four numbers, and of sizes that are not.
const SAMPLES: [[usize; 2]; 5] = [[1, 1], [7, 2], [2, 3 * 5 * 3], [3, 64], [5, 401]];

#[test]
fn noisy_pairs_and_posterior_draws() {
    let Some(device) = gpu(VERSIONS) else { return };
    let key = |stream| Key { seed: 9, stream };
    for ([n, size], drawn) in SAMPLES.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
        let of_samples = |first: f64| (0..n).map(|i| first - 0.3 * i as f64).collect::<Vec<f64>>();
        let run = |device: &Device| {
            let draw = |stream| tensor::normal([n, size], key(stream), DType::F32, &Device::Cpu)?.to_device(device);
            let noise =
                |stream| -> Result<Noise> { if drawn { Ok(key(stream).into()) } else { Ok(draw(stream)?.into()) } };
            let coefficients = |first: &[f64]| {
                let values: Vec<f64> = first.iter().flat_map(|&first| of_samples(first)).collect();
                Tensor::from_values(&values, [first.len(), n], DType::F32, device)
            };
            let (x_t, x_t1) =
                ops::forward_pair(&draw(0)?, noise(1)?, noise(2)?, &coefficients(&[0.9, 0.4, 0.8, 0.6])?)?;
            // The first sample is drawn without noise.
            let [x0, next] = [Var::constant(draw(0)?), Var::constant(x_t1.clone())];
            let posterior = ops::posterior_step(&x0, &next, noise(3)?, &coefficients(&[0.7, 0.2, 0.0])?)?;
            Ok([x_t, x_t1, posterior.into_value()].map(|t| t.to_f64()))
        };
        let (got, want): (_, Result<_>) = (run(&device).unwrap(), run(&Device::Cpu));
        for (got, want) in got.iter().zip(&want.unwrap()) {
            let close = Tolerance { atol: 6e-6, rtol: 1e-6 };
            check_close(&format!("{n} samples of {size}, drawn {drawn}"), got, want, close).unwrap();
        }
    }
}

/// Parameters of all lengths at once, of which every other one has an average. The longest is more than a block does.
#[test]
fn adam_and_its_averages() {
    let Some(device) = gpu(VERSIONS) else { return };
    let lengths = [&LENGTHS[..], &[40_000]].concat();
    let run = |device: &Device, first_average: usize| {
        let draw = |stream| -> Vec<Tensor> {
            let key = |i| Key { seed: 3 + i as u64, stream };
            let draw = |(i, &n)| tensor::normal([n], key(i), DType::F32, &Device::Cpu)?.to_device(device);
            lengths.iter().enumerate().map(draw).collect::<Result<_>>().unwrap()
        };
        let [mut params, m, v, mut averages] = [0, 1, 2, 3].map(draw);
        let square = |v| ops::power(&Var::constant(v), 2.0).unwrap().into_value();
        let mut states: Vec<_> = m.into_iter().zip(v).map(|(m, v)| ops::AdamState { m, v: square(v) }).collect();
        for step in 1..4 {
            let grads = draw(10 + step);
            let p = ops::Adam { beta1: 0.5, beta2: 0.9, eps: 1e-8, ema_decay: 0.75 };
            let of_step = Tensor::from_values(&p.of_step(0.1, step), [2], DType::F32, device).unwrap();
            // The last two do nothing.
            for health in [0.0, f64::NAN, f64::INFINITY] {
                let health = Tensor::from_values(&[health], [1], DType::F32, device).unwrap();
                let mut updates = Vec::new();
                for (i, (param, state)) in params.iter_mut().zip(&mut states).enumerate() {
                    updates.push(ops::AdamUpdate { param, state, ema: None, grad: &grads[i] });
                }
                for (update, average) in updates.iter_mut().zip(&mut averages).skip(first_average).step_by(2) {
                    update.ema = Some(average);
                }
                ops::adam_ema(updates, &p, [&of_step, &health]).unwrap();
            }
        }
        let (m, v): (Vec<_>, Vec<_>) = states.into_iter().map(|state| (state.m, state.v)).unzip();
        [params, m, v, averages].map(|tensors| tensors.iter().map(Tensor::to_f64).collect::<Vec<_>>())
    };
    for first_average in [0, 1] {
        let (got, want) = (run(&device, first_average), run(&Device::Cpu, first_average));
        for ((got, want), name) in got.iter().zip(&want).zip(["w", "m", "v", "ema"]) {
            for (got, want) in got.iter().zip(want) {
                check_close(name, got, want, Tolerance { atol: 1e-6, rtol: 1e-5 }).unwrap();
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

/// What a training needs or a step lacks, and the batch that there is memory for. Without maps an estimate knows nothing of
/// a discriminator's layers.
#[test]
#[cfg(feature = "emulator")]
fn a_batch_that_is_too_large_is_an_error_that_says_which_is_not() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        ("digits --batch-size 256", ["this training needs about 1.3 GiB", "cuda:0 has", "free, of"]),
        (
            "gaussians25 --batch-size 6000 --set generator.num_channels_dae=8 --set generator.ch_mult=[1]",
            ["step 1: cuda:0 is out of memory", "were asked for", "are free"],
        ),
    ] {
        let mut train = command(folder.path(), &format!("train {arguments} --device cuda --outdir run"));
        let output = train.env_remove("CUDA_VISIBLE_DEVICES").env("EMULATOR_MEMORY_MB", "64").output().unwrap();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        for words in words.iter().chain(&["would fit: --batch-size", "--grad-accum"]) {
            assert!(message.contains(words), "no `{words}` in: {message}");
        }
    }
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fail(folder.path(), "train --device cpu --precision bf16", &["precision is bf16", "GPUs alone"]);
    assert!(!folder.path().join("runs").exists());
    fail(folder.path(), "train --device cuda:99", &["cuda:99 cannot be used"]);
    let unknown = ddgan(folder.path(), "train --device gpu");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("expected auto, cpu, cuda or cuda:N"));
}
