//! The directories of runs in the spool.

use std::fs::{DirBuilder, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
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
        // Until it is locked, it may be taken for one that is left over and empty: it is held by another one then, or gone.
        let mut taken = io::ErrorKind::NotFound.into();
        for _ in 0..TRIES {
            match RunDirectory::create_once(spool) {
                Ok(made) if made.path.exists() => return Ok(made),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock) => {
                    taken = error
                }
                Err(error) => return Err(error),
            }
        }
        Err(taken)
    }

    fn create_once(spool: &Path) -> io::Result<RunDirectory> {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let path = spool.join(format!("{:016}-{}", time.as_micros(), std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        match File::open(&path).and_then(lock) {
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
        let lock = lock(File::open(path)?)?;
        match path.exists() {
            true => Ok(RunDirectory { path: path.to_owned(), _lock: lock }),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Makes one anew that was somebody's, who has it no more: its directory is gone.
    ///
    /// # Errors
    /// It cannot be made, or somebody has been faster.
    pub fn make_again(path: &Path) -> io::Result<RunDirectory> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        RunDirectory::adopt(path)
    }

    /// Whether somebody is at work on it. This is seen by nobody: see [`lock`].
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn is_taken(path: &Path) -> io::Result<bool> {
        Ok(is_locked(&File::open(path)?))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it with all that is in it.
    pub fn remove(self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot delete {}: {error}; what is in it may be delivered twice", self.path.display());
        }
    }
}

/// So many times, a millisecond apart, those who look whether a directory is locked are waited for.
const TRIES: usize = 1000;

/// Locks a directory. Those who only look whether it is locked share its lock for an instant, and are waited for.
fn lock(mut file: File) -> io::Result<Flock<File>> {
    for _ in 0..TRIES {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((file, Errno::EWOULDBLOCK)) if !is_locked(&file) => file,
            Err((_, error)) => return Err(error.into()),
        };
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Whether somebody has locked it for work.
fn is_locked(file: &File) -> bool {
    match file.try_lock_shared() {
        Ok(()) => {
            let _ = file.unlock();
            false
        }
        Err(error) => matches!(error, TryLockError::WouldBlock),
    }
}

/// Whether this is what is at the path. One that nobody has open any more might be another one of the same number.
pub fn is_at(path: &Path, open: &Metadata) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino()))
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
    fn who_only_looks_is_in_nobodys_way() {
        let spool = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(spool.path()).unwrap();
        let path = run.path().to_owned();
        assert!(RunDirectory::is_taken(&path).unwrap());
        drop(run);
        let others = File::open(&path).unwrap();
        others.try_lock_shared().unwrap();
        assert!(!RunDirectory::is_taken(&path).unwrap());
        let adopted = std::thread::scope(|scope| {
            let adopted = scope.spawn(|| RunDirectory::adopt(&path));
            std::thread::sleep(Duration::from_millis(20));
            others.unlock().unwrap();
            adopted.join().unwrap()
        });
        assert!(adopted.is_ok() && RunDirectory::is_taken(&path).unwrap());
    }

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
