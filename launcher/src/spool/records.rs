//! The records of a run, as they were drained: written by the collector, read by the exporting thread.
//!
//! A segment is let go when no span that was begun in it is left to be handed on; one that has been read is let go for
//! room as well, as the assembler has what is in it. So what is here is bounded, and never has to be dropped: when there
//! is no room, records stay in their processes' rings.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::again::Again;
use super::directory::{segment_path, segments};
use super::frame::{Frame, FrameKind};
use super::segment::{self, Bound, Full, Progress, Reader, Writer};
use super::trouble::Trouble;

/// So much room a disk has that had none, before records go there again.
const ROOM: u64 = 256 * 1024;
/// The name of the series.
const SERIES: &str = "records";
/// Into how many segments the bound is divided.
const SEGMENTS: u64 = 8;
/// Which part of the spool's bound is for records; the others are for payloads. Records come faster than they can be put
/// together where a program does nothing else than record.
const SHARE: u64 = 2;

/// Segments that are begun and not yet read from, with their numbers.
type Begun = Arc<Mutex<VecDeque<(u32, Reader)>>>;

fn lock(begun: &Begun) -> MutexGuard<'_, VecDeque<(u32, Reader)>> {
    begun.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writing side.
pub struct RecordsWriter {
    current: Writer,
    number: u32,
    /// Full ones that are still needed, oldest first.
    full: VecDeque<Writer>,
    directory: Option<PathBuf>,
    segment_bound: Bound,
    origin: Vec<u8>,
    /// What the frame of that kind says, once there is one.
    processes_given_up: Option<Vec<u8>>,
    begun: Begun,
    again: Again,
}

/// The reading side.
pub struct RecordsReader {
    /// Oldest first; the last one is read from.
    open: VecDeque<(u32, Reader)>,
    begun: Begun,
}

/// Begins the records of a run; each segment begins with `origin`. As [`Writer::create`]: in memory where the directory
/// cannot be used, and then with the reason. `spool_bound` is the bound of all that waits.
pub fn begin_records(
    directory: Option<&Path>,
    spool_bound: Bound,
    origin: &[u8],
) -> io::Result<(RecordsWriter, RecordsReader, Option<String>)> {
    let segment_bound = spool_bound.part(SHARE * SEGMENTS);
    let path = directory.map(|directory| segment_path(directory, SERIES, 1));
    let (mut current, reason) = Writer::create(path.as_deref(), segment_bound)?;
    if current.append(FrameKind::Origin, 0, origin).is_err() {
        tracing::error!("the spool holds nothing; no span is kept");
    }
    let first = Reader::new(Arc::clone(current.segment()));
    let reader = RecordsReader { open: VecDeque::from([(1, first)]), begun: Begun::default() };
    let mut writer = RecordsWriter {
        current,
        number: 1,
        full: VecDeque::new(),
        directory: directory.map(Path::to_owned),
        segment_bound,
        origin: origin.to_vec(),
        processes_given_up: None,
        begun: Arc::clone(&reader.begun),
        again: Again::default(),
    };
    if reason.is_some() {
        writer.again.fails();
    }
    Ok((writer, reader, reason))
}

impl RecordsWriter {
    /// Appends one frame. Where the disk is full, memory takes it, until there is room again.
    ///
    /// # Errors
    /// The bound is reached: the reader is behind. Later there will be room.
    pub fn append(&mut self, kind: FrameKind, producer: u64, payload: &[u8]) -> Result<(), Full> {
        self.go_back_to_disk();
        let mut appended = self.current.append(kind, producer, payload);
        if let Err(Full::Bound) = appended {
            appended = self.begin_next(true).and_then(|()| self.current.append(kind, producer, payload));
        }
        if let Err(Full::Disk(error)) = &appended {
            if self.again.fails() {
                tracing::warn!("the spool cannot grow: {error}; keeping what comes in memory");
            }
            appended = self.begin_next(false).and_then(|()| self.current.append(kind, producer, payload));
        }
        appended
    }

    /// Where memory has served instead of the disk, and that has room again, goes on there.
    fn go_back_to_disk(&mut self) {
        let is_there = self.current.path().is_some() || self.directory.is_none();
        if is_there || !self.again.is_due() {
            return;
        }
        self.tidy();
        // Each time it costs a segment that is not full, of which there are few.
        if self.full.len() as u64 >= SEGMENTS / 2 {
            return;
        }
        match self.next_on_disk() {
            Some(Ok(next)) => {
                self.put_next(next);
                if self.again.works() {
                    tracing::info!("the spool has room for records again");
                }
            }
            _ => drop(self.again.fails()),
        }
    }

