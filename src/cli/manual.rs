//! `ddgan completions` and `ddgan man`: what packages install beside the program.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Command};
use clap_complete::Shell;

/// Print a script that completes commands in a shell.
///
/// For bash, in ~/.bashrc: source <(ddgan completions bash)
#[derive(Args)]
pub struct CompletionsArgs {
    shell: Shell,
}

/// Print a page of the manual: about the program, or a verb.
///
/// To read it: ddgan man train | man -l -
#[derive(Args)]
pub struct ManArgs {
    /// The verb, such as `train` or `data fetch`
    verb: Vec<String>,
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

pub fn man(args: &ManArgs, command: Command) -> anyhow::Result<ExitCode> {
    /// The manual is the help.
    fn without_help(command: Command) -> Command {
        command.disable_help_subcommand(true).mut_subcommands(without_help)
    }
    let mut command = without_help(command);
    if let Some(folder) = &args.outdir {
        let write = || fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
        write().with_context(|| format!("cannot write pages to {}", folder.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    command.build(); // gives the verbs their full names
    let mut page = &command;
    for name in &args.verb {
        page = match page.find_subcommand(name) {
            Some(verb) => verb,
            None => {
                let names: Vec<&str> = page.get_subcommands().map(Command::get_name).collect();
                bail!("there is no verb `{name}`; there are: {}", names.join(", "));
            }
        };
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(page.clone()).render(&mut text)?;
    super::print(&String::from_utf8(text)?)?;
    Ok(ExitCode::SUCCESS)
}
