//! What there is of each data set, and what is wrong with it.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::download::Source;
use super::{DataSpec, Dataset, NAMES, Split, open};
use crate::error::{Error, Result};

/// One data set, as it was found.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub name: &'static str,
    pub train: Part,
    pub test: Part,
    /// The files that it was published in, where they are known and there.
    pub files: Vec<FoundFile>,
}

/// One split of a data set.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Part {
    Found {
        origin: String,
        /// Height, width and channels of a picture.
        shape: [usize; 3],
        /// Pictures of each class.
        counts: Vec<u64>,
    },
    Missing {
        why: String,
    },
    Broken {
        why: String,
    },
}

/// A published file.
#[derive(Debug, PartialEq, Serialize)]
pub struct FoundFile {
    pub path: PathBuf,
    /// Bytes on the disk.
    pub size: u64,
    /// Whether its content has the published SHA-256.
    pub as_published: bool,
}

/// Looks for every known data set where [`open`] does; with a folder or zip file given, also for pictures in it. With
/// `decode`, every picture is read, else only what it takes to open a set.
pub fn survey(path: Option<&Path>, decode: bool) -> Vec<Finding> {
    // A file is no folder of data sets.
    let is_file = path.is_some_and(Path::is_file);
    let sets = NAMES.iter().filter(|name| **name != PICTURES && !is_file);
    let mut findings: Vec<Finding> = sets.map(|name| find(name, path, decode)).collect();
    if path.is_some() {
        let test = Part::Missing { why: "pictures have no test set of their own".into() };
        let pictures = Finding { test, ..find(PICTURES, path, decode) };
        findings.extend(Some(pictures).filter(|found| is_file || !matches!(found.train, Part::Missing { .. })));
    }
    findings
}

/// The name of pictures that are no known data set.
const PICTURES: &str = "folder";

fn find(name: &'static str, data_dir: Option<&Path>, decode: bool) -> Finding {
    let [train, test] = [Split::Train, Split::Test].map(|split| {
        let spec =
            DataSpec { name: name.into(), data_dir: data_dir.map(Path::to_path_buf), split, ..Default::default() };
        match open(&spec).and_then(|data| if decode { read_all(&*data).map(|()| data) } else { Ok(data) }) {
            Ok(data) => Part::found(&*data),
            Err(Error::NotFound(why)) => Part::Missing { why },
            Err(error) => Part::Broken { why: chain(&error) },
        }
    });
    let mut files = Vec::new();
    let members = Source::by_name(name).into_iter().flat_map(|s| s.archives).flat_map(|a| a.members);
    for member in members {
        let folder = |part: &Part| match part {
            Part::Found { origin, .. } => Some(PathBuf::from(origin)),
            _ => None,
        };
        // A file that cannot be read makes its part broken; here it is left out.
        let found = folder(&train).or(folder(&test)).and_then(|folder| member.find(&folder).ok()?);
        files.extend(found.map(|(path, as_published)| {
            let size = path.metadata().map_or(0, |m| m.len());
            FoundFile { path, size, as_published }
        }));
    }
    Finding { name, train, test, files }
}

/// Errors: how many pictures cannot be read, and why the first of them cannot.
fn read_all(data: &dyn Dataset) -> Result<()> {
    let read = |picture: &mut Vec<f32>, i| {
        picture.resize(data.shape().len(), 0.0);
        data.image(i, picture).err()
    };
    let errors: Vec<Error> = (0..data.len()).into_par_iter().map_init(Vec::new, read).flatten().collect();
    let broken = errors.len();
    match errors.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(Error::config(format!(
            "{broken} of {} pictures cannot be read; the first: {}",
            data.len(),
            chain(&first)
        ))),
    }
}

impl Part {
    fn found(data: &dyn Dataset) -> Part {
        let mut counts = vec![0; data.classes()];
        (0..data.len()).for_each(|i| counts[data.label(i) as usize] += 1);
        let shape = data.shape();
        Part::Found { origin: data.origin(), shape: [shape.height, shape.width, shape.channels], counts }
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
