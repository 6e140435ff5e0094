//! Data sets from the net: mirrors tried in order, continued where a download broke off, unpacked, and checked by the
//! SHA-256 of what they hold. How an archive is wrapped differs from mirror to mirror; its content must not.

mod http;
mod unpack;

use std::fs::{self, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, IoContext, Result};

/// A data set that can be downloaded.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: &'static str,
    /// The folder of its files within the folder of all data.
    pub folder: &'static str,
    /// Addresses that the archives' names are put after.
    pub mirrors: Vec<String>,
    pub archives: Vec<Archive>,
}

/// A gzip file of one member, or a gzipped tar (`.tar.gz`) with more.
#[derive(Clone, Debug)]
pub struct Archive {
    pub name: &'static str,
    pub members: Vec<Member>,
}

/// A file as it is after unpacking.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: &'static str,
    /// In bytes.
    pub size: u64,
    /// In lower-case hexadecimal digits.
    pub sha256: String,
}

/// What happens on the way, for people to read.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// All of an archive's members are there already.
    Present { archive: &'a str },
    /// A download begins, or goes on from `done` of `total` bytes; the total is unknown where the server does not say.
    Downloading { url: &'a str, done: u64, total: Option<u64> },
    /// More has arrived: bytes so far.
    Progress { done: u64 },
    /// A mirror failed; the next one is tried, if there is one.
    Failed { error: &'a Error },
    /// The members of an archive are there and right.
    Unpacked { archive: &'a str },
}

/// The longest that nothing may arrive.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Makes sure that `folder` holds every file of a data set, with the right content. What is there and right stays; what
/// an earlier call left of a download (`NAME.part`) is continued.
///
/// Errors: no mirror has it; the disk's; another download into the folder. What has arrived so far stays.
pub fn fetch(source: &Source, folder: &Path, patience: Duration, report: &mut dyn FnMut(Event)) -> Result<()> {
    fs::create_dir_all(folder).at(folder, "make the folder")?;
    for archive in &source.archives {
        if archive.is_in(folder)? {
            report(Event::Present { archive: archive.name });
        } else {
            fetch_archive(source, archive, folder, patience, report)?;
            report(Event::Unpacked { archive: archive.name });
        }
    }
    Ok(())
}

fn fetch_archive(
    source: &Source,
    archive: &Archive,
    folder: &Path,
    patience: Duration,
    report: &mut dyn FnMut(Event),
) -> Result<()> {
    let path = folder.join(format!("{}.part", archive.name));
    let part = OpenOptions::new().read(true).append(true).create(true).open(&path).at(&path, "write")?;
    match part.try_lock() {
        Err(TryLockError::WouldBlock) => {
            return Err(Error::config(format!("{}: another download is writing it; wait for its end", path.display())));
        }
        // Where files cannot be locked, the content's hash still tells of a mixture.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    let part = http::Part { file: part, path, limit: archive.limit() };
    let mut failures = String::new();
    for mirror in &source.mirrors {
        let url = format!("{}/{}", mirror.trim_end_matches('/'), archive.name);
        match fetch_from(&url, archive, folder, patience, &part, report) {
            Ok(()) => return fs::remove_file(&part.path).at(&part.path, "remove"),
            Err(error @ Error::Download { .. }) => {
                report(Event::Failed { error: &error });
                failures.push_str(&format!("\n  {error}"));
            }
            // The disk's: another mirror would not help.
            Err(error) => return Err(error),
        }
    }
    if part.len()? == 0 {
        fs::remove_file(&part.path).at(&part.path, "remove")?;
    }
    Err(Error::NotFound(format!(
        "{} could not be downloaded:{failures}\n\
         Check the connection (HTTPS_PROXY names a proxy), or name another mirror with --url. Or get {} elsewhere, and \
         put it, unpacked, into {}. What has arrived is kept: the same command goes on from there.",
        source.name,
        archive.name,
        folder.display()
    )))
}

fn fetch_from(
    url: &str,
    archive: &Archive,
    folder: &Path,
    patience: Duration,
    part: &http::Part,
    report: &mut dyn FnMut(Event),
) -> Result<()> {
    let begun = part.len()? > 0;
    http::download(url, patience, part, report)?;
    let wrong = match unpack::unpack(archive, part, folder) {
        Err(Error::Format { what, .. }) => Error::Download { url: url.into(), what },
        result => return result,
    };
    // Nobody can go on from it. What an earlier call had left may have been of something else: then once more.
    part.clear()?;
    if begun { fetch_from(url, archive, folder, patience, part, report) } else { Err(wrong) }
}

impl Archive {
    /// Whether a folder holds all members, plain or gzipped, with the right content.
    pub fn is_in(&self, folder: &Path) -> Result<bool> {
        for member in &self.members {
            if !matches!(member.find(folder)?, Some((_, true))) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The most bytes that it can have, packed or not: its members' and 1 MiB for what an archive may hold beside.
    fn limit(&self) -> u64 {
        self.members.iter().map(|m| m.size).sum::<u64>() + (1 << 20)
    }
}

impl Member {
    /// Its file in a folder, plain or gzipped, if there is one, and whether the content is right.
    pub fn find(&self, folder: &Path) -> Result<Option<(PathBuf, bool)>> {
        let mut found = None;
        for path in [folder.join(self.name), folder.join(format!("{}.gz", self.name))] {
            if path.is_file() && !matches!(found, Some((_, true))) {
                let right = unpack::is(self, &path)?;
                found = Some((path, right));
            }
        }
        Ok(found)
    }
}

impl Source {
    /// By name, for what can be downloaded.
    pub fn by_name(name: &str) -> Option<Source> {
        match name {
            "mnist" => Some(mnist()),
            "cifar10" => Some(cifar10()),
            _ => None,
        }
    }
}

/// The names of what can be downloaded.
pub const NAMES: [&str; 2] = ["mnist", "cifar10"];

fn mnist() -> Source {
    let archive = |name, member, size, sha256: &str| Archive {
        name,
        members: vec![Member { name: member, size, sha256: sha256.into() }],
    };
    Source {
        name: "mnist",
        folder: "mnist",
        mirrors: vec![
            "https://ossci-datasets.s3.amazonaws.com/mnist".into(),
            "https://storage.googleapis.com/cvdf-datasets/mnist".into(),
            "https://azureopendatastorage.blob.core.windows.net/mnist".into(),
        ],
        archives: vec![
            archive(
                "train-images-idx3-ubyte.gz",
                "train-images-idx3-ubyte",
                47_040_016,
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            archive(
                "train-labels-idx1-ubyte.gz",
                "train-labels-idx1-ubyte",
                60_008,
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            archive(
                "t10k-images-idx3-ubyte.gz",
                "t10k-images-idx3-ubyte",
                7_840_016,
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            archive(
                "t10k-labels-idx1-ubyte.gz",
                "t10k-labels-idx1-ubyte",
                10_008,
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ],
    }
}

fn cifar10() -> Source {
    let member = |name, sha256: &str| Member { name, size: 30_730_000, sha256: sha256.into() };
    Source {
        name: "cifar10",
        folder: "cifar-10-batches-bin",
        mirrors: vec!["https://www.cs.toronto.edu/~kriz".into()],
        archives: vec![Archive {
            name: "cifar-10-binary.tar.gz",
            members: vec![
                member("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
                member("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
                member("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
                member("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
                member("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
                member("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
            ],
        }],
    }
}
