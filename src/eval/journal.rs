//! Verdicts on pictures in a file until an evaluation is done, so that one that was stopped goes on where it was.
//!
//! The file has what it is about, then a record a batch: a CRC-32 of the rest of the record, the CRC-32 of the pictures,
//! two counts, and so many features and probabilities. What a killed program wrote last may be incomplete; its sum tells,
//! and it is made again.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::extractor::Verdicts;

/// Keeping is a service: where it does not work, an evaluation goes on without.
pub struct Journal(Option<Open>);

struct Open {
    path: PathBuf,
    file: File,
    /// Whether there may be records behind the file's position.
    more: bool,
}

/// Bytes of a record before its numbers.
const HEADER: usize = 16;

impl Journal {
    /// Keeps nothing.
    pub fn none() -> Journal {
        Journal(None)
    }

    /// The journal of what `about` tells, in a folder, with the records that are there. It keeps nothing if the folder
    /// cannot be written, or while another program is about the same.
    pub fn open(folder: &Path, about: &str) -> Journal {
        let sum: String = Sha256::digest(about).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Journal(Open::new(folder.join(format!("eval-{sum}.part")), about).ok().flatten())
    }

    /// The verdicts on the next batch if they are known and were made of pictures with this sum; with any if not given.
    /// Once they are not, those after it are forgotten.
    pub fn next(&mut self, pictures: Option<u32>) -> Option<Verdicts> {
        let open = self.0.as_mut().filter(|open| open.more)?;
        let start = open.file.stream_position().ok()?;
        match open.read() {
            Ok((sum, verdicts)) if pictures.is_none_or(|of_now| of_now == sum) => return Some(verdicts),
            _ => open.more = false,
        }
        if open.file.set_len(start).and_then(|()| open.file.seek(SeekFrom::Start(start))).is_err() {
            self.finish();
        }
        None
    }

    /// Adds those on the batch that [`Journal::next`] did not know.
    pub fn add(&mut self, pictures: u32, verdicts: &Verdicts) {
        if self.0.as_mut().is_some_and(|open| open.file.write_all(&record(pictures, verdicts)).is_err()) {
            // Such as a full disk.
            self.finish();
        }
    }

    /// Removes the file.
    pub fn finish(&mut self) {
        if let Some(Open { path, file, .. }) = self.0.take() {
            drop(file);
            let _ = fs::remove_file(path);
        }
    }
}

impl Open {
    /// `None` while somebody else has it.
    fn new(path: PathBuf, about: &str) -> io::Result<Option<Open>> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        if file.try_lock().is_err() {
            return Ok(None);
        }
        let mut start = Vec::new();
        (&mut file).take(about.len() as u64).read_to_end(&mut start)?;
        let more = start == about.as_bytes();
        if !more {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(about.as_bytes())?;
        }
        Ok(Some(Open { path, file, more }))
    }

    /// The sum of the pictures of the next record, and the verdicts.
    fn read(&mut self) -> io::Result<(u32, Verdicts)> {
        let left = self.file.metadata()?.len() - self.file.stream_position()?;
        let mut header = [0; HEADER];
        self.file.read_exact(&mut header)?;
        let [sum, pictures, features, probabilities] =
            std::array::from_fn(|i| u32::from_le_bytes(header.as_chunks().0[i]));
        let bytes = 4 * (u64::from(features) + u64::from(probabilities));
        if bytes > left {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut numbers = vec![0; bytes as usize];
        self.file.read_exact(&mut numbers)?;
        let mut own = crc32fast::Hasher::new();
        own.update(&header[4..]);
        own.update(&numbers);
        if own.finalize() != sum {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut features: Vec<f32> = numbers.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        let probabilities = features.split_off(features.len() - probabilities as usize);
        Ok((pictures, Verdicts { features, probabilities }))
    }
}

fn record(pictures: u32, verdicts: &Verdicts) -> Vec<u8> {
    let Verdicts { features, probabilities } = verdicts;
    let mut record = vec![0; 4];
    for word in [pictures, features.len() as u32, probabilities.len() as u32] {
        record.extend(word.to_le_bytes());
    }
    record.extend(features.iter().chain(probabilities).flat_map(|x| x.to_le_bytes()));
    let sum = crc32fast::hash(&record[4..]);
    record[..4].copy_from_slice(&sum.to_le_bytes());
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(i: u32) -> Verdicts {
        Verdicts { features: vec![i as f32; 3 + i as usize], probabilities: vec![0.5; i as usize] }
    }

    fn whole(folder: &Path) -> Vec<u8> {
        let mut journal = Journal::open(folder, "about");
        for i in 0..3 {
            assert_eq!(journal.next(None), None);
            journal.add(i, &verdicts(i));
        }
        let path = journal.0.as_ref().unwrap().path.clone();
        drop(journal);
        fs::read(path).unwrap()
    }

    #[test]
    fn records_come_back_until_one_is_missing_damaged_or_of_other_pictures() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = whole(dir.path());
        let path = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let known = |bytes: &[u8], sums: [Option<u32>; 3]| {
            fs::write(&path, bytes).unwrap();
            let mut journal = Journal::open(dir.path(), "about");
            let found: Vec<_> = sums.into_iter().map(|sum| journal.next(sum)).collect();
            // What is not known can be added, and is known then.
            let count = found.iter().flatten().count() as u32;
            for (i, verdicts_found) in (0..).zip(&found) {
                assert_eq!(*verdicts_found, (i < count).then(|| verdicts(i)));
            }
            (count..3).for_each(|i| journal.add(i, &verdicts(i)));
            drop(journal);
            assert_eq!(fs::read(&path).unwrap(), *whole_of(&bytes[..5]));
            count
        };
        fn whole_of(about: &[u8]) -> Box<[u8]> {
            let records = (0..3).flat_map(|i| record(i, &verdicts(i)));
            about.iter().copied().chain(records).collect()
        }
        assert_eq!(known(&bytes, [None; 3]), 3);
        assert_eq!(known(&bytes, [Some(0), Some(1), Some(2)]), 3);
        assert_eq!(known(&bytes, [Some(0), Some(7), Some(2)]), 1);
        for length in 5..bytes.len() {
            let before =
                (0..3).filter(|&n| 5 + (0..=n).map(|i| record(i, &verdicts(i)).len()).sum::<usize>() <= length);
            assert_eq!(known(&bytes[..length], [None; 3]), before.count() as u32, "cut to {length}");
        }
        for place in 5..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x40;
            assert!(known(&damaged, [None; 3]) < 3, "{place}");
        }
    }

    #[test]
    fn another_subject_and_another_program_at_work_find_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path(), "about");
        journal.add(0, &verdicts(0));
        let mut second = Journal::open(dir.path(), "about");
        assert!(second.0.is_none() && second.next(None).is_none());
        second.add(0, &verdicts(1));
        assert_eq!(Journal::open(dir.path(), "about something else").next(None), None);
        drop(journal);
        let mut again = Journal::open(dir.path(), "about");
        assert_eq!(again.next(None), Some(verdicts(0)));
        again.finish();
        // That of the other subject is still there.
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(Journal::open(&dir.path().join("nowhere"), "about").0.is_none());
    }
}
