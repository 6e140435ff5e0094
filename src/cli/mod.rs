//! The program's face: one file per verb.

/// Like that of std, but no panic: where nobody reads any more, as behind `| head`, nothing is said.
macro_rules! println {
    ($($text:tt)*) => { $crate::cli::say(&(format!($($text)*) + "\n")) };
}
macro_rules! eprintln {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

mod compare;
mod data;
mod device;
mod doctor;
mod eval;
mod export;
mod import;
mod manual;
mod network;
mod profile;
mod report;
mod sample;
mod sampler;
mod sweep;
mod switches;
mod train;
mod train_classifier;
mod verify;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::builder::styling::Styles;
use clap::{Arg, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

/// The heading of flags that are there because the published program has them.
const PUBLISHED: &str = "As in the published program";

/// The verbs, by what they are for: `--help` lists them so.
const VERBS: [(&str, &[&str]); 5] = [
    ("Train and draw", &["train", "sample"]),
    ("Judge and compare", &["eval", "train-classifier", "report", "compare", "sweep"]),
    ("To and from PyTorch", &["import", "export"]),
    ("Data", &["data"]),
    ("About the program", &["doctor", "profile", "verify", "completions", "man"]),
];

const EXAMPLES: &str = "\
Examples:
  ddgan train                                  digits that the program draws: minutes on two cores
  ddgan train cifar10 --dry-run                what the published training would be
  ddgan train --resume                         go on with the newest run
  ddgan sample runs/00000-digits --count 256   pictures of a run
  ddgan report runs/00000-digits               the run as a page

`ddgan VERB --help` tells about a verb.";

/// Denoising diffusion GANs: train one, and sample from it.
///
/// `ddgan train` draws its own data and needs nothing else: in minutes it writes pictures of digits to runs/.
#[derive(Parser)]
#[command(name = "ddgan", version, subcommand_required = true, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: GlobalOptions,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Args)]
struct GlobalOptions {
    /// Threads to compute with [default: one a core]. Results do not depend on it.
    #[arg(long, global = true, display_order = 900, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

#[derive(Subcommand)]
enum Verb {
    Train(Box<train::TrainArgs>),
    TrainClassifier(train_classifier::TrainClassifierArgs),
    Sample(Box<sample::SampleArgs>),
    Eval(eval::EvalArgs),
    Report(report::ReportArgs),
    Compare(compare::CompareArgs),
    Sweep(sweep::SweepArgs),
    Import(Box<import::ImportArgs>),
    Export(export::ExportArgs),
    Verify(verify::VerifyArgs),
    Profile(profile::ProfileArgs),
    Data(data::DataArgs),
    Doctor(doctor::DoctorArgs),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
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
        Verb::TrainClassifier(args) => train_classifier::run(&args),
        Verb::Sample(args) => sample::run(&args),
        Verb::Eval(args) => eval::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Compare(args) => compare::run(&args),
        Verb::Sweep(args) => sweep::run(&args),
        Verb::Import(args) => import::run(&args),
        Verb::Export(args) => export::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Profile(args) => profile::run(&args),
        Verb::Data(args) => data::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Completions(args) => manual::completions(&args, command()),
        Verb::Man(args) => manual::man(&args, command()),
    })
}

/// Writes to stdout; a reader that has seen enough is no error, a full disk is.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to stdout"),
    }
}

/// `print`, where an error ends the program.
fn say(text: &str) {
    if let Err(error) = print(text) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

/// Errors: the file is there and may not be replaced.
fn ensure_free(path: &Path, overwrite: bool) -> anyhow::Result<()> {
    let there = path.display();
    ensure!(
        overwrite || !path.exists(),
        "{there} is there already; name another file, or allow to replace it with --overwrite"
    );
    Ok(())
}

/// The command line. Every `--long-flag` may also be written with underscores, as published; of a flag given twice the
/// last counts, and of one with many values, all do. `-h` leaves out what is rarely set.
fn command() -> Command {
    fn refine(command: Command) -> Command {
        let command = command.mut_args(with_underscores).mut_args(with_negative_numbers).mut_subcommands(refine);
        match command.get_name() {
            "train" => command.mut_args(train::hide_if_rare),
            "sample" => command.mut_args(sample::gather_network),
            _ => command,
        }
    }
    fn with_underscores(arg: Arg) -> Arg {
        let underscored = arg.get_long().filter(|long| long.contains('-')).map(|long| long.replace('-', "_"));
        if let Some(alias) = underscored { arg.alias(alias) } else { arg }
    }
    /// `-1` behind a flag is its value, right or wrong, and no unknown flag.
    fn with_negative_numbers(arg: Arg) -> Arg {
        let of_flag = arg.get_long().is_some() && arg.get_action().takes_values();
        if of_flag { arg.allow_negative_numbers(true) } else { arg }
    }
    let command = refine(Cli::command().args_override_self(true));
    let template = help_template(&command);
    command.help_template(template)
}

/// The program's help, with the verbs by what they are for.
fn help_template(command: &Command) -> String {
    let styles = Styles::default();
    let (title, name) = (styles.get_header(), styles.get_literal());
    let mut verbs = String::new();
    for (purpose, group) in VERBS {
        verbs += &format!("{title}{purpose}:{title:#}\n");
        for verb in group {
            let about = command.find_subcommand(verb).and_then(Command::get_about).expect("a verb");
            verbs += &format!("  {name}{verb:<16}{name:#}  {about}\n");
        }
        verbs.push('\n');
    }
    format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{verbs}\
         {title}Options:{title:#}\n{{options}}{{after-help}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_help_lists_every_verb() {
        command().debug_assert();
        let mut listed: Vec<&str> = VERBS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        let command = Cli::command();
        let mut all: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        listed.sort();
        all.sort();
        assert_eq!(listed, all);
    }
}
