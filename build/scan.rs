//! Finds the kernels of a .cu file, without a compiler: what a launch needs must be known where there is none.

use std::fs;
use std::path::{Path, PathBuf};

/// The number types that a kernel's `T` stands for: the name in CUDA, and the one in Rust.
pub const NUMBERS: [(&str, &str); 2] = [("float", "f32"), ("bf16", "bf16")];

/// One kernels/*.cu.
pub struct Source {
    pub path: PathBuf,
    /// The file's name without its ending.
    pub stem: String,
    pub kernels: Vec<Kernel>,
}

/// `KERNEL(threads) name(parameters)`.
pub struct Kernel {
    pub name: String,
    /// Threads of a block.
    pub threads: u32,
    pub params: Vec<Param>,
}

pub struct Param {
    pub name: String,
    /// As in the source, without `const`, `*` and `__restrict__`.
    pub kind: String,
    pub pointer: bool,
    pub constant: bool,
}

impl Source {
    /// Made once for each number type, because a kernel takes `T`.
    pub fn is_generic(&self) -> bool {
        self.kernels.iter().any(Kernel::is_generic)
    }

    /// The number types it is compiled for, as indices into [`NUMBERS`].
    pub fn numbers(&self) -> std::ops::Range<usize> {
        0..if self.is_generic() { NUMBERS.len() } else { 1 }
    }

    /// The number type whose image holds a kernel that takes no `T`: bf16 if it names that, else the first.
    pub fn number_of(&self, kernel: &Kernel) -> usize {
        usize::from(self.is_generic() && kernel.params.iter().any(|p| p.kind == "bf16"))
    }

    /// The name of the image for a number type.
    pub fn image(&self, number: usize) -> String {
        if self.is_generic() { format!("{}_{}", self.stem, NUMBERS[number].1) } else { self.stem.clone() }
    }
}

impl Kernel {
    pub fn is_generic(&self) -> bool {
        self.params.iter().any(|p| p.kind == "T")
    }
}

/// All sources of a folder, in the order of their names.
pub fn sources(folder: &Path) -> Vec<Source> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("a readable folder").path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "cu"));
    paths.sort();
    paths.iter().map(|path| source(path)).collect()
}

pub fn source(path: &Path) -> Source {
    let text = without_comments(&read(path));
    let stem = path.file_stem().expect("a file").to_str().expect("a name in UTF-8").to_owned();
    let kernels = kernels(&text, &with_headers(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(!kernels.is_empty(), "{}: holds no kernel", path.display());
    Source { path: path.to_owned(), stem, kernels }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A file and the headers beside it that it includes, for looking up constants.
fn with_headers(path: &Path) -> String {
    let mut text = without_comments(&read(path));
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("#include \"")?.strip_suffix('"'));
    let headers: Vec<PathBuf> = names.map(|name| path.with_file_name(name)).filter(|p| p.is_file()).collect();
    for header in headers {
        text += &with_headers(&header);
    }
    text
}

fn kernels(text: &str, constants: &str) -> Result<Vec<Kernel>, String> {
    if text.contains("__global__") {
        return Err("a kernel is written `KERNEL(threads) name(parameters)`, so that the build can find it".into());
    }
    text.match_indices("KERNEL(").map(|(at, mark)| kernel(constants, &text[at + mark.len()..])).collect()
}

/// Parses what follows `KERNEL(`.
fn kernel(constants: &str, rest: &str) -> Result<Kernel, String> {
    let (bounds, rest) = rest.split_once(')').ok_or("KERNEL( without its end")?;
    let (name, rest) = rest.split_once('(').ok_or("KERNEL(..) without parameters")?;
    let (params, _) = rest.split_once(')').ok_or("a kernel's parameters do not end")?;
    let name = name.trim().to_owned();
    let threads = bounds.split(',').next().unwrap_or_default().trim();
    let threads = constant(constants, threads).ok_or_else(|| format!("{name}: how many threads is `{threads}`?"))?;
    let params = params.split(',').map(str::trim).filter(|p| !p.is_empty());
    let params: Option<Vec<Param>> = params.map(param).collect();
    Ok(Kernel { params: params.ok_or_else(|| format!("{name}: cannot read its parameters"))?, name, threads })
}

/// An integer, written out or as the name of a `constexpr int`.
fn constant(text: &str, word: &str) -> Option<u32> {
    word.parse().ok().or_else(|| {
        let (_, rest) = text.split_once(&format!("constexpr int {word} ="))?;
        rest.split(';').next()?.trim().parse().ok()
    })
}

fn param(text: &str) -> Option<Param> {
    let pointer = text.contains('*');
    let text = text.replace('*', " * ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let (name, kind) = words.split_last()?;
    // Of `const T* const p` only the first says what the pointer points to.
    let constant = kind.first() == Some(&"const");
    let kind: Vec<&str> = kind.iter().filter(|w| !["const", "*", "__restrict__"].contains(w)).copied().collect();
    Some(Param { name: (*name).to_owned(), kind: kind.join(" "), pointer, constant })
}

pub fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("//").into_iter().chain(rest.find("/*")).min() {
        code += &rest[..at];
        let end = if rest[at..].starts_with("//") { "\n" } else { "*/" };
        rest = rest[at..].split_once(end).map_or("", |(_, after)| after);
        code += "\n";
    }
    code + rest
}
