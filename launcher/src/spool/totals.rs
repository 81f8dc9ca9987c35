//! What the runs have counted whose directories are gone: their accounts went with them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::RunDirectory;
use super::account::{Counter, Counts};

/// The file, beside the directories of the runs.
const FILE_NAME: &str = "totals";

/// More than it ever holds.
const LONGEST: u64 = 2048;

/// The sums of all counters since the spool was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals([u64; Counter::METRICS.len()]);

impl Totals {
    /// Those of the spool, and what keeps them from changing while the runs that are there are looked at: a run is in one or
    /// the other. `None` where there are none yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of(spool: &Path) -> io::Result<Option<(Totals, Held)>> {
        match File::open(spool.join(FILE_NAME)) {
            Ok(mut file) => {
                file.lock_shared()?;
                Ok(Some((read(&mut file)?, Held { _lock: file })))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a counter says.
    pub fn get(&self, counter: Counter) -> u64 {
        self.each().find(|(name, _)| *name == counter).map_or(0, |(_, count)| count)
    }

    /// Spans that were dropped though somebody wanted them.
    pub fn lost(&self) -> u64 {
        self.get(Counter::Dropped).saturating_sub(self.get(Counter::GivenUp))
    }

    /// All of them.
    pub fn each(&self) -> impl Iterator<Item = (Counter, u64)> {
        Counter::METRICS.iter().map(|(counter, ..)| *counter).zip(self.0)
    }

    /// Removes a run with all that is in it, and counts what it has counted.
    pub fn take_in(run: RunDirectory, counts: &Counts) {
        let path = run.path().to_owned();
        let counted = || path.parent().map_or(Err(io::ErrorKind::NotFound.into()), |spool| add(spool, counts));
        // On a full disk there is room when the run is gone.
        let held = counted();
        run.remove();
        if let Err(error) = held.or_else(|_| counted()) {
            tracing::warn!("`ddtrace-run status` will not count what {} did: {error}", path.display());
        }
    }
}

/// As long as it is there the totals stay as they are.
pub struct Held {
    _lock: File,
}

fn add(spool: &Path, counts: &Counts) -> io::Result<Held> {
    let path = spool.join(FILE_NAME);
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.lock()?;
    let before = read(&mut file)?;
    file.rewind()?;
    // As long whatever the numbers are: a disk that is full meanwhile has room for the new ones.
    let line = |(counter, count): (Counter, u64)| {
        format!("{} {:020}\n", name(counter), count.saturating_add(counts.get(counter)))
    };
    file.write_all(before.each().map(line).collect::<String>().as_bytes())?;
    Ok(Held { _lock: file })
}

fn name(counter: Counter) -> &'static str {
    Counter::METRICS.iter().find(|(known, ..)| *known == counter).map_or("", |(_, name, _)| name)
}

/// What the file does not say is nothing.
fn read(file: &mut File) -> io::Result<Totals> {
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut totals = Totals::default();
    for (known, count) in text.lines().filter_map(|line| line.split_once(' ')) {
        if let Some(place) = Counter::METRICS.iter().position(|(_, name, _)| *name == known) {
            totals.0[place] = count.parse().unwrap_or_default();
        }
    }
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Account;

    #[test]
    fn whoever_removes_a_run_counts_it() {
        let spool = tempfile::tempdir().unwrap();
        assert!(Totals::of(spool.path()).unwrap().is_none());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..20 {
                        let run = RunDirectory::create(spool.path()).unwrap();
                        let account = Account::begin(Some(run.path())).unwrap();
                        account.add(Counter::Recorded, number + 1);
                        account.add(Counter::Dropped, number);
                        Totals::take_in(run, &account.counts());
                    }
                });
            }
        });
        let (totals, _) = Totals::of(spool.path()).unwrap().unwrap();
        assert_eq!((totals.get(Counter::Recorded), totals.get(Counter::Dropped)), (4 * 210, 4 * 190));
        assert_eq!(super::super::runs(spool.path()).unwrap().len(), 0);
    }

    #[test]
    fn whatever_the_file_says_it_can_be_counted_on() {
        let spool = tempfile::tempdir().unwrap();
        for content in [&b"\xff\xfe"[..], b"", b"spans_recorded 99999999999999999999\n", &[b'7'; 100_000]] {
            std::fs::write(spool.path().join(FILE_NAME), content).unwrap();
            let run = RunDirectory::create(spool.path()).unwrap();
            let account = Account::begin(None).unwrap();
            account.add(Counter::Recorded, 3);
            Totals::take_in(run, &account.counts());
            let (totals, _) = Totals::of(spool.path()).unwrap().unwrap();
            assert_eq!(totals.get(Counter::Recorded), 3);
        }
    }
}
