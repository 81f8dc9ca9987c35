//! What the targets of the configuration share: a root directory of their own, and what must hold whatever was read.

pub mod headers;

use ddtrace::config::{Resolution, Sources, resolve};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory that stands for `/`, one for each process that fuzzes.
pub struct Root(PathBuf);

impl Root {
    /// Makes it.
    ///
    /// # Panics
    /// When the directory for temporary files cannot be written.
    #[must_use]
    pub fn new() -> Root {
        let path = std::env::temp_dir().join(format!("ddtrace-fuzz-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the directory for temporary files can be written");
        Root(path)
    }

    /// Puts a file at its place below the root.
    ///
    /// # Panics
    /// When that fails.
    pub fn put(&self, path: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory");
        fs::write(&path, content).expect("a file");
        path
    }

    /// The root.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for Root {
    fn default() -> Self {
        Root::new()
    }
}

/// Resolves, and checks what the launcher relies on; also that what is handed on is read as it was meant.
///
/// # Panics
/// When something of it does not hold.
pub fn checked(sources: &Sources) -> Resolution {
    let first = resolve(sources);
    for warning in &first.warnings {
        assert!(!warning.message.contains(['\n', '\r', '\0']), "a warning is one line: {warning:?}");
    }
    for (name, value) in &first.hand_on {
        assert!(name.starts_with("DD_") || name.starts_with("OTEL_"), "{name}");
        assert!(!value.contains('\0'), "no environment can carry {name}={value:?}");
    }
    let handed: Vec<(OsString, OsString)> = first.hand_on.iter().map(|(n, v)| (n.into(), v.into())).collect();
    let rest = sources.env.iter().filter(|(name, _)| !handed.iter().any(|(other, _)| other == name)).cloned();
    let child = Sources { env: handed.iter().cloned().chain(rest).collect(), ..sources.clone() };
    let second = resolve(&child);
    assert_eq!(first.config.enabled, second.config.enabled);
    assert_eq!(first.config.service, second.config.service, "handed on: {:?}", first.hand_on);
    first
}
