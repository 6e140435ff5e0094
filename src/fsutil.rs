//! Files that are either whole or not there.

use crate::error::{IoContext, Result};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Writes a file so that `path` always holds the old content or the whole new one, also when the program is killed
/// or the machine loses power in between: an [`AtomicFile`] with the content that `fill` gives it.
///
/// Errors: whatever `fill` or the disk reports, with the path; nothing is left behind then.
pub fn write_atomic(path: impl AsRef<Path>, fill: impl FnOnce(&mut AtomicFile) -> io::Result<()>) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    fill(&mut file).at(&file.path, "write")?;
    file.commit()
}

/// A file that takes its name, whole, when it is committed: until then it is `.NAME.tmp` beside it. Dropped before, it
/// leaves nothing.
///
/// The temporary name is fixed, so that what a killed program left behind is overwritten by the next write and never
/// piles up; hence one writer for a path at a time.
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    /// `None` once the file has its name.
    writer: Option<BufWriter<File>>,
}

impl AtomicFile {
    /// Errors: a path that names no file, a folder that is not there or cannot be written.
    pub fn create(path: impl AsRef<Path>) -> Result<AtomicFile> {
        let path = path.as_ref().to_path_buf();
        let temporary = temporary_beside(&path).at(&path, "write")?;
        let writer = Some(BufWriter::with_capacity(1 << 16, File::create(&temporary).at(&path, "write")?));
        Ok(AtomicFile { path, temporary, writer })
    }

    /// Gives the file its name once it is safe on the disk.
    ///
    /// Errors: whatever the disk reports; what was there under the name stays.
    pub fn commit(mut self) -> Result<()> {
        let path = self.path.clone();
        self.writer().flush().and_then(|()| self.writer().get_ref().sync_all()).at(&path, "write")?;
        self.rename()?;
        sync_parent(&path).at(&path, "write")
    }

    /// Gives the file its name without waiting for the disk, for what can be made again: a program that is killed
    /// leaves it whole or not at all, a machine that loses power may not.
    ///
    /// Errors: as of [`AtomicFile::commit`].
    pub fn rename(mut self) -> Result<()> {
        self.writer().flush().and_then(|()| fs::rename(&self.temporary, &self.path)).at(&self.path, "write")?;
        self.writer = None;
        Ok(())
    }

    fn writer(&mut self) -> &mut BufWriter<File> {
        self.writer.as_mut().expect("there until the file has its name")
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.writer().seek(to)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Fills `out` from `offset` on without using the file's own position, so that threads can share the file.
///
/// Errors: the disk's, and `UnexpectedEof` where the file ends before `out` is full.
pub fn read_exact_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, out, offset);
    #[cfg(windows)]
    {
        let mut done = 0;
        while done < out.len() {
            match std::os::windows::fs::FileExt::seek_read(file, &mut out[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    let file = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
    let mut name = OsString::from(".");
    name.push(file);
    name.push(".tmp");
    Ok(path.with_file_name(name))
}

/// Removes what writers that were killed have left in a folder. Nobody may be writing there.
pub fn remove_leftovers(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).at(folder, "read")? {
        let path = entry.at(folder, "read")?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with('.') && name.ends_with(".tmp")) {
            fs::remove_file(&path).at(&path, "remove")?;
        }
    }
    Ok(())
}

/// The rename itself is safe only once the folder is on the disk; Windows cannot open folders and does not need it.
fn sync_parent(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        write_atomic(&path, |w| w.write_all(b"old")).unwrap();
        let failed = write_atomic(&path, |w| {
            w.write_all(b"half of the new")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.unwrap_err().to_string().contains("state: cannot write"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_atomic(&path, |w| w.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_missing_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("no/such/folder/x.png");
        let error = write_atomic(&path, |w| w.write_all(b"x")).unwrap_err();
        assert!(error.to_string().contains("x.png"), "{error}");
    }
}
