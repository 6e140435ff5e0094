//! Downloads from a server of this test's own; nothing here leaves the machine.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ddgan::data::download::{Archive, Event, Member, Source, fetch};
use ddgan::{Error, Result};
use sha2::{Digest, Sha256};

/// How a server answers for its files.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Ordinary,
    /// Sends the whole file, whatever part was asked for.
    NoRanges,
    /// Closes the connection after so many bytes of each answer.
    Cuts(usize),
    /// Sends the head of an answer and nothing more.
    Stalls,
}

/// Serves files on this machine; remembers of each request the first byte of the range that it asked for.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Option<usize>>>>,
}

impl Server {
    fn start(manner: Manner, files: &[(&str, Vec<u8>)]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let files: HashMap<String, Vec<u8>> = files.iter().map(|(n, f)| (format!("/{n}"), f.clone())).collect();
        let log = asked.clone();
        // It ends with the test's process.
        thread::spawn(move || {
            let mut stalled = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                // A client that has seen enough may be gone.
                let _ = answer(&stream, manner, &files, &log);
                if manner == Manner::Stalls {
                    stalled.push(stream);
                }
            }
        });
        Server { url, asked }
    }

    /// The first bytes of the ranges that were asked for, since the last call.
    fn ranges(&self) -> Vec<Option<usize>> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn answer(
    mut stream: &TcpStream,
    manner: Manner,
    files: &HashMap<String, Vec<u8>>,
    log: &Mutex<Vec<Option<usize>>>,
) -> std::io::Result<()> {
    let lines: Vec<String> = BufReader::new(stream).lines().map_while(|l| l.ok().filter(|l| !l.is_empty())).collect();
    let path = lines[0].split(' ').nth(1).unwrap().to_string();
    let range = lines.iter().find_map(|l| l.to_lowercase().strip_prefix("range: bytes=").map(str::to_string));
    let first: Option<usize> = range.map(|range| range.trim_end_matches('-').parse().unwrap());
    log.lock().unwrap().push(first);
    let Some(file) = files.get(&path) else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone");
    };
    let (length, first) = (file.len(), first.filter(|_| manner != Manner::NoRanges));
    match first {
        Some(first) if first >= length => {
            return write!(
                stream,
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{length}\r\n\
                Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        Some(first) => {
            write!(stream, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{}/{length}\r\n", length - 1)?
        }
        None => write!(stream, "HTTP/1.1 200 OK\r\n")?,
    }
    let body = &file[first.unwrap_or(0)..];
    write!(stream, "Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    match manner {
        Manner::Ordinary | Manner::NoRanges => stream.write_all(body),
        Manner::Cuts(n) => stream.write_all(&body[..n.min(body.len())]),
        Manner::Stalls => Ok(()),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A gzipped tar of files by their paths, whatever these say.
fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        // `set_path` would refuse `..`.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

fn content(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251 + seed) as u8).collect()
}

fn member(name: &'static str, content: &[u8]) -> Member {
    let sha256 = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    Member { name, size: content.len() as u64, sha256 }
}

/// A data set of one gzip file, `digits.gz`.
fn digits(content: &[u8], mirrors: &[&str]) -> Source {
    Source {
        name: "digits",
        folder: "digits",
        mirrors: mirrors.iter().map(|m| m.to_string()).collect(),
        archives: vec![Archive { name: "digits.gz", members: vec![member("digits", content)] }],
    }
}

/// Fetches, with what was reported a word each.
fn run(source: &Source, folder: &Path) -> (Result<()>, Vec<String>) {
    let mut events = Vec::new();
    let result = fetch(source, folder, Duration::from_millis(500), &mut |event| {
        events.extend(match event {
            Event::Present { archive } => Some(format!("present {archive}")),
            Event::Downloading { done, total, .. } => Some(format!("from {done} of {}", total.unwrap())),
            Event::Failed { error } => Some(format!("failed {error}")),
            Event::Unpacked { archive } => Some(format!("unpacked {archive}")),
            Event::Progress { .. } => None,
        });
    });
    (result, events)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_fetched_once() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), content(1, 100_000));
    let packed = gzip(&bytes);
    let server = Server::start(Manner::Ordinary, &[("digits.gz", packed.clone())]);
    let (source, folder) = (digits(&bytes, &[&server.url]), dir.path().join("made/on/the/way"));
    let (result, events) = run(&source, &folder);
    result.unwrap();
    assert_eq!(events, [format!("from 0 of {}", packed.len()), "unpacked digits.gz".into()]);
    assert_eq!(fs::read(folder.join("digits")).unwrap(), bytes);
    assert_eq!(names(&folder), ["digits"]);
    assert_eq!(server.ranges(), [None]);

    assert_eq!(run(&source, &folder).1, ["present digits.gz"]);
    // Gzipped is as good.
    fs::remove_file(folder.join("digits")).unwrap();
    fs::write(folder.join("digits.gz"), &packed).unwrap();
    assert_eq!(run(&source, &folder).1, ["present digits.gz"]);
    assert_eq!(server.ranges(), []);
    // A damaged file is fetched anew.
    fs::write(folder.join("digits.gz"), &packed[..packed.len() - 9]).unwrap();
    run(&source, &folder).0.unwrap();
    assert_eq!(fs::read(folder.join("digits")).unwrap(), bytes);
}

