//! `ddgan verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::device::DeviceOption;
use crate::tensor::DType;
use crate::testing::verify::{self, Judged, Tolerances};

/// Compute again what other implementations computed.
///
/// That is kept in golden fixtures. Prints the largest relative 2-norm error of each group of tensors. The exit code is 1 if one is over tolerance.
#[derive(Args)]
pub struct VerifyArgs {
    /// Fixtures: safetensors files with parameters, inputs and expected results
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The largest error of outputs that passes
    #[arg(long, default_value_t = Tolerances::default().outputs, value_name = "X")]
    tolerance_out: f64,
    /// The largest error of gradients and updated parameters that passes
    #[arg(long, default_value_t = Tolerances::default().gradients, value_name = "X")]
    tolerance_grad: f64,
    #[command(flatten)]
    device: DeviceOption,
}

pub fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let tolerances = Tolerances { outputs: args.tolerance_out, gradients: args.tolerance_grad };
    let device = args.device.open()?;
    let mut failed = 0;
    for path in &args.files {
        let report = verify::verify(path, DType::F32, &device)?;
        println!("{} ({})", path.display(), report.kind);
        for group in &report.groups {
            let fails = !group.passes(&tolerances);
            failed += usize::from(fails);
            let (allowed, verdict) = (tolerances.of(group.judged), if fails { "FAILS" } else { "ok" });
            let kind = match group.judged {
                Judged::Output => "output",
                Judged::Gradient => "gradient",
            };
            println!(
                "  {:<31} {:>4} {:<9} error {:.1e} of {allowed:.0e}  {verdict:<6} {}",
                group.name, group.tensors, kind, group.error, group.worst
            );
        }
    }
    if failed > 0 {
        eprintln!("error: {failed} groups are over tolerance");
        return Ok(ExitCode::FAILURE);
    }
    println!("all within tolerance");
    Ok(ExitCode::SUCCESS)
}
