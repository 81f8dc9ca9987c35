//! The directories of runs in the spool.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// The ending of segments.
const SEGMENT: &str = "seg";

/// A run's directory, which nobody else works on: its lock goes with the process, however that ends.
pub struct RunDirectory {
    path: PathBuf,
    _lock: Flock<File>,
}

impl RunDirectory {
    /// Makes one in the spool. Its name sorts by time.
    pub fn create(spool: &Path) -> io::Result<RunDirectory> {
        DirBuilder::new().recursive(true).mode(0o700).create(spool)?;
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let path = spool.join(format!("{:016}-{}", time.as_micros(), std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        let locked = File::open(&path).and_then(|file| {
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| io::Error::from(error))
        });
        match locked {
            Ok(lock) => Ok(RunDirectory { path, _lock: lock }),
            Err(error) => {
                let _ = std::fs::remove_dir(&path);
                Err(error)
            }
        }
    }

    /// Takes over one that was left behind.
    ///
    /// # Errors
    /// `WouldBlock` where somebody is at work on it, `NotFound` where somebody has just removed it, or it cannot be opened.
    pub fn adopt(path: &Path) -> io::Result<RunDirectory> {
        let lock = Flock::lock(File::open(path)?, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error)?;
        match path.exists() {
            true => Ok(RunDirectory { path: path.to_owned(), _lock: lock }),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it with all that is in it.
    pub fn remove(self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!("cannot delete {}: {error}; what is in it may be delivered twice", self.path.display());
        }
    }
}

/// What is in a directory; nothing where there is none.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

/// The directories of all runs in the spool, oldest first.
///
/// # Errors
/// Nobody can tell what is there.
pub fn runs(spool: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = entries(spool)?;
    paths.retain(|path| path.is_dir() && !path.is_symlink());
    paths.sort();
    Ok(paths)
}

/// The path of the segment with this number in a series.
pub fn segment_path(directory: &Path, series: &str, number: u32) -> PathBuf {
    directory.join(format!("{series}-{number:08}.{SEGMENT}"))
}

/// The segments of a series, with their numbers, oldest first.
///
/// # Errors
/// Nobody can tell what is there.
pub fn segments(directory: &Path, series: &str) -> io::Result<Vec<(u32, PathBuf)>> {
    let number = |path: &Path| {
        let name = path.file_name()?.to_str()?.strip_suffix(SEGMENT)?.strip_suffix('.')?;
        name.strip_prefix(series)?.strip_prefix('-')?.parse().ok()
    };
    let paths = entries(directory)?.into_iter();
    let mut found: Vec<(u32, PathBuf)> = paths.filter_map(|path| Some((number(&path)?, path))).collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let spool = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(spool.path()).unwrap();
        let path = run.path().to_owned();
        assert_eq!(runs(spool.path()).unwrap(), std::slice::from_ref(&path));
        let kind = |adopted: io::Result<RunDirectory>| adopted.err().map(|error| error.kind());
        assert_eq!(kind(RunDirectory::adopt(&path)), Some(io::ErrorKind::WouldBlock));
        drop(run);
        let run = RunDirectory::adopt(&path).unwrap();
        std::fs::write(segment_path(&path, "records", 7), "").unwrap();
        std::fs::write(segment_path(&path, "records", 12), "").unwrap();
        std::fs::write(path.join("records-x.seg"), "").unwrap();
        let numbers: Vec<u32> = segments(&path, "records").unwrap().into_iter().map(|(number, _)| number).collect();
        assert_eq!((numbers, segments(&path, "payloads").unwrap().len()), (vec![7, 12], 0));
        run.remove();
        assert!(!path.exists());
        assert_eq!(kind(RunDirectory::adopt(&path)), Some(io::ErrorKind::NotFound));
    }
}