#[test]
fn what_arrived_is_continued() {
    let (bytes, packed) = (content(1, 100_000), gzip(&content(1, 100_000)));
    // What an earlier call left, the manner of the server, what it is asked.
    let part = &packed[..40_000];
    for (left, manner, asked) in [
        (part, Manner::Ordinary, vec![Some(40_000)]),
        (part, Manner::NoRanges, vec![Some(40_000)]),
        (&packed[..], Manner::Ordinary, vec![Some(packed.len())]),
        (&[], Manner::Cuts(60_000), vec![None, Some(60_000)]),
    ] {
        let (dir, server) = (tempfile::tempdir().unwrap(), Server::start(manner, &[("digits.gz", packed.clone())]));
        fs::write(dir.path().join("digits.gz.part"), left).unwrap();
        run(&digits(&bytes, &[&server.url]), dir.path()).0.unwrap();
        assert_eq!(server.ranges(), asked);
        assert_eq!(names(dir.path()), ["digits"]);
    }
}

/// What was left is of another file, or too long: it is thrown away, and the file fetched whole.
#[test]
fn what_arrived_but_does_not_fit_is_dropped() {
    let (bytes, packed) = (content(1, 100_000), gzip(&content(1, 100_000)));
    for left in [vec![7; 40_000], vec![7; packed.len()], vec![7; packed.len() + 1]] {
        let (dir, server) =
            (tempfile::tempdir().unwrap(), Server::start(Manner::Ordinary, &[("digits.gz", packed.clone())]));
        fs::write(dir.path().join("digits.gz.part"), &left).unwrap();
        run(&digits(&bytes, &[&server.url]), dir.path()).0.unwrap();
        assert_eq!(server.ranges(), [Some(left.len()), None]);
        assert_eq!(fs::read(dir.path().join("digits")).unwrap(), bytes);
    }
}

#[test]
fn mirrors_are_tried_in_order() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), content(1, 5000));
    let without = Server::start(Manner::Ordinary, &[]);
    let other = Server::start(Manner::Ordinary, &[("digits.gz", gzip(&content(2, 5000)))]);
    let stalls = Server::start(Manner::Stalls, &[("digits.gz", gzip(&bytes))]);
    let right = Server::start(Manner::Ordinary, &[("data/digits.gz", gzip(&bytes))]);
    // A port that nobody listens at any more.
    let closed = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let last = format!("{}/data/", right.url);
    let source = digits(&bytes, &[&without.url, &closed, &other.url, &stalls.url, &last]);
    let (result, events) = run(&source, dir.path());
    result.unwrap();
    let failed: Vec<_> = events.iter().filter(|e| e.starts_with("failed")).collect();
    let words = ["404 Not Found", "onnection refused", "SHA-256", "broke off"];
    assert_eq!(failed.len(), words.len(), "{failed:#?}");
    failed.iter().zip(words).for_each(|(said, word)| assert!(said.contains(word), "{said}"));
    assert_eq!(fs::read(dir.path().join("digits")).unwrap(), bytes);
}

