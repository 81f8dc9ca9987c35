//! The sidecar's log: a file, as it has no terminal of its own.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ddtrace::config::{Config, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// At this size the log is put aside as `.1` and begun anew.
const MOST_BYTES: u64 = 1 << 20;

/// Where the sidecar logs.
pub fn log_file(config: &Config, state_dir: Option<&Path>) -> Option<PathBuf> {
    config.log_file.clone().or_else(|| state_dir.map(|directory| directory.join("sidecar.log")))
}

/// Begins logging. Where the file cannot be written there is no log: nobody could be told.
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
    let Ok(file) = OpenOptions::new().append(true).create(true).mode(0o600).open(&path) else { return };
    let lines = tracing_subscriber::fmt::layer().with_writer(Mutex::new(file)).with_ansi(false).with_target(false);
    // What the libraries have to say to their developers is of no use here.
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    tracing_subscriber::registry().with(lines).with(ours).init();
}
