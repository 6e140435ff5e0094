//! The program's face: one file per verb.

mod sample;
mod train;
mod verify;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

/// Denoising diffusion GANs: train one, and sample from it.
///
/// `ddgan train` draws its own data and needs nothing else: in minutes it writes pictures of digits to runs/.
#[derive(Parser)]
#[command(name = "ddgan", version, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: GlobalOptions,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Args)]
struct GlobalOptions {
    /// Threads to compute with [default: one a core]. Results do not depend on it.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

#[derive(Subcommand)]
enum Verb {
    Train(Box<train::TrainArgs>),
    Sample(sample::SampleArgs),
    Verify(verify::VerifyArgs),
}

/// Parses the command line and does what it says. Errors of usage end the program with code 2.
pub fn run() -> anyhow::Result<ExitCode> {
    let Cli { global, verb } = match Cli::from_arg_matches(&command().get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(global.threads.unwrap_or(0).into()); // 0: one a core
    // All of it on a thread of the pool: from another, every kernel would wait for the pool to wake up and to report.
    pool.build().context("cannot start the threads")?.install(|| match verb {
        Verb::Train(args) => train::run(&args),
        Verb::Sample(args) => sample::run(&args),
        Verb::Verify(args) => verify::run(&args),
    })
}

/// The command line. Every `--long-flag` may also be written with underscores, as published; of a flag given twice the
/// last counts.
fn command() -> clap::Command {
    fn with_underscores(command: clap::Command) -> clap::Command {
        command
            .mut_args(|arg| {
                // An argument's id is the name of its field, which has the underscores.
                let id = arg.get_id().clone();
                let differs = arg.get_long().is_some_and(|long| long != id.as_str());
                if differs { arg.alias(clap::builder::Str::from(id)) } else { arg }
            })
            .mut_subcommands(with_underscores)
    }
    with_underscores(Cli::command().args_override_self(true))
}