#[test]
fn if_no_mirror_has_it_the_error_says_what_to_do_and_nothing_wrong_is_left() {
    let bytes = content(1, 50_000);
    let long = |len| gzip(&content(1, len));
    // Wrong content, too short, longer than may be, a bomb, no gzip at all, a connection that always breaks.
    let bomb = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        (0..1000).for_each(|_| encoder.write_all(&[0; 100_000]).unwrap());
        encoder.finish().unwrap()
    };
    for (file, manner, word) in [
        (gzip(&content(2, 50_000)), Manner::Ordinary, "SHA-256"),
        (long(49_999), Manner::Ordinary, "expected 50000"),
        (long(50_001), Manner::Ordinary, "longer than 50000"),
        (long(3 << 20), Manner::Ordinary, "longer than the 1098576"),
        (bomb, Manner::Ordinary, "longer than 50000"),
        (b"<!DOCTYPE html>".to_vec(), Manner::Ordinary, "expected 50000"),
        (gzip(&bytes)[..30_000].to_vec(), Manner::Ordinary, "incomplete"),
        (gzip(&bytes), Manner::Cuts(0), "broke off"),
    ] {
        let (dir, server) = (tempfile::tempdir().unwrap(), Server::start(manner, &[("digits.gz", file)]));
        let error = run(&digits(&bytes, &[&server.url]), dir.path()).0.unwrap_err();
        assert!(matches!(error, Error::NotFound(_)), "{error:?}");
        let text = error.to_string();
        assert!([word, "--url", "digits.gz", dir.path().to_str().unwrap()].iter().all(|w| text.contains(w)), "{text}");
        assert_eq!(names(dir.path()), [""; 0], "{text}");
    }
}

#[test]
fn an_archive_gives_its_members_and_nothing_else() {
    let (a, b) = (content(1, 3000), content(2, 70_000));
    let archive = tar_gz(&[
        ("set/readme.html", b"hello"),
        ("../../escaped", b"out of here"),
        ("/etc/b.bin", &b),
        ("./set/a.bin", &a),
    ]);
    let server =
        Server::start(Manner::Ordinary, &[("set.tar.gz", archive), ("short.tar.gz", tar_gz(&[("a.bin", &a)]))]);
    let source = |name| Source {
        name: "set",
        folder: "set",
        mirrors: vec![server.url.clone()],
        archives: vec![Archive { name, members: vec![member("a.bin", &a), member("b.bin", &b)] }],
    };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("one/two");
    run(&source("set.tar.gz"), &folder).0.unwrap();
    assert_eq!(names(&folder), ["a.bin", "b.bin"]);
    assert_eq!((names(dir.path()), names(&dir.path().join("one"))), (vec!["one".into()], vec!["two".into()]));
    assert!(fs::read(folder.join("a.bin")).unwrap() == a && fs::read(folder.join("b.bin")).unwrap() == b);

    let error = run(&source("short.tar.gz"), &dir.path().join("short")).0.unwrap_err().to_string();
    assert!(error.contains("holds no b.bin"), "{error}");
}

#[test]
fn two_downloads_into_one_folder_do_not_mix() {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), content(1, 5000));
    let part = File::create(dir.path().join("digits.gz.part")).unwrap();
    part.lock().unwrap();
    let server = Server::start(Manner::Ordinary, &[("digits.gz", gzip(&bytes))]);
    let error = run(&digits(&bytes, &[&server.url]), dir.path()).0.unwrap_err().to_string();
    assert!(error.contains("another download"), "{error}");
    drop(part);
    run(&digits(&bytes, &[&server.url]), dir.path()).0.unwrap();
}

#[test]
fn what_can_be_fetched_is_well_described() {
    for name in ddgan::data::download::NAMES {
        let source = Source::by_name(name).unwrap();
        assert!(ddgan::data::NAMES.contains(&name) && source.mirrors.iter().all(|m| m.starts_with("https://")));
        for member in source.archives.iter().flat_map(|a| &a.members) {
            let digits = member.sha256.bytes().filter(|b| b"0123456789abcdef".contains(b)).count();
            assert!(digits == 64 && member.sha256.len() == 64 && member.size > 0, "{member:?}");
        }
    }
    assert!(Source::by_name("nist").is_none());
}
