//! The sidecar's log: a file, as it has no terminal of its own.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ddtrace::config::{Config, LogLevel};
use nix::fcntl::{FallocateFlags, fallocate};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// At this size the log is put aside as `.1` and begun anew.
const MOST_BYTES: u64 = 1 << 20;

/// For so much there is room from the beginning: what a sidecar has to say when the disk is full matters most.
const ROOM: i64 = 8 << 10;

/// So many bytes that the disk had no room for wait for it.
const MOST_WAITING: usize = 64 << 10;

/// A file that is appended to, and made, as soon as the disk lets that be.
struct Lines {
    path: PathBuf,
    file: Option<File>,
    waiting: Vec<u8>,
}

impl Lines {
    fn open(path: &Path) -> Lines {
        let mut lines = Lines { path: path.to_owned(), file: None, waiting: Vec::new() };
        lines.file = lines.make().ok();
        lines
    }

    fn make(&self) -> io::Result<File> {
        // A pipe that nobody reads, or not fast enough, is a disk without room.
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        let file = options.open(&self.path)?;
        if let Ok(length) = file.metadata().map(|meta| meta.len())
            && let Ok(length) = length.try_into()
        {
            // Where there is no room, or no such call, the lines wait.
            let _ = fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, length, ROOM);
        }
        Ok(file)
    }

    /// Writes what waits, as far as there is room.
    fn write_waiting(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(self.make()?);
        }
        while let Some(file) = self.file.as_mut().filter(|_| !self.waiting.is_empty()) {
            match file.write(&self.waiting)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => drop(self.waiting.drain(..count)),
            }
        }
        Ok(())
    }
}

impl Write for Lines {
    /// Takes one line, as the subscriber gives it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.waiting.len() + line.len() <= MOST_WAITING {
            self.waiting.extend_from_slice(line);
        }
        // Nobody could be told.
        let _ = self.write_waiting();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the sidecar logs.
pub fn log_file(config: &Config, state_dir: Option<&Path>) -> Option<PathBuf> {
    config.log_file.clone().or_else(|| state_dir.map(|directory| directory.join("sidecar.log")))
}

/// Begins logging. Where the file can never be written there is no log: nobody could be told.
pub fn begin(config: &Config, state_dir: Option<&Path>) {
    let level = match config.log_level {
        _ if config.debug => LevelFilter::DEBUG,
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let Some(path) = log_file(config, state_dir) else { return };
    if let Some(directory) = path.parent() {
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    }
    if std::fs::metadata(&path).is_ok_and(|meta| meta.len() > MOST_BYTES) {
        let mut older = path.clone().into_os_string();
        older.push(".1");
        let _ = std::fs::rename(&path, older);
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(Mutex::new(Lines::open(&path)))
        .with_ansi(false)
        .with_target(false);
    // What the libraries have to say to their developers is of no use here.
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    tracing_subscriber::registry().with(lines).with(ours).init();
}
