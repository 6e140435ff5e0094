//! The library's one error type. A message says what is wrong, where, and what to do about it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Tensors that do not fit an operation: which one, what it expected, what came.
    #[error("{op}: expected {expected}, got {got}")]
    Shape { op: &'static str, expected: String, got: String },
    /// A derivative that an operation does not have.
    #[error("{op}: {what}")]
    Autograd { op: &'static str, what: String },
    /// A setting out of range or a combination that cannot work.
    #[error("{0}")]
    Config(String),
    /// A file whose content is not what it should be.
    #[error("{}: {what}", path.display())]
    Format { path: PathBuf, what: String },
    /// A file that cannot be read or written.
    #[error("{}: cannot {action}", path.display())]
    Io { path: PathBuf, action: &'static str, source: std::io::Error },
    /// A file that does not come over the net.
    #[error("{url}: {what}")]
    Download { url: String, what: String },
    /// Data that was not found where it was looked for.
    #[error("{0}")]
    NotFound(String),
    /// No GPU where one was asked for, or one that failed.
    #[error("{0}")]
    Cuda(String),
    /// More memory than a GPU has left.
    #[error(
        "{device} is out of memory: {} were asked for, {} of {} are free",
        mebibytes(*asked), mebibytes(*free), mebibytes(*total)
    )]
    OutOfMemory { device: String, asked: usize, free: usize, total: usize },
    /// A training that cannot go on.
    #[error("step {step}: {what}")]
    Training { step: u64, what: String },
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

/// Errors: a setting outside of the range of what works.
pub fn check_range<T: PartialOrd + Display>(key: &str, value: T, range: &RangeInclusive<T>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::setting(key, value, format_args!("{} to {}", range.start(), range.end())))
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn shape(op: &'static str, expected: impl Into<String>, got: impl std::fmt::Debug) -> Self {
        Error::Shape { op, expected: expected.into(), got: format!("{got:?}") }
    }

    pub fn config(what: impl Into<String>) -> Self {
        Error::Config(what.into())
    }

    pub fn cuda(what: impl Into<String>) -> Self {
        Error::Cuda(what.into())
    }

    /// A setting out of range: its key, what it is, what it may be.
    pub fn setting(key: &str, got: impl Display, expected: impl Display) -> Self {
        Error::Config(format!("{key} is {got}, expected {expected}"))
    }

    pub fn format(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Error::Format { path: path.as_ref().to_path_buf(), what: what.into() }
    }
}

/// Attaches the path and the action to an I/O error: `fs::read(p).at(p, "read")?`.
pub trait IoContext<T> {
    fn at(self, path: impl AsRef<Path>, action: &'static str) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn at(self, path: impl AsRef<Path>, action: &'static str) -> Result<T> {
        self.map_err(|source| Error::Io { path: path.as_ref().to_path_buf(), action, source })
    }
}
