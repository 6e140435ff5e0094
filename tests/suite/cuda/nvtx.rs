//! Ranges for NVIDIA's tools, as a tool sees them that is part of the stand-in driver.

use crate::program::{command, stderr};

#[test]
fn operations_and_steps_are_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = "profile digits --device cpu --part denoise --batch 1 --runs 1 --ceilings 1,1 \
        --set generator.num_channels_dae=8 --set generator.ch_mult=[1] --set generator.num_res_blocks=1";
    let mut profile = command(dir.path(), arguments);
    profile.env("NVTX_INJECTION64_PATH", concat!(env!("OUT_DIR"), "/emulator/libcuda.so")).env("EMULATOR_RANGES", "1");
    let said = stderr(&profile.output().unwrap());
    let ranges: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("[emulator] range ")).collect();
    let count = |what: &str| ranges.iter().filter(|range| **range == what).count();
    // Once for warming up, and once more.
    assert_eq!(count("denoising step 1"), 2, "{said}");
    assert!(count("  conv2d::forward") > 8 && count("  posterior_sample::forward") == 2, "{said}");
    // All of them end.
    assert_eq!(ranges.iter().filter(|range| range.trim() == "end").count() * 2, ranges.len());
}
