//! The segments of one run: when one is full the next begins, and one whose spans are all settled goes away. So a service
//! that runs for months needs no more disk than what waits.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::origin::Origin;
use super::spool::{Account, Frame, FrameKind, Full, Reader, Writer};

/// Into how many segments the bound is divided.
const SEGMENTS: u64 = 8;

/// Segments that are begun and not yet read from.
type Begun = Arc<Mutex<VecDeque<Reader>>>;

fn lock(begun: &Begun) -> MutexGuard<'_, VecDeque<Reader>> {
    begun.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writing side, of the collector.
pub struct Journal {
    current: Writer,
    /// Full ones of which something still waits.
    full: Vec<Writer>,
    directory: Option<PathBuf>,
    segment_bound: u64,
    origin: Vec<u8>,
    begun: Begun,
    /// Of the segments that are gone.
    past: Account,
}

/// The reading side, of the exporting thread.
pub struct JournalReader {
    /// Oldest first; the last one that was begun is read from.
    open: VecDeque<Reader>,
    /// How many of them are read to their end.
    read: usize,
    begun: Begun,
    past: Account,
}

impl Journal {
    /// Begins with one segment; all together take at most `bound` bytes. As [`Writer::create`]: in memory where the
    /// directory cannot be used, and then with the reason.
    pub fn begin(
        directory: Option<&Path>,
        bound: u64,
        origin: &Origin,
    ) -> io::Result<(Journal, JournalReader, Option<String>)> {
        let segment_bound = bound / SEGMENTS;
        let (mut current, reason) = Writer::create(directory, segment_bound)?;
        let origin = origin.format();
        if current.append(FrameKind::Origin, 0, &origin).is_err() {
            tracing::error!("the spool holds nothing; no span is kept");
        }
        let reader = JournalReader {
            open: VecDeque::from([current.reader()]),
            read: 0,
            begun: Begun::default(),
            past: Account::default(),
        };
        let directory = directory.filter(|_| reason.is_none()).map(Path::to_owned);
        let journal = Journal {
            current,
            full: Vec::new(),
            directory,
            segment_bound,
            origin,
            begun: Arc::clone(&reader.begun),
            past: Account::default(),
        };
        Ok((journal, reader, reason))
    }

    /// Where the segment that is written to is, if it is a file.
    pub fn path(&self) -> Option<&Path> {
        self.current.path()
    }

    /// Appends one frame.
    pub fn append(&mut self, kind: FrameKind, producer: u64, payload: &[u8]) -> Result<(), Full> {
        match self.current.append(kind, producer, payload) {
            Err(Full::Bound) => {
                self.begin_next()?;
                self.current.append(kind, producer, payload)
            }
            other => other,
        }
    }

    fn begin_next(&mut self) -> Result<(), Full> {
        self.tidy();
        if self.full.len() as u64 + 1 >= SEGMENTS {
            return Err(Full::Bound);
        }
        let (mut next, reason) = Writer::create(self.directory.as_deref(), self.segment_bound).map_err(Full::Disk)?;
        if let Some(reason) = reason {
            tracing::warn!("{reason}");
        }
        next.append(FrameKind::Origin, 0, &self.origin)?;
        let before = std::mem::replace(&mut self.current, next);
        lock(&self.begun).push_back(self.current.reader());
        self.full.push(before);
        Ok(())
    }

    /// Lets go of the full segments that are settled.
    pub fn tidy(&mut self) {
        let (done, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.full).into_iter().partition(Writer::is_done);
        self.full = waiting;
        for segment in done {
            self.past = self.past + segment.account();
            if let Err(error) = segment.finish() {
                tracing::warn!("cannot tidy up the spool: {error}");
            }
        }
    }

    /// Notes in all that is left which spans need not be delivered again.
    pub fn settle(&mut self, ids: &[u8]) {
        for segment in self.full.iter_mut().chain([&mut self.current]) {
            // Where there is no room, they are delivered twice.
            let _ = segment.append(FrameKind::Settled, 0, ids);
        }
    }

    /// The account of the whole run.
    pub fn account(&self) -> Account {
        self.full.iter().chain([&self.current]).fold(self.past, |sum, segment| sum + segment.account())
    }

    /// Ends the journal; gives a segment of which something waits, if there is one.
    pub fn finish(mut self) -> io::Result<Option<PathBuf>> {
        self.tidy();
        let mut left = None;
        for segment in self.full.into_iter().chain([self.current]) {
            left = segment.finish()?.or(left);
        }
        Ok(left)
    }
}

