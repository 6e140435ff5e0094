//! What a bug report needs to know of the build.

use std::env;
use std::process::Command;

/// Sets DDGAN_RUSTC, DDGAN_TARGET and DDGAN_PROFILE for the program, and DDGAN_COMMIT in releases from a clone.
pub fn tell() {
    let rustc = env::var("RUSTC").expect("set by cargo");
    let rustc = output(&rustc, &["--version"]).unwrap_or("rustc of unknown version".into());
    println!("cargo:rustc-env=DDGAN_RUSTC={rustc}");
    println!("cargo:rustc-env=DDGAN_TARGET={}", env::var("TARGET").expect("set by cargo"));
    let profile = env::var("PROFILE").expect("set by cargo");
    println!("cargo:rustc-env=DDGAN_PROFILE={profile}");
    // Elsewhere it would compile the library anew after every commit.
    if profile == "release" {
        tell_commit();
    }
}

fn tell_commit() {
    // A repository around this one is another one.
    if output("git", &["rev-parse", "--show-prefix"]) != Some(String::new()) {
        return;
    }
    if let Some(commit) = output("git", &["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo:rustc-env=DDGAN_COMMIT={commit}");
    }
    // Every commit and checkout adds a line to it.
    if let Some(log) = output("git", &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
}

/// What a command that succeeds prints.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}
