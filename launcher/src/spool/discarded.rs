//! What was dropped with whole runs, since the spool was full: counted for the spool as a whole, as a run's account goes with
//! it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file, beside the directories of the runs.
const FILE_NAME: &str = "discarded";

/// More than it ever holds.
const LONGEST: u64 = 64;

/// Counts since the spool was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Discarded {
    /// Runs that were dropped.
    pub runs: u64,
    /// Spans that waited in them, as far as that was known.
    pub spans: u64,
}

impl Discarded {
    /// What was dropped so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of(spool: &Path) -> io::Result<Discarded> {
        match File::open(spool.join(FILE_NAME)) {
            Ok(mut file) => {
                file.lock_shared()?;
                read(&mut file)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Discarded::default()),
            Err(error) => Err(error),
        }
    }

    /// One more run, of which so many spans waited.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(spool: &Path, spans: u64) -> io::Result<()> {
        let path = spool.join(FILE_NAME);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.lock()?;
        let before = read(&mut file)?;
        let now = Discarded { runs: before.runs.saturating_add(1), spans: before.spans.saturating_add(spans) };
        file.rewind()?;
        // Numbers only grow, so that what is written covers what was there.
        writeln!(file, "{} runs, {} spans", now.runs, now.spans)
    }
}

/// A file that says something else counts as nothing.
fn read(file: &mut File) -> io::Result<Discarded> {
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).or_else(|error| match error.kind() {
        io::ErrorKind::InvalidData => Ok(0),
        _ => Err(error),
    })?;
    Ok(parse(&text).unwrap_or_default())
}

fn parse(text: &str) -> Option<Discarded> {
    let (runs, spans) = text.lines().next()?.strip_suffix(" spans")?.split_once(" runs, ")?;
    Some(Discarded { runs: runs.parse().ok()?, spans: spans.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_drops_a_run_counts_it() {
        let spool = tempfile::tempdir().unwrap();
        assert_eq!(Discarded::of(spool.path()).unwrap(), Discarded::default());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..50).for_each(|number| Discarded::add(spool.path(), number).unwrap()));
            }
        });
        assert_eq!(Discarded::of(spool.path()).unwrap(), Discarded { runs: 400, spans: 8 * 49 * 25 });
    }

    #[test]
    fn whatever_the_file_says_it_can_be_counted_on() {
        let spool = tempfile::tempdir().unwrap();
        for content in [&b"\xff\xfe"[..], b"", b"99999999999999999999 runs, 1 spans\n", &[b'7'; 100_000]] {
            std::fs::write(spool.path().join(FILE_NAME), content).unwrap();
            assert_eq!(Discarded::of(spool.path()).unwrap(), Discarded::default());
        }
        std::fs::write(spool.path().join(FILE_NAME), "damaged\n").unwrap();
        Discarded::add(spool.path(), 3).unwrap();
        assert_eq!(Discarded::of(spool.path()).unwrap(), Discarded { runs: 1, spans: 3 });
    }
}
