//! A file over HTTP, whose digest is known: what arrived is kept, and an interrupted download goes on from there.

use super::batches::hexadecimal;
use crate::interrupt::{Interrupt, Interrupted};
use crate::screen::{Screen, bytes_bar, grouped};
use anyhow::{Context, Result, anyhow, bail, ensure};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

/// How long to wait for a connection, and for more of what it sends.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most that is taken where the length is not known beforehand.
const MOST_BYTES: u64 = 1 << 30;

/// Bytes between two looks at Ctrl-C.
const PIECE: usize = 1 << 16;

/// A file on a server, and how to know that it is the right one.
#[derive(Clone, Copy, Debug)]
pub struct Remote<'a> {
    /// Where it is.
    pub url: &'a str,
    /// What it contains.
    pub sha256: &'a str,
    /// How long it is, if that is known.
    pub bytes: Option<u64>,
}

impl Remote<'_> {
    /// Brings `part` to the whole file and checks it.
    ///
    /// A part that turns out to be of another file is thrown away, and the download starts again, once.
    pub fn download(self, part: &mut Part, interrupt: &Interrupt, screen: &mut Screen) -> Result<()> {
        loop {
            let kept = part.length()?;
            if kept == 0 || self.bytes != Some(kept) {
                self.transfer(part, interrupt, screen)?;
            }
            let found = part.sha256()?;
            if found == self.sha256 {
                return Ok(());
            }
            part.clear()?;
            let (url, expected) = (self.url, self.sha256);
            ensure!(kept > 0, "what {url} sent has the SHA-256 {found} instead of {expected}; it was not kept");
            screen.line("           What was kept of an earlier download does not fit: starting again.")?;
        }
    }

    /// Appends what is missing of the file.
    fn transfer(self, part: &mut Part, interrupt: &Interrupt, screen: &mut Screen) -> Result<()> {
        let kept = part.length()?;
        let response = self.ask_from(kept)?;
        let start = if response.status() == StatusCode::OK { 0 } else { kept };
        let offered = length(&response).map(|length| start.saturating_add(length));
        match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response, kept) => {
                screen.line(&format!("           going on after {} bytes", grouped(kept)))?;
            }
            StatusCode::OK => {
                // A page that asks to log in must not cost what was kept.
                self.check_length(offered)?;
                if kept > 0 {
                    screen
                        .line("           The server cannot go on from where the download stopped: starting again.")?;
                    part.clear()?;
                }
            }
            // Nothing follows what is kept: its digest says whether it is the file.
            StatusCode::RANGE_NOT_SATISFIABLE if kept > 0 => return Ok(()),
            StatusCode::PARTIAL_CONTENT => bail!("{} sent another part of the file than was asked for", self.url),
            status => bail!("{} cannot be had: the server answers {status}", self.url),
        }
        self.check_length(offered)?;
        let total = offered.or(self.bytes);
        let bar = bytes_bar(total);
        bar.set_position(start);
        let result = copy(response, part, (total, self.bytes.unwrap_or(MOST_BYTES)), |arrived| {
            bar.set_position(arrived);
            interrupt.is_asked()
        });
        bar.finish_and_clear();
        result.with_context(|| format!("{} did not arrive", self.url)).map_err(|error| match error.downcast() {
            // How it ends, not what went wrong.
            Ok(interrupted @ Interrupted(_)) => interrupted.into(),
            Err(error) => error,
        })
    }

    /// An error if the server has a file of another length than is known.
    fn check_length(self, offered: Option<u64>) -> Result<()> {
        if let (Some(offered), Some(bytes)) = (offered, self.bytes) {
            let (offered, bytes) = (grouped(offered), grouped(bytes));
            ensure!(offered == bytes, "{} has {offered} bytes instead of {bytes}", self.url);
        }
        Ok(())
    }

    /// Asks for the file from byte `start` on.
    fn ask_from(self, start: u64) -> Result<Response<Body>> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE));
        let request = config.build().new_agent().get(self.url);
        let request = match start {
            0 => request,
            _ => request.header(header::RANGE, format!("bytes={start}-")),
        };
        request
            .call()
            .map_err(|error| match error {
                ureq::Error::HostNotFound => anyhow!("there is no such host, or no network"),
                error => error.into(),
            })
            .with_context(|| format!("cannot reach {}", self.url))
    }
}

/// The length of what is sent, if the server says it.
fn length(response: &Response<Body>) -> Option<u64> {
    response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether a part of a file is that from byte `start` on.
fn starts_at(response: &Response<Body>, start: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()) == Some(start)
}

/// Appends a response's body to `part`, which then should have `total` bytes and never more than `most`.
fn copy(
    mut response: Response<Body>,
    part: &mut Part,
    (total, most): (Option<u64>, u64),
    mut on_arrival: impl FnMut(u64) -> bool,
) -> Result<()> {
    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; PIECE];
    let mut arrived = part.length()?;
    let of = total.map_or(String::new(), |total| format!(" of {}", grouped(total)));
    loop {
        let stopped =
            |arrived: u64| format!("after {}{of} bytes; the same command goes on from there", grouped(arrived));
        let read = match body.read(&mut buffer) {
            Ok(0) if total.is_some_and(|total| arrived < total) => bail!("the connection ended {}", stopped(arrived)),
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) => bail!("the connection broke {} ({error})", stopped(arrived)),
        };
        arrived += read as u64;
        if arrived > most {
            part.clear()?;
            bail!("it has more than {} bytes; nothing of it was kept", grouped(most));
        }
        part.append(&buffer[..read])?;
        if on_arrival(arrived) && total != Some(arrived) {
            return Err(Interrupted(format!("interrupted {}", stopped(arrived))).into());
        }
    }
}

/// The file on the disk that a download goes to. It is locked: two downloads at once would mix. One that stays empty is
/// removed.
#[derive(Debug)]
pub struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    /// Opens what an earlier download has left there, or an empty file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            bail!("{} is being downloaded by another process", path.display());
        }
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Bytes that are there.
    fn length(&self) -> Result<u64> {
        Ok(self.file.metadata().with_context(|| self.unreadable())?.len())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.seek(SeekFrom::End(0)).and_then(|_| self.file.write_all(bytes));
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Throws away what is there.
    fn clear(&mut self) -> Result<()> {
        self.file.set_len(0).with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// The SHA-256 of all that is there.
    fn sha256(&mut self) -> Result<String> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; PIECE];
        let mut reader = self.reader()?;
        loop {
            match reader.read(&mut buffer).with_context(|| self.unreadable())? {
                0 => return Ok(hexadecimal(&hash.finalize())),
                read => hash.update(&buffer[..read]),
            }
        }
    }

    /// All that is there, from its start.
    pub fn reader(&self) -> Result<impl Read + '_> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0)).with_context(|| self.unreadable())?;
        Ok(file)
    }

    fn unreadable(&self) -> String {
        format!("cannot read {}", self.path.display())
    }

    /// Removes the file, which is not wanted any more.
    pub fn remove(self) -> Result<()> {
        fs::remove_file(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            // An empty file that stays does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}
