//! LMDB's data file, read only: a B+tree of pages. Every number in the file is checked before it is used, pages are
//! read by their place, and nothing is locked or mapped; so a damaged file is an error and not a crash.
//!
//! The format is that of LMDB 0.9 (data version 1) on a 64-bit little-endian machine. A page begins with its number
//! (u64), 2 unused bytes, flags (u16), and how far its list of nodes reaches (u16, u16), or for a value that is longer
//! than half a page the number of pages that it takes. A node is 8 bytes of sizes and flags, the key, and the value.

use crate::error::{Error, IoContext, Result};
use crate::fsutil::read_exact_at;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The file in the folder of an environment.
pub const DATA_FILE: &str = "data.mdb";

const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;
const HEADER: usize = 16;
/// The part of a meta page that is used.
const META: usize = 152;

/// Flags of pages.
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const OVERFLOW: u16 = 4;
/// Flags of nodes: the value has pages of its own; it is a database, or several values of one key.
const BIG: u16 = 1;
const NESTED: u16 = 2 | 4;
/// Flag of a database whose keys have several values.
const DUPSORT: u16 = 4;
/// The root of a database without entries.
const NONE: u64 = u64::MAX;
/// LMDB's own limit for a tree.
const MAX_DEPTH: usize = 32;

/// An open environment.
pub struct Environment {
    path: PathBuf,
    file: File,
    length: u64,
    page_size: usize,
    root: u64,
    entries: u64,
}

/// Where an entry's value lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub key: Box<[u8]>,
    place: Place,
    length: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a leaf, at this byte of the file.
    Leaf(u64),
    /// In pages of its own from this number on.
    Pages(u64),
}

impl Record {
    /// Bytes of the value.
    pub fn size(&self) -> u64 {
        self.length.into()
    }
}

impl Environment {
    /// Opens an environment, a folder with `data.mdb` or such a file.
    ///
    /// Errors: no such file, another format or version.
    pub fn open(path: impl AsRef<Path>) -> Result<Environment> {
        let path = path.as_ref();
        let path = if path.is_dir() { path.join(DATA_FILE) } else { path.to_path_buf() };
        let file = File::open(&path).at(&path, "open")?;
        let length = file.metadata().at(&path, "read")?.len();
        let mut environment = Environment { path, file, length, page_size: 0, root: NONE, entries: 0 };

        let first = environment.meta(0)?;
        let page_size = u32_at(&first, 40);
        if !page_size.is_power_of_two() || !(256..=1 << 16).contains(&page_size) {
            return Err(environment.damaged(format!("pages of {page_size} bytes")));
        }
        environment.page_size = page_size as usize;
        // Two pages take turns; the one of the later transaction is valid.
        let second = environment.meta(page_size.into())?;
        let transaction = |meta: &[u8; META]| u64_at(meta, 144);
        let meta = if transaction(&second) > transaction(&first) { second } else { first };
        if u16_at(&meta, 92) & DUPSORT != 0 {
            return Err(environment.unsupported("keys with several values"));
        }
        (environment.entries, environment.root) = (u64_at(&meta, 120), u64_at(&meta, 128));
        Ok(environment)
    }

