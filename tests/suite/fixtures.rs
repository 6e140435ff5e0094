//! Golden fixtures: every number another implementation computed, computed again.

use std::collections::HashMap;
use std::path::PathBuf;

use ddgan::tensor::{DType, Device};
use ddgan::testing::verify::{Report, Tolerances, verify};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn check(name: &str, dtype: DType, tolerances: Tolerances) {
    let report = verify(fixture(name), dtype, &Device::Cpu).unwrap();
    for group in &report.groups {
        println!("{name} {dtype} {}: {:.1e} ({})", group.name, group.error, group.worst);
    }
    assert!(!report.groups.is_empty());
    let failures = report.failures(&tolerances);
    assert!(failures.is_empty(), "{name} in {dtype}: {failures:?}");
}

macro_rules! fixtures {
    ($($name:ident: $file:literal,)*) => {$(
        #[test]
        fn $name() {
            let file = concat!($file, ".safetensors");
            check(file, DType::F32, Tolerances::default());
            // The exact result differs from it by no more than the rounding of the reference, which is f32.
            check(file, DType::F64, Tolerances { outputs: 2e-6, gradients: 2e-4 });
        }
    )*};
}

fixtures!(
    generator_default: "generator_default",
    generator_ddpm_block: "generator_ddpm_block",
    generator_fourier: "generator_fourier",
    generator_no_fir_gray: "generator_no_fir_gray",
    generator_one_adagn: "generator_one_adagn",
    generator_output_skip: "generator_output_skip",
    content_generator: "content_generator",
    netg_25_generator: "netG_25_generator",
    discriminator_small: "discriminator_small",
    discriminator_large: "discriminator_large",
    schedule_t2: "schedule_T2_vp",
    schedule_t4: "schedule_T4_vp",
    schedule_t8_geometric: "schedule_T8_geo",
    sample: "sample_T4",
    train_step: "train_step_small",
);

/// A fixture with the numbers of one tensor changed, or the tensor left out, checked.
fn check_changed(file: &str, tensor: &str, change: Option<fn(f32) -> f32>) -> ddgan::Result<Report> {
    let bytes = std::fs::read(fixture(file)).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut tensors: HashMap<String, TensorView> =
        SafeTensors::deserialize(&bytes).unwrap().tensors().into_iter().collect();
    let old = tensors.remove(tensor).unwrap();
    let mut data = Vec::new();
    if let Some(change) = change {
        let numbers = old.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        data.extend(numbers.flat_map(|x| change(x).to_le_bytes()));
        tensors.insert(tensor.into(), TensorView::new(old.dtype(), old.shape().to_vec(), &data).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    safetensors::serialize_to_file(tensors, metadata.metadata().clone(), &path).unwrap();
    verify(path, DType::F32, &Device::Cpu)
}

/// The names of the groups over tolerance.
fn failures(report: &Report) -> Vec<&str> {
    report.failures(&Tolerances::default()).into_iter().map(|group| group.name.as_str()).collect()
}

#[test]
fn wrong_answers_are_found() {
    let generator = "generator_default.safetensors";
    let same: fn(f32) -> f32 = |x| x;
    assert_eq!(failures(&check_changed(generator, "out", Some(same)).unwrap()), [""; 0]);
    assert_eq!(failures(&check_changed(generator, "out", Some(|x| x * 1.001)).unwrap()), ["out"]);
    assert_eq!(failures(&check_changed(generator, "out", Some(|_| f32::NAN)).unwrap()), ["out"]);
    let report = check_changed(generator, "grad.all_modules.7.NIN_0.W", Some(|x| x * 1.01)).unwrap();
    assert_eq!(failures(&report), ["grad"]);
    let worst = &report.groups.iter().find(|g| g.name == "grad").unwrap().worst;
    assert_eq!(worst, "all_modules.7.NIN_0.W");
    // A gradient that is not given is taken for zero, which this one is not.
    assert_eq!(failures(&check_changed(generator, "grad.all_modules.2.bias", None).unwrap()), ["grad"]);
    let report = check_changed(generator, "param.all_modules.3.Conv_1.weight", Some(|x| x + 0.01)).unwrap();
    assert_eq!(failures(&report), ["out", "grad_x", "grad_z", "grad"]);

    let report =
        check_changed("discriminator_small.safetensors", "r1_grad.conv2.conv1.0.weight", Some(|x| -x)).unwrap();
    assert_eq!(failures(&report), ["r1_grad"]);
    let report = check_changed("train_step_small.safetensors", "step1.loss_r1", Some(|x| x + 0.1)).unwrap();
    assert_eq!(failures(&report), ["step1.loss_"]);
    let report = check_changed("schedule_T4_vp.safetensors", "a_s", Some(|x| x * 0.999)).unwrap();
    assert_eq!(failures(&report), ["a_s"]);
}

#[test]
fn files_that_cannot_be_checked() {
    let error = |file, tensor| check_changed(file, tensor, None).unwrap_err().to_string();
    let missing = error("generator_default.safetensors", "param.all_modules.3.Conv_1.weight");
    assert!(missing.contains("generator_default") && missing.contains("all_modules.3.Conv_1.weight"), "{missing}");
    assert!(error("discriminator_small.safetensors", "out").contains("`out`"));
    assert!(verify(fixture("README.md"), DType::F32, &Device::Cpu).is_err());
}
