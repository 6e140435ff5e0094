//! One file over HTTP, continued where it broke off.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use ureq::Agent;

use super::Event;
use crate::error::{Error, IoContext, Result};

/// How often a server may break off, if something new arrives each time.
const TRIES: usize = 20;

/// What has arrived of a file. Open for reading and appending.
pub struct Part {
    pub file: File,
    pub path: PathBuf,
    /// The most bytes that it may come to have.
    pub limit: u64,
}

impl Part {
    /// Bytes so far.
    pub fn len(&self) -> Result<u64> {
        Ok(self.file.metadata().at(&self.path, "read")?.len())
    }

    pub fn clear(&self) -> Result<()> {
        self.file.set_len(0).at(&self.path, "write")
    }
}

/// Completes `part` with the file at `url`.
///
/// Errors: `Download` for all that a server or the net can do wrong; the disk's.
pub fn download(url: &str, patience: Duration, part: &Part, report: &mut dyn FnMut(Event)) -> Result<()> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_resolve(Some(patience))
        .timeout_connect(Some(patience))
        .timeout_recv_response(Some(patience))
        .timeout_per_read(Some(patience));
    let agent: Agent = config.build().into();
    let mut outcome = Ok(false);
    for _ in 0..TRIES {
        let before = part.len()?;
        outcome = attempt(&agent, url, part, report);
        match &outcome {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(Error::Download { .. }) if part.len()? > before => {}
            Err(_) => break,
        }
    }
    Err(outcome.err().unwrap_or_else(|| failed(url, "never sends the part that was asked for")))
}

/// Asks once for what is missing. `true`: the part is whole; `false`: it is empty now, since the server has nothing that
/// goes on from it.
fn attempt(agent: &Agent, url: &str, part: &Part, report: &mut dyn FnMut(Event)) -> Result<bool> {
    let have = part.len()?;
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("range", format!("bytes={have}-"));
    }
    let response = request.call().map_err(|e| failed(url, describe(e)))?;
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let (mut done, total) = match response.status().as_u16() {
        200 => {
            part.clear()?;
            (0, header("content-length").and_then(|length| length.parse().ok()))
        }
        206 => match header("content-range").and_then(parse_content_range) {
            Some((start, total)) if start == have => (have, total),
            _ => return part.clear().map(|()| false),
        },
        // Nothing comes after what is here.
        416 if have > 0 && header("content-range") == Some(&format!("bytes */{have}")) => return Ok(true),
        416 if have > 0 => return part.clear().map(|()| false),
        _ => return Err(failed(url, format!("the server answers {}", response.status()))),
    };
    let too_long = || failed(url, format!("is longer than the {} bytes that it may have", part.limit));
    if total.is_some_and(|total| total > part.limit) {
        return Err(too_long());
    }
    report(Event::Downloading { url, done, total });
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(failed(url, format!("broke off after {done} bytes: {e}"))),
        };
        done += n as u64;
        if done > part.limit {
            part.clear()?;
            return Err(too_long());
        }
        (&part.file).write_all(&buffer[..n]).at(&part.path, "write")?;
        report(Event::Progress { done });
    }
    match total {
        Some(total) if done != total => Err(failed(url, format!("broke off after {done} of {total} bytes"))),
        _ => Ok(true),
    }
}

/// The first byte and the length of the whole, if it is known, of `bytes FIRST-LAST/LENGTH`.
fn parse_content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, length) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.parse().ok()?, length.parse().ok()))
}

fn failed(url: &str, what: impl Into<String>) -> Error {
    Error::Download { url: url.into(), what: what.into() }
}

fn describe(error: ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "there is no such host, or no connection to ask for it".into(),
        ureq::Error::Timeout(_) => "the server does not answer".into(),
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}
