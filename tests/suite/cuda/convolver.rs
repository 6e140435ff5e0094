//! Who computes convolutions: cuDNN beside our kernels, and that what was measured decides.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ddgan::Result;
use ddgan::autograd::{Graph, Var, grad, no_grad};
use ddgan::backend::cuda::Graph as CudaGraph;
use ddgan::backend::{Convolver, trace};
use ddgan::ops::{self, Conv2dOptions, ConvEpilogue};
use ddgan::tensor::{self, DType, Device, Key, Tensor};
use ddgan::testing::cases;
use ddgan::testing::parity::{self, VERSIONS};
use serde_json::Value;

use super::gpu;
#[cfg(feature = "emulator")]
use crate::program::{command, fail, stderr, stdout};

/// A GPU with its convolver; none where there is no GPU, or no cuDNN beside it.
fn device(convolver: Convolver, cache: Option<&Path>) -> Option<Device> {
    let device = gpu(VERSIONS)?;
    match device.choose_convolver(convolver, cache) {
        Ok(()) => Some(device),
        Err(error) if cfg!(feature = "emulator") => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// A convolution in bf16 with its gradients; gives the kernels that ran, and the output.
fn convolve(device: &Device) -> (Vec<String>, Vec<f32>) {
    let draw = |shape: &[usize], stream| {
        let numbers = tensor::normal(shape, Key { seed: 7, stream }, DType::F32, &Device::Cpu).unwrap();
        Var::leaf(numbers.to(DType::BF16, device).unwrap())
    };
    let [x, w, bias] = [draw(&[2, 5, 6, 16], 0), draw(&[24, 3, 3, 16], 1), draw(&[24], 2)];
    let dy = Var::constant(draw(&[2, 5, 6, 24], 3).into_value());
    let epilogue = ConvEpilogue { bias: Some(&bias), ..ConvEpilogue::default() };
    let run = || -> Result<Tensor> {
        let y = ops::conv2d(&x, &w, &Conv2dOptions::same(3), &epilogue)?;
        grad(&y, Some(&dy), &[&x, &w], Graph::Free)?;
        Ok(y.into_value())
    };
    let (y, operations) = trace::record(run).unwrap();
    let kernels = operations.into_iter().filter(|operation| operation.op == "conv2d").flat_map(|op| op.launches);
    (kernels.map(|launch| launch.kernel).collect(), y.to_f32())
}

fn by_cudnn(kernels: &[String]) -> usize {
    kernels.iter().filter(|kernel| kernel.contains("cuDNN")).count()
}

#[test]
fn cudnn_computes_what_the_cpu_does() {
    for dtype in [DType::F32, DType::BF16] {
        let Some(device) = device(Convolver::Cudnn, None) else { return };
        let cases = cases::all().into_iter().filter(|case| case.op == "conv2d");
        for case in cases.filter(|case| !case.real || !cfg!(feature = "emulator")) {
            parity::check(&case, dtype, &device).unwrap();
        }
        let contests = device.contests();
        let of_both = contests.iter().filter(|contest| contest.cudnn().is_some()).count();
        // It pads both sides alike: the rest is ours.
        assert!(of_both >= 20 && of_both < contests.len(), "{of_both} of {}", contests.len());
        assert!(contests.iter().all(|contest| contest.own().is_some()));
    }
}

#[test]
fn what_was_measured_decides_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let Some(first) = device(Convolver::Auto, Some(&cache)) else { return };
    // What is measured is no part of what is traced.
    let (kernels, want) = convolve(&first);
    assert!(kernels.len() <= 6, "{kernels:?}");
    assert_eq!(convolve(&first).0, kernels);
    let file = only_file(&cache);
    for who in ["own", "cudnn"] {
        favour(&file, who);
        let text = fs::read(&file).unwrap();
        let next = device(Convolver::Auto, Some(&cache)).unwrap();
        let (kernels, got) = convolve(&next);
        assert_eq!(by_cudnn(&kernels), if who == "own" { 0 } else { 3 }, "{who}: {kernels:?}");
        assert!(got.iter().zip(&want).all(|(got, want)| (got - want).abs() <= 0.02 * (1.0 + want.abs())));
        // Nothing was measured again.
        assert!(fs::read(&file).unwrap() == text);
        assert!(next.contests().iter().all(|contest| contest.entries[0].name.starts_with(who)));
    }
    // Who asks for cuDNN gets it, however slow, and who asks for our kernels has no need of it.
    favour(&file, "own");
    assert_eq!(by_cudnn(&convolve(&device(Convolver::Cudnn, Some(&cache)).unwrap()).0), 3);
    assert_eq!(by_cudnn(&convolve(&device(Convolver::Own, Some(&cache)).unwrap()).0), 0);
}

#[test]
fn a_damaged_file_is_measured_anew() {
    let folder = tempfile::tempdir().unwrap();
    let Some(first) = device(Convolver::Auto, Some(folder.path())) else { return };
    convolve(&first);
    let file = only_file(folder.path());
    let whole = fs::read_to_string(&file).unwrap();
    let other = whole.replace("\"device\": \"", "\"device\": \"x");
    for damaged in ["", "{", &whole[..whole.len() / 2], "[1, 2]", &other, &with_times(&whole, |_| -1.0)] {
        fs::write(&file, damaged).unwrap();
        convolve(&device(Convolver::Auto, Some(folder.path())).unwrap());
        let again = fs::read_to_string(&file).unwrap();
        assert_eq!(measured(&again).into_keys().collect::<Vec<_>>(), measured(&whole).into_keys().collect::<Vec<_>>());
    }
    // Two at once: neither loses what the other has measured.
    fs::write(&file, whole.replace("forward bf16", "forward bf17")).unwrap();
    convolve(&device(Convolver::Auto, Some(folder.path())).unwrap());
    assert_eq!(measured(&fs::read_to_string(&file).unwrap()).len(), 4);
    // A folder that cannot be made costs the cache, and nothing else.
    convolve(&device(Convolver::Auto, Some(&file.join("below a file"))).unwrap());
}

#[test]
fn nothing_is_measured_while_a_graph_is_recorded() {
    for convolver in [Convolver::Auto, Convolver::Cudnn] {
        let Some(device) = device(convolver, None) else { return };
        let Device::Cuda(gpu) = &device else { panic!("{device}") };
        let draw = |shape: &[usize], stream| {
            Var::constant(tensor::normal(shape, Key { seed: 8, stream }, DType::F32, &device).unwrap())
        };
        let [x, w] = [draw(&[1, 4, 5, 3], 0), draw(&[2, 3, 3, 3], 1)];
        let run = |_| no_grad(|| ops::conv2d(&x, &w, &Conv2dOptions::same(3), &ConvEpilogue::default()));
        let (graph, y) = CudaGraph::record(gpu, 1, run).unwrap();
        assert!(device.contests().is_empty());
        graph.launch(0).unwrap();
        let first = y[0].value().to_f32();
        let want = run(0).unwrap().value().to_f32();
        assert_eq!(device.contests().len(), 1);
        let (graph, y) = CudaGraph::record(gpu, 1, run).unwrap();
        graph.launch(0).unwrap();
        for got in [first, y[0].value().to_f32()] {
            assert!(got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 1e-5), "{got:?}, want {want:?}");
        }
    }
}

fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// Seconds, by what is computed and who computes it.
fn measured(text: &str) -> BTreeMap<String, BTreeMap<String, f64>> {
    let content: Value = serde_json::from_str(text).unwrap();
    serde_json::from_value(content["seconds"].clone()).unwrap()
}

/// Makes whoever is called so the fastest of all shapes.
fn favour(file: &Path, who: &str) {
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, with_times(&text, |name| if name.starts_with(who) { 1e-6 } else { 1e-3 })).unwrap();
}

/// The same file with other times.
fn with_times(text: &str, time: impl Fn(&str) -> f64) -> String {
    let mut times = measured(text);
    times.values_mut().flatten().for_each(|(name, seconds)| *seconds = time(name));
    let mut content: Value = serde_json::from_str(text).unwrap();
    content["seconds"] = serde_json::to_value(times).unwrap();
    content.to_string()
}

#[test]
#[cfg(feature = "emulator")]
fn the_program_compares_and_says_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &str, cudnn: &str| {
        let mut command = command(dir.path(), arguments);
        command.env_remove("CUDA_VISIBLE_DEVICES").env("XDG_CACHE_HOME", dir.path().join("cache"));
        command.env("EMULATOR_CUDNN", cudnn).output().unwrap()
    };
    let compare = "profile digits --device cuda --convs --part denoise --batch 1 --precision bf16 --json convs.json \
        --set generator.num_channels_dae=8 --set generator.ch_mult=[1,1] --set generator.num_res_blocks=1";
    let output = run(compare, "91700");
    let said = stdout(&output);
    assert!(output.status.success() && said.contains("ratio") && said.contains("ours is the faster in"), "{said}");
    let json: Value = serde_json::from_slice(&fs::read(dir.path().join("convs.json")).unwrap()).unwrap();
    let contests = json["contests"].as_array().unwrap();
    assert!(contests.len() > 3, "{json}");
    for contest in contests {
        assert!(said.contains(contest["sizes"].as_str().unwrap()), "{said}");
        let names: Vec<&str> =
            contest["entries"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
        assert!(names.iter().any(|name| name.starts_with("own")), "{names:?}");
        assert!(names.iter().any(|name| name.starts_with("cudnn")), "{names:?}");
    }
    // What it measured is kept, and damage is told.
    let file = only_file(&dir.path().join("cache/ddgan"));
    fs::write(&file, "{").unwrap();
    assert!(stderr(&run(compare, "91700")).contains("is damaged"), "{}", stderr(&run(compare, "91700")));
    assert!(measured(&fs::read_to_string(&file).unwrap()).len() > 3);

    let said = stdout(&run(compare, "0"));
    assert!(said.contains("cuDNN computed none"), "{said}");
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/discriminator_small.safetensors");
    for (flags, cudnn, words) in [
        ("cuda --conv cudnn", "0", ["cuDNN was not found", "nvidia-cudnn-cu13"]),
        ("cuda --conv cudnn", "80900", ["8.9.0", "--conv own"]),
        ("cpu --conv cudnn", "91700", ["cuDNN computes on", "GPUs alone"]),
    ] {
        let output = run(&format!("verify {fixture} --device {flags}"), cudnn);
        assert_eq!(output.status.code(), Some(1));
        assert!(words.iter().all(|word| stderr(&output).contains(word)), "{}", stderr(&output));
    }
    assert_eq!(run("verify x --conv other", "91700").status.code(), Some(2));
    assert!(stdout(&run("doctor", "91700")).contains("cuDNN: 9.17.0"));
    assert!(stdout(&run("doctor", "0")).contains("cuDNN: not found"));
    fail(dir.path(), "profile --convs --device cpu", &["GPUs alone"]);
}
