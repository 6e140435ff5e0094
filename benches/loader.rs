//! What data loading costs: how long one thread decodes a batch of 64, and how much longer a training step (width 32,
//! batch 64) takes when the next batches are decoded beside it.
//!
//! `cargo bench --bench loader` measures the first; `-- --steps 10` the second too. One JSON object a line.

mod workloads;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use ddgan::data::{self, Batch, DataSpec, Dataset, Fit, Loader, LoaderOptions};
use image::{ImageFormat, RgbImage};
use workloads::WORKLOADS;

const BATCH: usize = 64;

#[derive(Parser)]
struct Args {
    /// Training steps to time with and without loading
    #[arg(long, default_value_t = 0)]
    steps: usize,
    /// What `cargo bench` and `cargo test` give every target
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir()?;
    for (name, data) in data_sets(dir.path())? {
        let ms = 1e3 * decoding(&data)?;
        let mut line = serde_json::json!({ "data": name, "decode_ms": ms, "images_per_s": BATCH as f64 / ms * 1e3 });
        if args.steps > 0 && data.shape().height == 32 {
            let [alone, loading] = steps(&data, args.steps)?;
            line["step_ms"] = (1e3 * alone).into();
            line["step_while_loading_ms"] = (1e3 * loading).into();
        }
        println!("{line}");
    }
    Ok(())
}

/// The kinds of data there are, made of noise.
fn data_sets(dir: &Path) -> Result<Vec<(&'static str, Arc<dyn Dataset>)>> {
    let cifar = dir.join("cifar");
    fs::create_dir(&cifar)?;
    let batch: Vec<u8> = (0..10_000u32).flat_map(|i| [(i % 10) as u8; 3073]).collect();
    (1..=5).try_for_each(|i| fs::write(cifar.join(format!("data_batch_{i}.bin")), &batch))?;
    write_pictures(&dir.join("png"), "png", 32, 32)?;
    write_pictures(&dir.join("jpeg"), "jpg", 256, 256)?;
    write_pictures(&dir.join("large"), "jpg", 640, 480)?;

    let open = |name: &str, folder: &str, size| {
        let fit = Fit { size: Some(size), ..Default::default() };
        data::open(&DataSpec { name: name.into(), data_dir: Some(dir.join(folder)), fit, ..Default::default() })
    };
    Ok(vec![
        ("digits, drawn", open("digits", "png", 32)?),
        ("CIFAR-10, in memory", open("cifar10", "cifar", 32)?),
        ("png 32x32", open("folder", "png", 32)?),
        ("jpeg 256x256", open("folder", "jpeg", 256)?),
        ("jpeg 640x480, resized to 256", open("folder", "large", 256)?),
    ])
}

/// As many pictures as four batches have, soft with some noise.
fn write_pictures(folder: &Path, extension: &str, width: u32, height: u32) -> Result<()> {
    fs::create_dir(folder)?;
    for i in 0..4 * BATCH as u32 {
        let picture = RgbImage::from_fn(width, height, |x, y| {
            let noise = (x * 7919 + y * 104_729 + i).wrapping_mul(2_654_435_761) >> 28;
            image::Rgb([x, y, x + y].map(|v| (v / 2 + noise + i) as u8))
        });
        let path = folder.join(format!("{i:04}.{extension}"));
        picture.save_with_format(path, ImageFormat::from_extension(extension).expect("a known one"))?;
    }
    Ok(())
}

/// Seconds in which one thread decodes a batch.
fn decoding(data: &Arc<dyn Dataset>) -> Result<f64> {
    const BATCHES: u32 = 20;
    let mut loader = loader(data, 1)?;
    let mut batch = Batch::default();
    // Those that were decoded while nobody waited, and then some.
    (0..5).try_for_each(|_| loader.next(&mut batch))?;
    let start = Instant::now();
    (0..BATCHES).try_for_each(|_| loader.next(&mut batch))?;
    Ok(start.elapsed().as_secs_f64() / f64::from(BATCHES))
}

/// Median seconds of a training step, alone and with a batch taken from the loader each time. They take turns.
fn steps(data: &Arc<dyn Dataset>, count: usize) -> Result<[f64; 2]> {
    let (_, build) = WORKLOADS.iter().find(|(name, _)| *name == "train_w32_b64").expect("it is there");
    let mut step = build()?;
    let mut loader = loader(data, 0)?;
    let mut batch = Batch::default();
    step()?;
    let mut times = [Vec::new(), Vec::new()];
    for i in 0..2 * count {
        let start = Instant::now();
        if i % 2 == 1 {
            loader.next(&mut batch)?;
        }
        step()?;
        times[i % 2].push(start.elapsed().as_secs_f64());
    }
    Ok(times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }))
}

fn loader(data: &Arc<dyn Dataset>, threads: usize) -> Result<Loader> {
    let options = LoaderOptions { batch_size: BATCH, seed: 0, flip: true, threads };
    Ok(Loader::new(data.clone(), options, 0)?)
}
