//! Where configuration comes from.

use std::boxed::Box;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

/// Everything that the configuration is resolved from; nothing else is read but the files.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Keys of `ddtrace.toml` and their values, as given on the command line. The last of equal keys wins; lists and
    /// tags add up.
    pub cli: Vec<(String, String)>,
    /// The environment; the first of equal names counts, as in `getenv`.
    pub env: Vec<(OsString, OsString)>,
    /// The file named by `--config`.
    pub config_file: Option<PathBuf>,
    /// The program and its arguments, for the rules of Datadog's files.
    pub program: Vec<OsString>,
    /// The language of the program, if it is known, for the same rules: `python`, `nodejs`, `java`, …
    pub language: Option<String>,
    /// What stands for `/` when files at fixed places are looked for.
    pub root: PathBuf,
    /// The directory that the program was started in, where relative paths begin; if empty, they stay as they are.
    pub directory: PathBuf,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            cli: Vec::new(),
            env: Vec::new(),
            config_file: None,
            program: Vec::new(),
            language: None,
            root: PathBuf::from("/"),
            directory: PathBuf::new(),
        }
    }
}

impl Sources {
    /// A fixed place of the file system.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A path that means the same from whatever directory it is looked at, be it that of the sidecar.
    pub(crate) fn absolute(&self, path: PathBuf) -> PathBuf {
        if path.is_absolute() { path } else { self.directory.join(path).components().collect() }
    }
}

/// What of an environment can matter here: looked through often, so it is made small once.
pub(crate) struct Environment<'a> {
    relevant: Vec<(&'a str, &'a OsStr)>,
}

impl<'a> Environment<'a> {
    pub(crate) fn of(sources: &'a Sources) -> Self {
        let matters = |name: &str| {
            name.starts_with("DD_")
                || name.starts_with("OTEL_")
                || name.starts_with("_DD_SC_")
                || matches!(name, "HOME" | "XDG_CONFIG_HOME")
        };
        let text = |(name, value): &'a (OsString, OsString)| Some((name.to_str()?, value.as_os_str()));
        Self { relevant: sources.env.iter().filter_map(text).filter(|(name, _)| matters(name)).collect() }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a OsStr> {
        self.relevant.iter().find(|(present, _)| *present == name).map(|(_, value)| *value)
    }

    /// The value of a variable that is neither absent nor empty.
    pub(crate) fn non_empty(&self, name: &str) -> Option<&'a OsStr> {
        self.get(name).filter(|value| !value.is_empty())
    }
}

/// The sources in the order of their strength, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    CommandLine,
    Fleet,
    DatadogEnv,
    OtelEnv,
    NamedFile,
    UserFile,
    SystemFile,
    Stable,
    Default,
}

impl Layer {
    /// Whether it overrules the environment as it was given.
    pub(crate) fn overrules_environment(self) -> bool {
        self < Self::DatadogEnv
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An option of the command line.
    CommandLine,
    /// Datadog's fleet-managed file.
    FleetFile(PathBuf),
    /// A variable of Datadog's.
    Env(&'static str),
    /// A variable of OpenTelemetry's.
    OtelEnv(&'static str),
    /// A `ddtrace.toml`, and the line.
    File(PathBuf, usize),
    /// Datadog's local stable configuration file.
    StableFile(PathBuf),
    /// The table of settings, or a place that was looked for.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => out.write_str("command line"),
            Self::FleetFile(path) | Self::StableFile(path) => write!(out, "{}", path.display()),
            Self::Env(name) | Self::OtelEnv(name) => out.write_str(name),
            Self::File(path, line) => write!(out, "{}:{line}", path.display()),
            Self::Default => out.write_str("default"),
        }
    }
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// Datadog's fleet-managed file.
    Fleet,
    /// Named by `--config` or `DD_TRACE_CONFIG_FILE`.
    Named,
    /// The user's `ddtrace.toml`.
    User,
    /// The system's `ddtrace.toml`.
    System,
    /// Datadog's local stable configuration file.
    Stable,
}

impl fmt::Display for FileRole {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Fleet => "Datadog fleet",
            Self::Named => "named",
            Self::User => "user",
            Self::System => "system",
            Self::Stable => "Datadog local",
        })
    }
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It was read.
    Read,
    /// It is not there.
    Missing,
    /// It could not be used; says why.
    Failed(String),
}

/// A file that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSeen {
    /// What it is for.
    pub role: FileRole,
    /// Where it is.
    pub path: PathBuf,
    /// What became of it.
    pub state: FileState,
}

/// Something that the user should know; one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What was wrong, where it came from, and what happens now.
    pub message: String,
}

impl Warning {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: one_line(message.into()) }
    }
}

/// Escapes control characters, which quoted input may hold: a message is one line, and no command for a terminal.
pub(crate) fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

/// Why a file could not be read.
pub(crate) enum Unreadable {
    Missing,
    Failed(Box<str>),
}

/// Reads a regular file of at most `limit` bytes. Anything else (a pipe, a device) could keep the program waiting.
pub(crate) fn read_regular_file(path: &Path, limit: u64) -> Result<String, Unreadable> {
    use std::io::{ErrorKind, Read};
    let failed = |why: String| Unreadable::Failed(why.into_boxed_str());
    let of_error = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Unreadable::Missing,
        _ => failed(std::format!("cannot be read ({error})")),
    };
    let metadata = std::fs::metadata(path).map_err(of_error)?;
    if !metadata.is_file() {
        return Err(failed("is not a regular file".into()));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(of_error)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(of_error)?;
    if bytes.len() as u64 > limit {
        return Err(failed(std::format!("is larger than {} MiB", limit >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or(&[]);
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        failed(std::format!("is not UTF-8 in line {line}"))
    })
}
