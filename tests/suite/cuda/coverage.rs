//! No kernel is left out of the tests.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The names after `KERNEL(threads)` in kernels/*.cu.
fn kernels() -> BTreeSet<String> {
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels")).unwrap();
    let sources = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "cu"));
    let names = sources.flat_map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        let after = text.split("\nKERNEL(").skip(1).map(|kernel| kernel.split_once(") ").unwrap().1);
        after.map(|kernel| kernel.split('(').next().unwrap().to_owned()).collect::<Vec<_>>()
    });
    names.collect()
}

#[test]
fn every_kernel_is_launched() {
    let mut others = Command::new(std::env::current_exe().unwrap());
    others.args(["cuda::", "--skip", "cuda::coverage", "--nocapture"]).env("EMULATOR_TRACE", "1");
    let output = others.output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    let launches = said.lines().filter_map(|line| line.strip_prefix("[emulator] ")?.split_once(" <<<"));
    let launched: BTreeSet<String> = launches.map(|(name, _)| name.to_owned()).collect();
    let left_out: Vec<_> = kernels().difference(&launched).cloned().collect();
    assert!(launched.len() > 50 && left_out.is_empty(), "no test launches {left_out:?}");
}
