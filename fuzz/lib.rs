//! What targets share: for the configuration a root directory of their own, and what must hold whatever was read; for
//! sampling a span.

pub mod headers;

use ddtrace::config::{Resolution, Sources, resolve};
use ddtrace::sampling::{Sampled, TagValue};
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

/// A span made of bytes: service, name, resource, the name of a tag and its value, with commas between.
#[derive(Clone, Copy)]
pub struct AnySpan<'a>(pub &'a [u8]);

impl AnySpan<'_> {
    fn part(&self, number: usize) -> &[u8] {
        self.0.splitn(5, |byte| *byte == b',').nth(number).unwrap_or_default()
    }
}

impl Sampled for AnySpan<'_> {
    fn service(&self) -> &[u8] {
        self.part(0)
    }

    fn name(&self) -> &[u8] {
        self.part(1)
    }

    fn resource(&self) -> &[u8] {
        self.part(2)
    }

    /// `i` or `f` and eight bytes are a number, `b` and one byte a truth value, all else is text.
    fn tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        let value = self.part(4);
        (self.part(3) == name).then_some(match value.split_first() {
            Some((b'i', digits)) if digits.len() == 8 => TagValue::Integer(i64::from_ne_bytes(digits.try_into().ok()?)),
            Some((b'f', digits)) if digits.len() == 8 => TagValue::Float(f64::from_ne_bytes(digits.try_into().ok()?)),
            Some((b'b', [truth])) => TagValue::Bool(*truth == 1),
            _ => TagValue::Text(value),
        })
    }
}
