//! Finding the program that a command word names, by the rules of `execvp(3)`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

/// Where `execvp(3)` searches when PATH is not set (glibc's `confstr(_CS_PATH)`).
const DEFAULT_SEARCH_PATH: &str = "/bin:/usr/bin";

/// A command that can't be run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRunnable {
    word: OsString,
    errno: Errno,
}

impl NotRunnable {
    /// The exit code by `env(1)`: 127 if there is no such program, 126 if there is but it can't be run.
    pub fn exit_code(&self) -> u8 {
        if self.errno == Errno::ENOENT { 127 } else { 126 }
    }
}

impl fmt::Display for NotRunnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_path = self.word.as_bytes().contains(&b'/');
        write!(f, "cannot run {:?}: ", self.word)?;
        match self.errno {
            Errno::ENOENT if is_path => f.write_str("no such file"),
            Errno::ENOENT => f.write_str("not found in any directory of PATH"),
            Errno::EACCES => f.write_str("not an executable file, or no permission to run it"),
            other => f.write_str(other.desc()),
        }
    }
}

/// Finds the program that `word` names. A word with a slash is a path; any other is looked for in `search_path` (the
/// value of PATH; `None` if unset), where an empty entry is the working directory.
///
/// What is found in the working directory has no slash, so hand it to `execve(2)`, which does not search.
///
/// # Errors
///
/// As `execvp(3)` reports it: a file that is there without being executable does not end the search, but is told of if
/// no other is found.
pub fn find(word: &OsStr, search_path: Option<&OsStr>) -> Result<PathBuf, NotRunnable> {
    let failed = |errno| NotRunnable { word: word.to_owned(), errno };
    if word.is_empty() {
        return Err(failed(Errno::ENOENT));
    }
    if word.as_bytes().contains(&b'/') {
        let path = PathBuf::from(word);
        return check(&path).map(|()| path).map_err(failed);
    }
    let mut last = Errno::ENOENT;
    let mut denied = false;
    for directory in search_path.unwrap_or(OsStr::new(DEFAULT_SEARCH_PATH)).as_bytes().split(|&byte| byte == b':') {
        let candidate = Path::new(OsStr::from_bytes(directory)).join(word);
        match check(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::EACCES) => denied = true,
            Err(errno @ (Errno::ENOENT | Errno::ESTALE | Errno::ENOTDIR | Errno::ENODEV | Errno::ETIMEDOUT)) => {
                last = errno;
            }
            Err(errno) => return Err(failed(errno)),
        }
    }
    Err(failed(if denied { Errno::EACCES } else { last }))
}

/// Whether `execve(2)` would get as far as reading the file.
fn check(path: &Path) -> Result<(), Errno> {
    let metadata = path.metadata().map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    if !metadata.is_file() {
        return Err(Errno::EACCES);
    }
    faccessat(AT_FDCWD, path, AccessFlags::X_OK, AtFlags::AT_EACCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::fixtures::{Directory, script};

    fn find_in(word: &str, path: Option<&str>) -> Result<PathBuf, (Errno, u8)> {
        find(OsStr::new(word), path.map(OsStr::new)).map_err(|error| (error.errno, error.exit_code()))
    }

    #[test]
    fn the_first_executable_of_the_search_path_wins() {
        let directory = Directory::new();
        script(&directory.sub("a").join("prog"), "", 0o644);
        let wanted = script(&directory.sub("b").join("prog"), "", 0o755);
        script(&directory.sub("c").join("prog"), "", 0o755);
        std::fs::create_dir(directory.sub("d").join("prog")).unwrap();
        let path = ["/nowhere", "d", "a", "b", "c"].map(|name| directory.path(name).display().to_string()).join(":");
        assert_eq!(find_in("prog", Some(&path)), Ok(wanted.clone()));
        assert_eq!(find_in(wanted.to_str().unwrap(), Some("")), Ok(wanted));
    }

    #[test]
    fn what_is_not_executable_is_told_of_only_if_nothing_is_found() {
        let directory = Directory::new();
        let plain = script(&directory.path("prog"), "", 0o644);
        let here = directory.root().to_str().unwrap();
        assert_eq!(find_in("prog", Some(&format!("{here}:/nowhere"))), Err((Errno::EACCES, 126)));
        assert_eq!(find_in(plain.to_str().unwrap(), None), Err((Errno::EACCES, 126)));
        assert_eq!(find_in(here, None), Err((Errno::EACCES, 126)), "a directory");
        assert_eq!(find_in("prog", Some("/nowhere")), Err((Errno::ENOENT, 127)));
        assert_eq!(find_in(&format!("{}/x", plain.display()), None), Err((Errno::ENOTDIR, 126)));
        assert_eq!(find_in("", Some(here)), Err((Errno::ENOENT, 127)));
    }

    #[test]
    fn an_unset_search_path_has_a_default_and_an_empty_one_is_the_working_directory() {
        assert_eq!(find_in("sh", None), Ok(PathBuf::from("/bin/sh")));
        assert_eq!(find_in("sh", Some("")), Err((Errno::ENOENT, 127)));
        // Tests run in the directory of the package.
        assert_eq!(find_in("Cargo.toml", Some("/nowhere:")), Err((Errno::EACCES, 126)));
    }

    #[test]
    fn errors_name_the_word() {
        let error = find(OsStr::new("no such"), Some(OsStr::new("/bin"))).unwrap_err();
        assert_eq!(error.to_string(), "cannot run \"no such\": not found in any directory of PATH");
        let error = find(OsStr::new("./nope"), None).unwrap_err();
        assert_eq!(error.to_string(), "cannot run \"./nope\": no such file");
    }
}