    fn next_path(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| segment_path(directory, SERIES, self.number + 1))
    }

    /// A next segment, with room for more than a few frames.
    fn next_on_disk(&self) -> Option<Result<Writer, Full>> {
        let path = self.next_path()?;
        let made = Writer::on_disk(&path, self.segment_bound).map_err(Full::Disk);
        Some(made.and_then(
            |mut next| match next.reserve(ROOM).map_err(Full::Disk).and_then(|()| self.head(&mut next)) {
                Ok(()) => Ok(next),
                Err(full) => {
                    next.delete();
                    Err(full)
                }
            },
        ))
    }

    /// Writes that spans of processes are given up.
    ///
    /// # Errors
    /// As for [`append`](RecordsWriter::append).
    pub fn give_up_processes(&mut self, which: &[u8]) -> Result<(), Full> {
        self.append(FrameKind::ProcessesGivenUp, 0, which)?;
        self.processes_given_up = Some(which.to_vec());
        Ok(())
    }

    fn begin_next(&mut self, on_disk: bool) -> Result<(), Full> {
        self.tidy();
        if self.full.len() as u64 + 1 >= SEGMENTS {
            let oldest_is_read = self.full.front().is_some_and(|oldest| oldest.segment().progress() >= Progress::Read);
            match self.full.pop_front_if(|_| oldest_is_read) {
                Some(oldest) => {
                    oldest.segment().set_progress(Progress::Done);
                    oldest.delete();
                }
                None => return Err(Full::Bound),
            }
        }
        let path = self.next_path().filter(|_| on_disk);
        let (mut next, reason) = Writer::create(path.as_deref(), self.segment_bound).map_err(Full::Disk)?;
        if let Some(reason) = reason
            && self.again.fails()
        {
            tracing::warn!("{reason}");
        }
        if let Err(full) = self.head(&mut next) {
            next.delete();
            return Err(full);
        }
        self.put_next(next);
        Ok(())
    }

    /// What each segment begins with.
    fn head(&self, next: &mut Writer) -> Result<(), Full> {
        next.append(FrameKind::Origin, 0, &self.origin)?;
        match &self.processes_given_up {
            // The segment where it was said first may be let go before this one.
            Some(which) => next.append(FrameKind::ProcessesGivenUp, 0, which),
            None => Ok(()),
        }
    }

    fn put_next(&mut self, next: Writer) {
        self.number += 1;
        let before = std::mem::replace(&mut self.current, next);
        lock(&self.begun).push_back((self.number, Reader::new(Arc::clone(self.current.segment()))));
        self.full.push_back(before);
    }

    /// Lets go of the full segments that are not needed.
    pub fn tidy(&mut self) {
        let (done, needed): (Vec<_>, Vec<_>) = std::mem::take(&mut self.full)
            .into_iter()
            .partition(|writer| writer.segment().progress() == Progress::Done);
        self.full = needed.into();
        done.into_iter().for_each(Writer::delete);
    }

    /// Leaves everything, cut to its length, for whoever takes the run over.
    pub fn leave(&mut self) {
        self.tidy();
        self.full.iter().chain([&self.current]).for_each(Writer::leave);
    }

    /// Lets go of everything: what is to be sent tells all of it.
    pub fn delete(self) {
        self.full.into_iter().chain([self.current]).for_each(Writer::delete);
    }
}

