//! Where the preload library is, and by which path it can be named.

use std::ffi::{CStr, OsStr, c_char};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// Its name.
pub const NAME: &str = "libddtrace_preload.so";

/// The loader separates at blanks and colons, knows no escape, and expands `$`.
const LOADER_SEPARATORS: &[u8] = b": \t\n\r\x0c\x0b$";

/// Why there is no library.
#[derive(Debug)]
pub enum Missing {
    /// At none of the places; the first is the usual one.
    NotThere(Vec<PathBuf>),
    /// Its path cannot be written into `LD_PRELOAD`, and another could not be made.
    Unspeakable(PathBuf, io::Error),
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Missing::NotThere(places) => {
                let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
                write!(f, "{NAME} is neither of {}; the program runs untraced", places.join(", "))
            }
            Missing::Unspeakable(path, error) => write!(
                f,
                "{} cannot be preloaded, as its path has a blank or a colon, and no link to it can be made ({error}); \
                 the program runs untraced",
                path.display()
            ),
        }
    }
}

/// The library, by a path that `LD_PRELOAD` can carry.
///
/// # Errors
///
/// [`Missing`]; the program is to be run without it.
pub fn find() -> Result<PathBuf, Missing> {
    let directory = own_directory();
    // Beside the launcher, as cargo builds it, and as it is installed: bin/ddtrace-run, lib/ddtrace/<library>.
    let places = vec![directory.join(NAME), directory.join("../lib/ddtrace").join(NAME)];
    let Some(found) = places.iter().find(|place| place.is_file()) else { return Err(Missing::NotThere(places)) };
    let found = found.canonicalize().unwrap_or_else(|_| found.clone());
    speakable(&found, LOADER_SEPARATORS).map_err(|error| Missing::Unspeakable(found, error))
}

/// A path to a file or directory that has none of the `separators` in it: its own, or that of a link.
///
/// # Errors
///
/// When the link cannot be made.
pub fn speakable(path: &Path, separators: &[u8]) -> io::Result<PathBuf> {
    if can_be_said(path, separators) { Ok(path.to_owned()) } else { link(path, separators) }
}

fn can_be_said(path: &Path, separators: &[u8]) -> bool {
    !path.as_os_str().as_bytes().iter().any(|byte| separators.contains(byte))
}

/// A link from a private directory whose path can be said.
fn link(target: &Path, separators: &[u8]) -> io::Result<PathBuf> {
    let own = geteuid().as_raw();
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for parent in [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/dev/shm")] {
        let directory = parent.join(format!("ddtrace-{own}"));
        if !can_be_said(&directory, separators) {
            continue;
        }
        match private_link(&directory, target, own) {
            Ok(path) => return Ok(path),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn private_link(directory: &Path, target: &Path, own: u32) -> io::Result<PathBuf> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let meta = fs::symlink_metadata(directory)?;
    if !meta.is_dir() || meta.uid() != own || meta.mode() & 0o022 != 0 {
        // Whoever else can write there could put another library into our programs.
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    let meta = fs::metadata(target)?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let path = directory.join(format!("{:x}-{:x}-{name}", meta.dev(), meta.ino()));
    match symlink(target, &path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read_link(&path)? != target {
                fs::remove_file(&path)?;
                symlink(target, &path)?;
            }
        }
        other => other?,
    }
    Ok(path)
}

/// Where the launcher's own file is.
pub fn own_directory() -> PathBuf {
    // Where /proc is not mounted the kernel's word is left: the path that the launcher was started by.
    // SAFETY: the entry leads to a C string that lives as long as the process; it is null where there is none.
    let started_by = || unsafe {
        let path = libc::getauxval(libc::AT_EXECFN) as *const c_char;
        (!path.is_null()).then(|| PathBuf::from(OsStr::from_bytes(CStr::from_ptr(path).to_bytes())))
    };
    let executable = std::env::current_exe().ok().or_else(|| started_by()?.canonicalize().ok()).unwrap_or_default();
    executable.parent().unwrap_or(Path::new("/")).to_owned()
}

/// Where the library is to be, for those who look for it in vain.
pub fn usual_place() -> PathBuf {
    own_directory().join(NAME)
}
