//! The members of an archive, taken out and checked.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, Write};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::http::Part;
use super::{Archive, Member};
use crate::data::idx::GZIP;
use crate::error::{Error, IoContext, Result};
use crate::fsutil::write_atomic;

/// Writes every member of an archive, which `part` holds whole, into `folder`. Each is there whole and right, or not at all.
///
/// Members are found by their names alone and nothing else is written: wherever an archive says that its files belong,
/// they get into `folder`. No more is read than the archive's limit.
///
/// Errors: damaged, a member is missing or has another content (all `Format`, naming the part); the disk's.
pub fn unpack(archive: &Archive, part: &Part, folder: &Path) -> Result<()> {
    let packed = &part.path;
    // Through the handle that has the lock, which on Windows keeps others from reading.
    (&part.file).rewind().at(packed, "read")?;
    let content = decoded(&part.file).at(packed, "read")?.take(archive.limit());
    if !archive.name.ends_with(".tar.gz") {
        return store(&archive.members[0], content, packed, folder);
    }
    let mut missing: Vec<&Member> = archive.members.iter().collect();
    for entry in tar::Archive::new(content).entries().map_err(|e| read_error(packed, e))? {
        let entry = entry.map_err(|e| read_error(packed, e))?;
        let path = entry.path().map_err(|e| read_error(packed, e))?;
        let wanted = |m: &&Member| path.file_name().is_some_and(|name| name == m.name);
        let place = missing.iter().position(wanted).filter(|_| entry.header().entry_type().is_file());
        if let Some(place) = place {
            store(missing.swap_remove(place), entry, packed, folder)?;
        }
    }
    match missing[..] {
        [] => Ok(()),
        [member, ..] => Err(Error::format(packed, format!("holds no {}", member.name))),
    }
}

/// Whether a file, gzipped or not, has a member's content.
pub fn is(member: &Member, path: &Path) -> Result<bool> {
    let content = File::open(path).and_then(decoded).at(path, "read")?;
    match copy(member, content, &mut io::sink()) {
        Ok(()) => Ok(true),
        Err(e) if is_about_content(&e) => Ok(false),
        Err(e) => Err(e).at(path, "read"),
    }
}

fn store(member: &Member, content: impl Read, packed: &Path, folder: &Path) -> Result<()> {
    match write_atomic(folder.join(member.name), |file| copy(member, content, file)) {
        Err(Error::Io { source, .. }) if is_about_content(&source) => Err(read_error(packed, source)),
        result => result,
    }
}

/// Copies a member's bytes. Errors of kind `InvalidData`: they are not as they should be.
fn copy(member: &Member, mut content: impl Read, out: &mut impl Write) -> io::Result<()> {
    let Member { name, size, sha256 } = member;
    let wrong = |what: String| Err(io::Error::new(ErrorKind::InvalidData, format!("{name} in it {what}")));
    let (mut hash, mut done) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = match content.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            n => n?,
        };
        if n == 0 {
            break;
        }
        done += n as u64;
        if done > *size {
            return wrong(format!("is longer than {size} bytes"));
        }
        hash.update(&buffer[..n]);
        out.write_all(&buffer[..n])?;
    }
    if done < *size {
        return wrong(format!("has {done} bytes, expected {size}"));
    }
    let got: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if got != *sha256 {
        return wrong(format!("has SHA-256 {got}, expected {sha256}"));
    }
    Ok(())
}

/// The content, through gzip if it is gzipped.
fn decoded<'a>(file: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut file = BufReader::with_capacity(1 << 16, file);
    // Of a regular file fewer bytes than asked for come only at its end.
    let gzipped = file.fill_buf()?.starts_with(&GZIP);
    Ok(if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Decoders report what is wrong with the content as I/O errors of these kinds; the disk's own are of others.
fn is_about_content(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::Other
    )
}

fn read_error(packed: &Path, source: io::Error) -> Error {
    if is_about_content(&source) {
        return Error::format(packed, format!("is not what was asked for: {source}"));
    }
    Error::Io { path: packed.to_path_buf(), action: "read", source }
}
