//! What receivers have asked for, kept beside what waits for them: one that wants to be left alone for a while is so by the next
//! sidecar as well.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The file's name in the spool. A line for each receiver: until when, in seconds since the Unix epoch, and its name.
const FILE_NAME: &str = "asked";

/// Shorter waits are not kept: they are over when the next one looks, and those of a sidecar's own last as long.
const SHORTEST: Duration = Duration::from_secs(5);

/// The longest wait that is believed: clocks are set, too.
const LONGEST: Duration = Duration::from_secs(3600);

/// The times before which receivers have asked not to be sent anything.
#[derive(Clone, Debug)]
pub struct Asked {
    path: PathBuf,
}

impl Asked {
    /// Those that are kept in this spool.
    pub fn of(spool: &Path) -> Asked {
        Asked { path: spool.join(FILE_NAME) }
    }

    /// How long a receiver is to be left alone still.
    pub fn left(&self, receiver: &str) -> Option<Duration> {
        let now = SystemTime::now();
        let times = self.read();
        let until = times.iter().find(|(_, name)| name == receiver).map(|(until, _)| *until)?;
        until.duration_since(now).ok().filter(|left| !left.is_zero() && *left <= LONGEST)
    }

    /// A receiver has asked to be left alone for so long.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; then the next sidecar does not know of it.
    pub fn note(&self, receiver: &str, wait: Duration) -> io::Result<()> {
        if wait < SHORTEST {
            return Ok(());
        }
        let now = SystemTime::now();
        let mut times = self.read();
        times.retain(|(until, name)| name != receiver && *until > now);
        times.push((now + wait.min(LONGEST), receiver.to_owned()));
        let mut text = String::new();
        for (until, name) in &times {
            let until = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            // A text takes all.
            let _ = writeln!(text, "{until} {name}");
        }
        // Of two that write at the same moment one may be forgotten, and then asks once more.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        file.write_all(text.as_bytes())
    }

    /// What cannot be read is as good as not there.
    fn read(&self) -> Vec<(SystemTime, String)> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let entry = |line: &str| {
            let (until, name) = line.split_once(' ')?;
            Some((UNIX_EPOCH.checked_add(Duration::from_secs(until.parse().ok()?))?, name.to_owned()))
        };
        text.lines().filter_map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_holds_for_who_has_asked() {
        let spool = tempfile::tempdir().unwrap();
        let asked = Asked::of(spool.path());
        assert_eq!(asked.left("a receiver"), None);
        asked.note("a receiver", Duration::from_secs(60)).unwrap();
        asked.note("another", Duration::from_secs(1)).unwrap();
        asked.note("a third", Duration::from_secs(86_400)).unwrap();
        let left = Asked::of(spool.path()).left("a receiver").unwrap();
        assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");
        assert_eq!(asked.left("another"), None);
        assert!(asked.left("a third").unwrap() <= LONGEST);
    }

    #[test]
    fn what_is_no_time_holds_nobody_up() {
        let spool = tempfile::tempdir().unwrap();
        let asked = Asked::of(spool.path());
        for text in [
            "",
            "\0\u{fffd}",
            "soon a receiver",
            "99999999999999999999 a receiver",
            "9999999999 a receiver",
            "1 a receiver",
        ] {
            std::fs::write(&asked.path, text).unwrap();
            assert_eq!(asked.left("a receiver"), None, "{text:?}");
        }
    }
}
