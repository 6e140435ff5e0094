//! Golden fixtures: every number another implementation computed, computed again.

use std::path::PathBuf;

use ddgan::tensor::DType;
use ddgan::testing::verify::{Tolerances, verify};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn check(name: &str, dtype: DType, tolerances: Tolerances) {
    let report = verify(fixture(name), dtype).unwrap();
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