    /// Number of entries.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The data file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The entries in the order of their keys, at most `limit`.
    ///
    /// Errors: a damaged file, entries that are databases or have several values.
    pub fn records(&self, limit: usize) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        // From the root to the page that is being read, each with the number of its next node.
        let mut path = Vec::new();
        let mut unread = self.length / self.page_size as u64;
        let mut next = (self.root != NONE).then_some(self.root);
        while let Some(number) = next.take() {
            // In a tree every page is met once: if there are more, they refer to each other in circles.
            if unread == 0 || path.len() == MAX_DEPTH {
                return Err(self.damaged("pages that refer to each other in circles"));
            }
            unread -= 1;
            path.push((self.page(number)?, 0));
            while let Some((page, node)) = path.last_mut() {
                if *node == page.nodes() {
                    path.pop();
                    continue;
                }
                let found = page.node(*node).ok_or_else(|| self.damaged(format!("page {}", page.number)))?;
                *node += 1;
                match found {
                    Node::Child(number) => {
                        next = Some(number);
                        break;
                    }
                    Node::Nested => return Err(self.unsupported("named databases or keys with several values")),
                    Node::Record(record) => records.push(record),
                }
                if records.len() == limit {
                    return Ok(records);
                }
            }
        }
        Ok(records)
    }

    /// The value of an entry.
    ///
    /// Errors: the file is cut short or damaged.
    pub fn read(&self, record: &Record) -> Result<Vec<u8>> {
        let start = match record.place {
            Place::Leaf(start) => start,
            Place::Pages(number) => {
                let mut header = [0; HEADER];
                let start = self.start(number, record.length.into())?;
                read_exact_at(&self.file, &mut header, start).at(&self.path, "read")?;
                if u64_at(&header, 0) != number || u16_at(&header, 10) & OVERFLOW == 0 {
                    return Err(self.damaged(format!("page {number}")));
                }
                start + HEADER as u64
            }
        };
        let mut value = vec![0; record.length as usize];
        read_exact_at(&self.file, &mut value, start).at(&self.path, "read")?;
        Ok(value)
    }

    /// The byte where a page starts, behind whose header at least `size` bytes lie in the file.
    fn start(&self, number: u64, size: u64) -> Result<u64> {
        let start = number.checked_mul(self.page_size as u64);
        let start = start.filter(|start| start.saturating_add(HEADER as u64 + size) <= self.length);
        start.ok_or_else(|| self.damaged(format!("page {number} beyond its end; is it cut short?")))
    }

    /// A page of the tree.
    fn page(&self, number: u64) -> Result<Page> {
        let start = self.start(number, (self.page_size - HEADER) as u64)?;
        let mut page = Page { number, start, bytes: vec![0; self.page_size] };
        read_exact_at(&self.file, &mut page.bytes, start).at(&self.path, "read")?;
        let list_fits = (HEADER..=self.page_size).contains(&page.list_end());
        if u64_at(&page.bytes, 0) != number || page.is_branch() == page.is_leaf() || !list_fits {
            return Err(self.damaged(format!("page {number}")));
        }
        Ok(page)
    }

    /// A meta page, at a byte of the file.
    fn meta(&self, start: u64) -> Result<[u8; META]> {
        let mut meta = [0; META];
        if self.length < start + META as u64 {
            return Err(self.damaged("not even its first pages"));
        }
        read_exact_at(&self.file, &mut meta, start).at(&self.path, "read")?;
        match (u32_at(&meta, 16), u32_at(&meta, 20)) {
            (MAGIC, VERSION) => Ok(meta),
            (MAGIC, version) => Err(Error::format(&self.path, format!("is an LMDB of version {version}, expected 1"))),
            _ => Err(Error::format(&self.path, "is no data file of LMDB (of a 64-bit little-endian machine)")),
        }
    }

    fn damaged(&self, what: impl std::fmt::Display) -> Error {
        Error::format(&self.path, format!("is a damaged LMDB: it has {what}; get the file again"))
    }

    fn unsupported(&self, what: &str) -> Error {
        Error::format(&self.path, format!("is an LMDB with {what}, expected one value for each key"))
    }
}

/// A branch or a leaf of the tree.
struct Page {
    number: u64,
    start: u64,
    bytes: Vec<u8>,
}

enum Node {
    Child(u64),
    Record(Record),
    Nested,
}

impl Page {
    fn is_branch(&self) -> bool {
        u16_at(&self.bytes, 10) & BRANCH != 0
    }

    fn is_leaf(&self) -> bool {
        u16_at(&self.bytes, 10) & LEAF != 0
    }

    /// Where the list of the nodes' places ends, which starts behind the header.
    fn list_end(&self) -> usize {
        u16_at(&self.bytes, 12).into()
    }

    fn nodes(&self) -> usize {
        (self.list_end() - HEADER) / 2
    }

    /// `None` if it does not lie in the page.
    fn node(&self, index: usize) -> Option<Node> {
        let at: usize = u16_at(&self.bytes, HEADER + 2 * index).into();
        let sizes: &[u8; 8] = self.bytes.get(at..)?.first_chunk()?;
        let [low, high, flags, key_size] = [0, 2, 4, 6].map(|i| u16_at(sizes, i));
        let length = u32::from(high) << 16 | u32::from(low);
        if self.is_branch() {
            return Some(Node::Child(u64::from(flags) << 32 | u64::from(length)));
        }
        if flags & NESTED != 0 {
            return Some(Node::Nested);
        }
        let value = at + 8 + usize::from(key_size);
        let key = self.bytes.get(at + 8..value)?;
        let place = if flags & BIG != 0 {
            Place::Pages(u64::from_le_bytes(*self.bytes.get(value..)?.first_chunk()?))
        } else {
            self.bytes.get(value..value + length as usize)?;
            Place::Leaf(self.start + value as u64)
        };
        Some(Node::Record(Record { key: key.into(), place, length }))
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at + 2)) << 16 | u32::from(u16_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at + 4)) << 32 | u64::from(u32_at(bytes, at))
}
