//! idx files, the format of MNIST: two zero bytes, the element type, the number of dimensions, each dimension as a
//! big-endian u32, then the elements with the last dimension fastest. Plain or gzipped, told apart by their content.

use crate::error::{Error, IoContext, Result};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

const U8: u8 = 0x08;
/// The first bytes of a gzip file.
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];
/// More than the largest relative of MNIST (EMNIST by class: 548 MB); a header that claims more is not believed.
const MAX_BYTES: u64 = 768 << 20;
/// Deflate cannot shrink anything further than this, so a small file cannot make us reserve much.
const DEFLATE_MAX_RATIO: u64 = 1032;

/// An array of bytes with its dimensions, the first one the number of items.
#[derive(Debug, PartialEq, Eq)]
pub struct Idx {
    pub dims: Vec<usize>,
    pub data: Vec<u8>,
}

impl Idx {
    /// Reads an idx file of unsigned bytes that has `rank` dimensions: 3 for pictures, 1 for labels.
    ///
    /// Errors name the file: not idx, another element type or rank, more or fewer bytes than its header says, a
    /// damaged gzip. The memory used never exceeds what the header declares, and that is at most 768 MiB.
    pub fn read(path: impl AsRef<Path>, rank: usize) -> Result<Idx> {
        let path = path.as_ref();
        let mut file = BufReader::with_capacity(1 << 16, File::open(path).at(path, "read")?);
        let length = file.get_ref().metadata().at(path, "read")?.len();
        // fill_buf may give fewer bytes than asked only at the end of a regular file, so two bytes are there if any.
        let gzipped = file.fill_buf().at(path, "read")?.starts_with(&GZIP);
        if gzipped { parse(path, MultiGzDecoder::new(file), length, rank) } else { parse(path, file, length, rank) }
    }
}

/// `length`: the size of the file on the disk.
fn parse(path: &Path, mut reader: impl Read, length: u64, rank: usize) -> Result<Idx> {
    let bad = |what: String| Error::format(path, format!("{what}; get the file again"));
    let mut header = vec![0u8; 4 + 4 * rank];
    let got = read_up_to(&mut reader, &mut header).map_err(|e| read_error(path, e))?;
    let magic = &header[..got.min(4)];
    if magic.len() == 4 && magic[..2] != [0, 0] {
        return Err(bad(format!("is no idx file: it starts with {magic:02x?}, an idx file with [00, 00]")));
    }
    if magic.len() == 4 && (magic[2] != U8 || usize::from(magic[3]) != rank) {
        return Err(Error::format(
            path,
            format!(
                "holds elements of type {:#04x} in {} dimensions, expected unsigned bytes (0x08) in {rank}; {}",
                magic[2], magic[3], "are the files of the pictures and of the labels mixed up?",
            ),
        ));
    }
    if got < header.len() {
        return Err(bad(format!("ends after {got} bytes, within its header of {}", header.len())));
    }

    let dims: Vec<u64> =
        header[4..].chunks_exact(4).map(|d| u32::from_be_bytes(d.try_into().unwrap()).into()).collect();
    let declared = dims.iter().try_fold(1u64, |product, &d| product.checked_mul(d)).filter(|&n| n <= MAX_BYTES);
    let Some(declared) = declared else {
        return Err(bad(format!("declares dimensions {dims:?}, more than the {MAX_BYTES} bytes that are allowed")));
    };

    // One byte more than declared shows whether the file goes on, and makes the decoder reach its checksum.
    let plausible = declared.min(length.saturating_mul(DEFLATE_MAX_RATIO));
    let mut data = Vec::with_capacity(plausible as usize + 1);
    reader.take(declared + 1).read_to_end(&mut data).map_err(|e| read_error(path, e))?;
    let read = data.len() as u64;
    if read < declared {
        return Err(bad(format!("is cut short: it declares {dims:?} = {declared} bytes and holds {read}")));
    }
    if read > declared {
        return Err(bad(format!("goes on after the {declared} bytes that its dimensions {dims:?} declare")));
    }
    Ok(Idx { dims: dims.into_iter().map(|d| d as usize).collect(), data })
}

/// Fills `out` as far as the reader goes and returns how far.
fn read_up_to(reader: &mut impl Read, out: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match reader.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// The gzip decoder reports what is wrong with the content as an I/O error; the disk's own errors stay what they are.
fn read_error(path: &Path, source: std::io::Error) -> Error {
    match source.kind() {
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
            Error::format(path, format!("is a damaged gzip file ({source}); get the file again"))
        }
        _ => Error::Io { path: path.to_path_buf(), action: "read", source },
    }
}
