//! The local store: a file of OTLP JSON, one request on each line, bounded in size.
//!
//! Several sidecars may write at once, so that every line is appended under the file's lock. When the file has half of
//! the allowed size it becomes `traces.jsonl.1`, replacing the one before, and a new file is begun: the two together
//! stay within the bound and always hold at least the newest half. A line that a dying writer left unfinished ends
//! where the next one begins, so that it spoils no other.

use super::otlp::json;
use super::{Backend, Format, Outcome};
use hyper::body::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the file in the state directory.
pub const FILE_NAME: &str = "traces.jsonl";
/// The name of the file with what is older.
pub const OLDER_FILE_NAME: &str = "traces.jsonl.1";

/// How long the lock is waited for. Whoever holds it writes one line, so that longer means a stopped process.
const LOCK_ATTEMPTS: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The local store.
pub struct LocalStore {
    directory: PathBuf,
    max_bytes: u64,
}

enum Appended {
    Written,
    /// The line alone is larger than the store may be.
    TooLarge,
    Locked,
}

impl LocalStore {
    /// The store in a directory, which is made when it is first written to. `max_bytes` bounds all its files together.
    pub fn new(directory: &Path, max_bytes: u64) -> Self {
        LocalStore { directory: directory.to_owned(), max_bytes }
    }

    fn file(&self) -> PathBuf {
        self.directory.join(FILE_NAME)
    }

    async fn append(&self, line: &[u8]) -> io::Result<Appended> {
        if line.len() as u64 > self.max_bytes / 2 {
            return Ok(Appended::TooLarge);
        }
        // Not for other users to read: what a span holds is the program's.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        for _ in 0..LOCK_ATTEMPTS {
            let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(self.file())?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    tokio::time::sleep(LOCK_PAUSE).await;
                    continue;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Somebody else may have moved the file away before it was locked.
            if !self.is_current(&file)? {
                continue;
            }
            let length = file.metadata()?.len();
            if length > 0 && length + line.len() as u64 > self.max_bytes / 2 {
                std::fs::rename(self.file(), self.directory.join(OLDER_FILE_NAME))?;
                continue;
            }
            write_line(&file, length, line)?;
            return Ok(Appended::Written);
        }
        Ok(Appended::Locked)
    }

    fn is_current(&self, file: &File) -> io::Result<bool> {
        let (held, named) = match (file.metadata()?, std::fs::metadata(self.file())) {
            (held, Ok(named)) => (held, named),
            (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            (_, Err(error)) => return Err(error),
        };
        Ok((held.dev(), held.ino()) == (named.dev(), named.ino()))
    }
}

/// Appends a line, whole or not at all.
fn write_line(mut file: &File, length: u64, line: &[u8]) -> io::Result<()> {
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    let mut text = Vec::with_capacity(line.len() + 2);
    if last != [b'\n'] {
        text.push(b'\n');
    }
    text.extend_from_slice(line);
    text.push(b'\n');
    file.write_all(&text).inspect_err(|_| {
        // A full disk takes part of a line. If even this fails the next writer ends that line.
        let _ = file.set_len(length);
    })
}

impl Backend for LocalStore {
    fn format(&self) -> Format {
        Format::Otlp
    }

    async fn send(&mut self, payload: &Bytes) -> Outcome {
        let request = match ExportTraceServiceRequest::decode(&payload[..]) {
            Ok(request) => request,
            Err(error) => {
                return Outcome::Refused { reason: format!("spans cannot be read back and are dropped: {error}") };
            }
        };
        let reason = match self.append(&json::to_json(&request)).await {
            Ok(Appended::Written) => return Outcome::Delivered { rejected: 0, message: None },
            Ok(Appended::TooLarge) => return Outcome::TooLarge,
            Ok(Appended::Locked) => String::from("another process has held its lock for a second"),
            Err(error) => error.to_string(),
        };
        Outcome::Retry { after: None, reason: format!("local store {}: {reason}", self.destination()) }
    }

    fn name(&self) -> &'static str {
        "local store"
    }

    fn destination(&self) -> String {
        self.file().display().to_string()
    }
}

#[cfg(test)]
mod tests;
