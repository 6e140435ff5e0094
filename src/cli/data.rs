//! `ddgan data`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::data::download::{self, Event, Source};
use crate::data::survey::{self, Finding, Part};

/// Get data sets, and see which are there.
#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct DataArgs {
    #[command(subcommand)]
    verb: DataVerb,
}

#[derive(Subcommand)]
enum DataVerb {
    Fetch(FetchArgs),
    Info(InfoArgs),
}

/// Download a data set.
///
/// What is there and right stays; a download that broke off goes on. Every file is checked by the SHA-256 of its content.
#[derive(Args)]
struct FetchArgs {
    /// Which one
    #[arg(value_name = "NAME", value_parser = download::NAMES)]
    name: String,
    /// The folder of all data; the set gets a folder in it [default: $DDGAN_DATA, else ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Get the files from this address alone, which their names are put after
    #[arg(long, value_name = "MIRROR")]
    url: Option<String>,
}

/// Tell which data sets are there, and what is wrong with them.
///
/// Looks where training looks: in PATH, in $DDGAN_DATA and in ./data. The exit code is 1 if one is broken.
#[derive(Args)]
struct InfoArgs {
    /// A folder of data sets, or a folder or zip file of pictures
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// Read every picture
    #[arg(long)]
    check: bool,
    /// Print it for programs
    #[arg(long)]
    json: bool,
}

pub fn run(args: &DataArgs) -> anyhow::Result<ExitCode> {
    match &args.verb {
        DataVerb::Fetch(args) => fetch(args),
        DataVerb::Info(args) => info(args),
    }
}

fn fetch(args: &FetchArgs) -> anyhow::Result<ExitCode> {
    let mut source = Source::by_name(&args.name).expect("one of the names that clap lets through");
    if let Some(url) = &args.url {
        source.mirrors = vec![url.clone()];
    }
    let folder = crate::data::home(args.data_dir.as_deref()).join(source.folder);
    let style = "{bar:20} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    // Hidden where there is no terminal.
    let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template(style)?);
    let say = |line: String| bar.suspend(|| eprintln!("{line}"));
    download::fetch(&source, &folder, download::PATIENCE, &mut |event| match event {
        Event::Present { archive } => say(format!("{archive}: what it holds is there")),
        Event::Downloading { url, done, total } => {
            let more = if done > 0 { format!(", from byte {done} on") } else { String::new() };
            say(format!("{url}{more}"));
            bar.set_length(total.unwrap_or(0));
            // The speed is that of what comes now.
            bar.reset();
            bar.set_position(done);
            bar.reset_eta();
        }
        Event::Progress { done } => bar.set_position(done),
        Event::Failed { error } => say(format!("warning: {error}")),
        Event::Unpacked { archive } => say(format!("{archive}: unpacked, its content is right")),
    })?;
    bar.finish_and_clear();
    println!("{} is in {}", source.name, folder.display());
    Ok(ExitCode::SUCCESS)
}

fn info(args: &InfoArgs) -> anyhow::Result<ExitCode> {
    if let Some(path) = args.path.as_deref().filter(|path| !path.exists()) {
        anyhow::bail!("{}: there is no such folder or file", path.display());
    }
    let findings = survey::survey(args.path.as_deref(), args.check);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        findings.iter().for_each(print);
    }
    let broken = |part: &Part| matches!(part, Part::Broken { .. });
    let any = findings.iter().any(|finding| broken(&finding.train) || broken(&finding.test));
    Ok(if any { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(Finding { name, train, test, files }: &Finding) {
    println!("{name}");
    match (train, test) {
        // The same would be said twice.
        (Part::Missing { why }, Part::Missing { .. }) => println!("{}", indented(why)),
        parts => {
            print_part("train", parts.0);
            print_part("test", parts.1);
        }
    }
    for file in files {
        let size = indicatif::BinaryBytes(file.size);
        let verdict = if file.as_published { "as published" } else { "NOT the published content" };
        println!("  {:<6} {} ({size}, {verdict})", "file", name_of(&file.path));
    }
}

fn print_part(split: &str, part: &Part) {
    match part {
        Part::Found { origin, shape, counts } => {
            let what = match shape {
                [1, 1, 2] => "points".into(),
                [height, width, 1] => format!("of {height}x{width}, 1 channel"),
                [height, width, channels] => format!("of {height}x{width}, {channels} channels"),
            };
            let total: u64 = counts.iter().sum();
            println!("  {split:<6} {total} {what} ({origin}); {}", classes(counts));
        }
        Part::Missing { why } => println!("  {split:<6} not there\n{}", indented(why)),
        Part::Broken { why } => println!("  {split:<6} BROKEN: {}", indented(why).trim_start()),
    }
}

/// How the pictures are shared out, one number a class where there are few.
fn classes(counts: &[u64]) -> String {
    let (least, most) = (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
    match counts {
        [_] => "one class".into(),
        _ if least == most => format!("{} classes of {most} each", counts.len()),
        _ if counts.len() <= 10 => {
            format!("classes of {}", counts.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
        }
        _ => format!("{} classes of {least} to {most}", counts.len()),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
