//! The picture files of a folder or of a zip file, by number.

use crate::data::MAX_PICTURE;
use crate::error::{Error, IoContext, Result};
use crate::fsutil::read_exact_at;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zip::ZipArchive;
use zip::result::ZipError;

/// What a picture's name ends with, in whatever case.
const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];

/// In the order of their names; hidden ones are left out.
pub enum Files {
    Folder {
        root: PathBuf,
        paths: Vec<PathBuf>,
    },
    /// Of an entry its name, for people, and its number.
    Zip {
        root: PathBuf,
        archive: ZipArchive<SharedFile>,
        entries: Vec<(String, usize)>,
    },
}

impl Files {
    /// Errors: nothing there, no zip file, a folder that cannot be listed, no pictures.
    pub fn open(root: &Path) -> Result<Files> {
        let (files, others) = if root.is_dir() { list_folder(root)? } else { list_zip(root)? };
        if files.len() > 0 {
            return Ok(files);
        }
        let others = others.map_or(String::new(), |other| format!("; there is {other}, which is none by its name"));
        let (root, extensions) = (root.display(), EXTENSIONS.join(", "));
        Err(Error::NotFound(format!("{root}: holds no pictures ({extensions}){others}")))
    }

    pub fn root(&self) -> &Path {
        match self {
            Files::Folder { root, .. } | Files::Zip { root, .. } => root,
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Files::Folder { paths, .. } => paths.len(),
            Files::Zip { entries, .. } => entries.len(),
        }
    }

    /// The name of a file below the root, with `/` between its parts.
    pub fn name(&self, index: usize) -> String {
        match self {
            Files::Folder { root, paths } => slashed(root, &paths[index]),
            Files::Zip { entries, .. } => entries[index].0.clone(),
        }
    }

    /// The content of a file.
    ///
    /// Errors: the disk's, a damaged zip file, a file of more than 256 MiB.
    pub fn read(&self, index: usize) -> Result<Vec<u8>> {
        match self {
            Files::Folder { paths, .. } => read_file(&paths[index]),
            Files::Zip { root, archive, entries } => read_zipped(root, archive, &entries[index]),
        }
    }

    /// The content of another file that lies at the root, if it is there.
    pub fn read_beside(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Files::Folder { root, .. } if !root.join(name).is_file() => Ok(None),
            Files::Folder { root, .. } => read_file(&root.join(name)).map(Some),
            Files::Zip { root, archive, .. } => {
                let entry = archive.index_for_name(name).map(|index| (name.to_string(), index));
                entry.map(|entry| read_zipped(root, archive, &entry)).transpose()
            }
        }
    }

    /// What is wrong with a file.
    pub fn error(&self, index: usize, what: String) -> Error {
        match self {
            Files::Folder { paths, .. } => Error::format(&paths[index], what),
            Files::Zip { root, entries, .. } => in_zip(root, &entries[index].0, &what),
        }
    }
}

fn list_folder(root: &Path) -> Result<(Files, Option<String>)> {
    let (mut paths, mut other) = (Vec::new(), None);
    let mut folders = vec![root.to_path_buf()];
    // A link may lead to a folder that was listed, or back up.
    let mut listed = HashSet::new();
    while let Some(folder) = folders.pop() {
        if !listed.insert(folder.canonicalize().at(&folder, "list")?) {
            continue;
        }
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).at(&folder, "list")?;
        let mut entries: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if is_hidden(&name) {
            } else if path.is_dir() {
                folders.push(path);
            } else if is_picture(&name) {
                paths.push(path);
            } else {
                other.get_or_insert_with(|| slashed(root, &path));
            }
        }
    }
    paths.sort_by_cached_key(|path| slashed(root, path));
    Ok((Files::Folder { root: root.to_path_buf(), paths }, other))
}

fn list_zip(root: &Path) -> Result<(Files, Option<String>)> {
    let file = File::open(root).at(root, "open")?;
    let length = file.metadata().at(root, "read")?.len();
    let archive = ZipArchive::new(SharedFile { file: Arc::new(file), position: 0, length });
    let archive = archive.map_err(|e| {
        zip_error(root, e, |what| Error::format(root, format!("is neither a folder nor a whole zip file ({what})")))
    })?;
    let (mut entries, mut other) = (Vec::new(), None);
    for (index, name) in archive.file_names_raw().enumerate() {
        let name = String::from_utf8_lossy(name).into_owned();
        let parts = name.split(['/', '\\']);
        if parts.clone().any(is_hidden) || name.ends_with('/') {
        } else if parts.clone().next_back().is_some_and(is_picture) {
            entries.push((name, index));
        } else {
            other.get_or_insert(name);
        }
    }
    entries.sort();
    Ok((Files::Zip { root: root.to_path_buf(), archive, entries }, other))
}

/// Also what macOS puts beside the files of a zip.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') && ![".", ".."].contains(&name) || name == "__MACOSX"
}

fn is_picture(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    EXTENSIONS.iter().any(|e| extension.eq_ignore_ascii_case(e))
}

fn slashed(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

const TOO_LARGE: &str = "is larger than the 256 MiB that are read of a picture";

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).at(path, "open")?;
    file.take(MAX_PICTURE + 1).read_to_end(&mut bytes).at(path, "read")?;
    if bytes.len() as u64 > MAX_PICTURE { Err(Error::format(path, TOO_LARGE)) } else { Ok(bytes) }
}

fn read_zipped(root: &Path, archive: &ZipArchive<SharedFile>, (name, index): &(String, usize)) -> Result<Vec<u8>> {
    let damaged = |what: &str| in_zip(root, name, &format!("is damaged ({what})"));
    // A copy shares the file and the directory; only the place in the file is its own.
    let mut archive = archive.clone();
    let entry = archive.by_index(*index).map_err(|e| zip_error(root, e, damaged))?;
    let mut bytes = Vec::new(); // grows with what is there, not with what the directory claims
    let read = entry.take(MAX_PICTURE + 1).read_to_end(&mut bytes);
    read.map_err(|e| zip_error(root, e.into(), damaged))?;
    if bytes.len() as u64 > MAX_PICTURE { Err(in_zip(root, name, TOO_LARGE)) } else { Ok(bytes) }
}

fn in_zip(root: &Path, name: &str, what: &str) -> Error {
    Error::format(root, format!("{}: {what}", name.escape_debug()))
}

/// The disk's errors stay what they are; what the content causes is `content`.
fn zip_error(root: &Path, error: ZipError, content: impl FnOnce(&str) -> Error) -> Error {
    match error {
        ZipError::Io(e)
            if !matches!(
                e.kind(),
                ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof | ErrorKind::Other
            ) =>
        {
            Error::Io { path: root.to_path_buf(), action: "read", source: e }
        }
        error => content(&error.to_string()),
    }
}

/// A file that several readers read at once, each at its own place.
#[derive(Clone)]
pub struct SharedFile {
    file: Arc<File>,
    position: u64,
    length: u64,
}

impl Read for SharedFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.length.saturating_sub(self.position).min(out.len() as u64) as usize;
        read_exact_at(&self.file, &mut out[..count], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for SharedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
