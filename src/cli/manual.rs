//! `ddgan completions` and `ddgan man`: what packages install beside the program.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Command};
use clap_complete::Shell;

use crate::fsutil::write_atomic;

/// Print a script that completes this program's commands in a shell.
///
/// For bash, in ~/.bashrc: source <(ddgan completions bash)
#[derive(Args)]
pub struct CompletionsArgs {
    shell: Shell,
}

/// Print the manual, or the page of one verb.
///
/// To read it: ddgan man train | man -l -
#[derive(Args)]
pub struct ManArgs {
    /// The verb [default: the program as a whole]
    verb: Option<String>,
    /// Write all pages to this folder instead: ddgan.1, ddgan-train.1, ...
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    outdir: Option<PathBuf>,
}

pub fn completions(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "ddgan", &mut script);
    super::print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}

pub fn man(args: &ManArgs, mut command: Command) -> anyhow::Result<ExitCode> {
    command.build(); // gives the verbs their full names
    let verbs = || command.get_subcommands().filter(|verb| verb.get_name() != "help");
    if let Some(folder) = &args.outdir {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        for page in std::iter::once(&command).chain(verbs()) {
            let name = page.get_display_name().unwrap_or(page.get_name());
            let roff = page_of(page)?;
            write_atomic(folder.join(format!("{name}.1")), |file| std::io::Write::write_all(file, roff.as_bytes()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let page = match &args.verb {
        None => &command,
        Some(name) => match verbs().find(|verb| verb.get_name() == name) {
            Some(verb) => verb,
            None => {
                let names: Vec<&str> = verbs().map(Command::get_name).collect();
                bail!("there is no verb `{name}`; there are: {}", names.join(", "));
            }
        },
    };
    super::print(&page_of(page)?)?;
    Ok(ExitCode::SUCCESS)
}

fn page_of(command: &Command) -> anyhow::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(String::from_utf8(page)?)
}