impl RecordsReader {
    /// Hands frames that are new to `take`, in order, each with the number of its segment, until it has been at least
    /// `most` bytes. Gives whether there may be more.
    pub fn read(&mut self, most: usize, mut take: impl FnMut(u32, Frame<'_>)) -> bool {
        let mut bytes = 0;
        loop {
            // Looked for first: a segment gets no more frames once there is a next one.
            let next = lock(&self.begun).pop_front();
            if let Some((number, reader)) = self.open.back_mut() {
                while let Some((frame, _)) = reader.next_frame() {
                    bytes += frame.payload.len();
                    take(*number, frame);
                    if bytes >= most {
                        if let Some(next) = next {
                            lock(&self.begun).push_front(next);
                        }
                        return true;
                    }
                }
            }
            let Some(next) = next else { return false };
            if let Some((_, reader)) = self.open.back() {
                reader.segment().set_progress(Progress::Read);
            }
            self.open.push_back(next);
        }
    }

    /// Tells the writing side which segments are not needed any more: those of which spans are left are.
    pub fn release(&mut self, needed: impl FnOnce() -> BTreeSet<u32>) {
        if self.open.len() < 2 {
            return;
        }
        let needed = needed();
        let current = self.open.back().map_or(0, |(number, _)| *number);
        self.open.retain(|(number, reader)| {
            // One that had to make room is gone already.
            let is_there = reader.segment().progress() < Progress::Done;
            let keep = *number == current || is_there && needed.contains(number);
            if !keep {
                reader.segment().set_progress(Progress::Done);
            }
            keep
        });
    }

    /// The numbers of the segments that are there.
    pub fn retained(&self) -> BTreeSet<u32> {
        self.open.iter().map(|(number, _)| *number).collect()
    }
}

/// Hands the records that an earlier run left to `take`, frame by frame in order. Gives what cannot be read.
pub fn old_records(directory: &Path, mut take: impl FnMut(Frame<'_>)) -> Vec<Trouble> {
    let paths = match segments(directory, SERIES) {
        Ok(paths) => paths,
        Err(error) => return Trouble::of(directory, &error).into_iter().collect(),
    };
    let looked = paths.iter().map(|(_, path)| (path, segment::look(path, &mut take)));
    looked.filter_map(|(path, looked)| Trouble::of(path, &looked.err()?)).collect()
}

/// Deletes the records that another sidecar has left, of which all is known.
pub fn let_old_records_go(directory: &Path) {
    for (_, path) in segments(directory, SERIES).unwrap_or_default() {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!("cannot delete {}: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path) -> usize {
        segments(directory, SERIES).unwrap().len()
    }

    fn records(directory: &Path) -> (RecordsWriter, RecordsReader) {
        // Segments of a quarter of a MiB.
        let (writer, reader, reason) =
            begin_records(Some(directory), Bound { on_disk: 4 << 20, in_memory: 4 << 20 }, b"origin").unwrap();
        assert_eq!(reason, None);
        (writer, reader)
    }

    #[test]
    fn what_is_not_needed_makes_room_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, mut reader) = records(directory.path());
        let mut last = 0;
        for round in 0..100u64 {
            writer.append(FrameKind::Records, round, &[1; 64 * 1024]).unwrap();
            let mut frames = 0;
            while reader.read(1, |number, frame| {
                frames += u64::from(frame.kind == FrameKind::Records && frame.producer == round);
                last = number;
            }) {}
            assert_eq!(frames, 1);
            reader.release(BTreeSet::new);
            assert!(files(directory.path()) <= 3, "round {round}");
        }
        assert!(last > 20, "{last}");
        assert_eq!(reader.retained(), BTreeSet::from([last]));
    }

    #[test]
    fn what_is_needed_stays_until_room_is_needed_more() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, mut reader) = records(directory.path());
        for round in 0..100 {
            writer.append(FrameKind::Records, round, &[1; 64 * 1024]).unwrap();
            while reader.read(1, |_, _| {}) {}
            reader.release(|| BTreeSet::from([1]));
            assert!(files(directory.path()) <= 3, "round {round}");
        }
        assert!(directory.path().join("records-00000001.seg").exists());
        let everything: BTreeSet<u32> = (0..1000).collect();
        for round in 0..100 {
            writer.append(FrameKind::Records, round, &[1; 64 * 1024]).unwrap();
            while reader.read(1, |_, _| {}) {}
            reader.release(|| everything.clone());
        }
        assert_eq!(files(directory.path()) as u64, SEGMENTS);
        assert!(!directory.path().join("records-00000001.seg").exists());
    }

    #[test]
    fn what_is_not_read_is_never_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, mut reader) = records(directory.path());
        let mut kept = 0;
        while writer.append(FrameKind::Records, kept, &[1; 64 * 1024]).is_ok() {
            kept += 1;
        }
        assert_eq!(files(directory.path()) as u64, SEGMENTS);
        let mut read = 0;
        while reader.read(1, |_, frame| read += u64::from(frame.kind == FrameKind::Records)) {}
        assert_eq!(read, kept);
        writer.append(FrameKind::Records, 1, &[1; 64 * 1024]).unwrap();
        writer.leave();
        let mut old = 0;
        let troubles = old_records(directory.path(), |frame| old += u64::from(frame.kind == FrameKind::Records));
        assert!(troubles.is_empty(), "{troubles:?}");
        // The oldest segment has made room.
        assert_eq!(old, kept + 1 - 3);
    }

    #[test]
    fn a_disk_that_was_full_for_a_moment_is_used_again() {
        let spool = tempfile::tempdir().unwrap();
        let directory = spool.path().join("run");
        let bound = Bound { on_disk: 4 << 20, in_memory: 4 << 20 };
        let (mut writer, mut reader, reason) = begin_records(Some(&directory), bound, b"origin").unwrap();
        assert!(reason.is_some());
        writer.again = Again::at_once();
        for round in 0..100u64 {
            if round % 2 == 0 {
                let _ = std::fs::remove_dir_all(&directory);
            } else {
                std::fs::create_dir(&directory).unwrap();
            }
            writer.append(FrameKind::Records, round, &[1; 1000]).unwrap();
        }
        assert!(writer.current.path().is_some());
        let mut read = Vec::new();
        while reader.read(1, |_, frame| read.extend((frame.kind == FrameKind::Records).then_some(frame.producer))) {}
        assert_eq!(read, (0..100).collect::<Vec<_>>());
        writer.delete();
        assert_eq!(files(&directory), 0);
    }
}
