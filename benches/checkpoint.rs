//! What a checkpoint of the network published for CIFAR-10 costs.
//!
//! `cargo bench --bench checkpoint -- --folder DIR` writes to DIR's disk and prints one JSON object: bytes of the file,
//! seconds of each write, and seconds of both networks' updates while no checkpoint is being written and while one is:
//! the difference is how long it stops a training, which copies what the checkpoint shares.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use ddgan::autograd::Var;
use ddgan::nn::Param;
use ddgan::tensor::{DType, Device, Tensor};
use ddgan::train::{Gradients, Trainer, preset};

#[derive(Parser)]
struct Args {
    /// Where to write; without it nothing is measured
    #[arg(long)]
    folder: Option<PathBuf>,
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// What `cargo bench` and `cargo test` give every target
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let Some(folder) = args.folder else {
        println!("checkpoint: give --folder, on the disk to measure");
        return Ok(());
    };
    let path = folder.join("checkpoint.safetensors");
    let mut trainer = Trainer::new(&preset("cifar10")?, DType::F32, &Device::Cpu)?;
    let (generator, discriminator) = (zeros(trainer.generator().params())?, zeros(trainer.discriminator().params())?);
    let update = |trainer: &mut Trainer| -> Result<f64> {
        let start = Instant::now();
        trainer.update_discriminator(&discriminator, 1e-4)?;
        trainer.update_generator(&generator, 1e-4)?;
        Ok(start.elapsed().as_secs_f64())
    };
    update(&mut trainer)?;
    let (mut write, mut alone, mut shared) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.repeats {
        alone.push(update(&mut trainer)?);
        let snapshot = trainer.snapshot(0);
        shared.push(update(&mut trainer)?);
        let start = Instant::now();
        snapshot.write(&path)?;
        write.push(start.elapsed().as_secs_f64());
    }
    let bytes = std::fs::metadata(&path)?.len();
    std::fs::remove_file(&path)?;
    println!(
        "{}",
        serde_json::json!({ "bytes": bytes, "write": write, "update": alone, "update_while_writing": shared })
    );
    Ok(())
}

fn zeros(params: &[Param]) -> Result<Gradients> {
    let zero = |param: &Param| Ok(Some(Var::constant(Tensor::zeros(param.shape(), DType::F32, &Device::Cpu)?)));
    params.iter().map(zero).collect()
}
