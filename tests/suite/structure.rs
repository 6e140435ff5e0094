//! The house rules that a compiler does not check.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under `folder`, with its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(root()).unwrap().to_path_buf(), text));
            }
        }
    }
    assert!(!files.is_empty());
    files
}

/// The modules in the order of `lib.rs`: from the top of the stack to the bottom.
fn stack() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules = lib.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).map(String::from);
    modules.collect()
}

/// The modules of this crate that a line of code names.
fn named_modules(line: &str) -> Vec<String> {
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut modules = Vec::new();
    for after in line.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            // use crate::{a::b, c}: what stands at the first level of the braces.
            Some(group) => {
                let mut depth = 0;
                let mut item = String::new();
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => modules.push(word(std::mem::take(&mut item).trim())),
                        _ => {}
                    }
                    if c != ',' || depth > 0 {
                        item.push(c);
                    }
                }
                modules.push(word(item.trim()));
            }
            None => modules.push(word(after)),
        }
    }
    modules
}

fn upward_uses(path: &Path, text: &str, stack: &[String]) -> Vec<String> {
    let place = |module: &str| stack.iter().position(|m| m == module);
    let own = path.iter().nth(1).unwrap().to_string_lossy();
    let Some(own) = place(own.trim_end_matches(".rs")) else {
        return Vec::new(); // lib.rs and main.rs stand above the stack
    };
    // A file's tests may use what they like.
    let code = text.split("#[cfg(test)]").next().unwrap();
    let lines = code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|(number, line)| named_modules(line).into_iter().map(move |module| (number, module)))
        .filter(|(_, module)| place(module).is_some_and(|used| used < own))
        .map(|(number, module)| format!("{}:{} uses {module}", path.display(), number + 1))
        .collect()
}

#[test]
fn modules_use_only_what_stands_below_them() {
    let stack = stack();
    assert!(stack.len() > 5, "the modules of lib.rs: {stack:?}");
    let upward: Vec<_> = sources("src").iter().flat_map(|(path, text)| upward_uses(path, text, &stack)).collect();
    assert!(upward.is_empty(), "lib.rs lists the modules from top to bottom; these look up:\n{}", upward.join("\n"));
}

#[test]
fn the_check_of_directions_sees_what_it_should() {
    let stack = ["cli", "ops", "tensor"].map(String::from);
    let uses = |text: &str| upward_uses(Path::new("src/ops/add.rs"), text, &stack).len();
    assert_eq!(uses("use crate::tensor::Tensor;\nuse crate::ops::mul;"), 0);
    assert_eq!(uses("use crate::cli::Args;"), 1);
    assert_eq!(uses("use crate::{Error, cli::{A, B}, tensor};"), 1);
    assert_eq!(uses("let x = crate::cli::run(crate::tensor::x());"), 1);
    assert_eq!(uses("// crate::cli is above\n#[cfg(test)]\nmod tests { use crate::cli; }"), 0);
}

/// `unsafe` and features of devices stay behind the backend.
#[test]
fn unsafe_code_lives_in_the_backend_alone() {
    let unsafe_word = "unsafe"; // this test's own source is not under src
    for (path, text) in sources("src") {
        if path.starts_with("src/backend") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            assert!(!words.into_iter().any(|w| w == unsafe_word), "{}:{}: {line}", path.display(), number + 1);
        }
    }
}