impl JournalReader {
    /// Hands every frame that is new to `take`, in order; it gives how many spans came to be by it, which are counted.
    pub fn read(&mut self, mut take: impl FnMut(Frame<'_>) -> u64) {
        loop {
            // Looked for first: a segment gets no more frames once there is a next one.
            let next = lock(&self.begun).pop_front();
            if let Some(reader) = self.open.get_mut(self.read) {
                let mut recorded = 0;
                while let Some(frame) = reader.next_frame() {
                    recorded += take(frame);
                }
                reader.count(recorded, 0, 0);
            }
            let Some(next) = next else { break };
            self.open.push_back(next);
            self.read += 1;
        }
    }

    /// Counts spans that are settled: as those of the oldest segment in which any wait.
    pub fn settle(&mut self, delivered: u64, dropped: u64) {
        let (mut delivered, mut dropped) = (delivered, dropped);
        for reader in &self.open {
            let waiting = reader.account().waiting();
            let delivers = delivered.min(waiting);
            let drops = dropped.min(waiting - delivers);
            reader.count(0, delivers, drops);
            delivered -= delivers;
            dropped -= drops;
        }
        self.let_go();
    }

    /// Tells the writing side which segments are not needed any more.
    fn let_go(&mut self) {
        while self.read > 0
            && let Some(oldest) = self.open.pop_front_if(|reader| reader.account().waiting() == 0)
        {
            self.past = self.past + oldest.account();
            oldest.set_done();
            self.read -= 1;
        }
    }

    /// The account of the whole run.
    pub fn account(&self) -> Account {
        self.open.iter().fold(self.past, |sum, reader| sum + reader.account())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace::span::Resource;

    fn journal(directory: &Path) -> (Journal, JournalReader) {
        let origin = Origin { resource: Resource::default(), clock_offset: 7 };
        let (journal, reader, reason) = Journal::begin(Some(directory), 8 << 20, &origin).unwrap();
        assert_eq!(reason, None);
        (journal, reader)
    }

    fn files(directory: &Path) -> usize {
        std::fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn what_is_settled_makes_room_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, mut reader) = journal(directory.path());
        for round in 0..40u64 {
            // Four rounds fill a segment.
            for _ in 0..4 {
                journal.append(FrameKind::Records, round, &[1; 64 * 1024]).unwrap();
            }
            let mut frames = 0;
            reader.read(|frame| {
                let is_record = u64::from(frame.kind == FrameKind::Records);
                frames += is_record;
                is_record
            });
            assert_eq!(frames, 4);
            reader.settle(3, 1);
            assert!(files(directory.path()) <= 3, "round {round}");
        }
        assert_eq!(reader.account(), Account { recorded: 160, delivered: 120, dropped: 40 });
        assert_eq!(journal.account(), reader.account());
        assert_eq!(journal.finish().unwrap(), None);
        assert_eq!(files(directory.path()), 0);
    }

    #[test]
    fn what_waits_is_bounded_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, mut reader) = journal(directory.path());
        let mut kept = 0;
        while journal.append(FrameKind::Records, 1, &[1; 64 * 1024]).is_ok() {
            kept += 1;
        }
        assert_eq!(files(directory.path()) as u64, SEGMENTS);
        let (mut frames, mut origins) = (0, 0);
        reader.read(|frame| {
            match frame.kind {
                FrameKind::Records => frames += 1,
                _ => origins += 1,
            }
            u64::from(frame.kind == FrameKind::Records)
        });
        assert_eq!((frames, origins), (kept, SEGMENTS), "each segment can be read by itself");
        reader.settle(1, 0);
        assert_eq!(journal.account().waiting(), kept - 1);
        assert!(journal.finish().unwrap().is_some());
    }

    #[test]
    fn a_segment_goes_only_when_all_of_it_is_settled() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, mut reader) = journal(directory.path());
        let two_each = |frame: Frame<'_>| 2 * u64::from(frame.kind == FrameKind::Records);
        for _ in 0..2 {
            journal.append(FrameKind::Records, 1, &[1; 600 * 1024]).unwrap();
        }
        reader.read(two_each);
        reader.settle(1, 0);
        journal.tidy();
        assert_eq!(files(directory.path()), 2);
        reader.settle(1, 0);
        journal.tidy();
        assert_eq!(files(directory.path()), 1);
        reader.settle(2, 0);
        assert_eq!(journal.finish().unwrap(), None);
    }
}
