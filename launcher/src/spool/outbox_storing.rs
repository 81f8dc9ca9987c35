//! At the sidecar's end: what waits where nobody would find it, in memory or in files that somebody has deleted, is
//! written into files of the same series.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::account::Counter;
use super::directory::segment_path;
use super::frame::{self, FRAME_HEADER, FrameKind};
use super::outbox::{Open, Outbox, SERIES};
use super::parcel::{SETTLED, WORD};
use super::segment::{Appended, Bound, Full, HEADER, Writer};

impl Outbox {
    /// Whether there is anything that whoever comes next would not find.
    pub fn is_homeless(&self) -> bool {
        self.open.iter().any(Open::is_homeless)
    }

    /// Whether somebody has deleted files of it.
    pub fn has_lost_files(&self) -> bool {
        let mut files =
            self.open.iter().filter_map(|open| open.writer.as_ref()).filter(|writer| writer.path().is_some());
        files.any(|file| !file.is_there())
    }

    /// Writes what would not be found into files, as far as there is room; goes on where it has come to before. While the
    /// records are there (`beside_records`), it is also written what of them is not needed. Gives whether all is there.
    pub fn store(&mut self, beside_records: bool) -> bool {
        let Some(directory) = &self.directory else { return !self.is_homeless() };
        let destinations = self.destinations.format();
        let homeless = self.open.iter_mut().filter(|open| open.is_homeless());
        // One that is smaller may find room where another does not.
        let stored = homeless.map(|open| open.store(directory, &destinations, beside_records));
        let refused: Vec<Full> = stored.filter_map(Result::err).collect();
        if let Some(full) = refused.first() {
            tracing::warn!("what waits in memory finds no room in {}: {full}", directory.display());
        }
        refused.is_empty()
    }

    /// Drops what would not be found, and counts it. Gives how many spans that were.
    pub fn drop_homeless(&mut self) -> u64 {
        let before = self.account.get(Counter::Dropped);
        for open in self.open.iter().filter(|open| open.is_homeless()) {
            for parcel in open.parcels.iter().filter(|parcel| parcel.word >= open.stored_to) {
                parcel.give_up();
            }
        }
        self.account.get(Counter::Dropped) - before
    }

    /// Leaves everything, cut to its length, for whoever takes the run over.
    pub fn leave(&self) {
        let files = self.open.iter().flat_map(|open| open.writer.iter().chain(&open.copy));
        files.for_each(Writer::leave);
    }
}

impl Open {
    fn is_homeless(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| !writer.is_there())
    }

    fn store(&mut self, directory: &Path, destinations: &[u8], beside_records: bool) -> Result<(), Full> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let segment = Arc::clone(writer.segment());
        let mut at = self.stored_to.max(HEADER as usize);
        while let Some((group, size)) = frame::first(segment.bytes_from(at)) {
            at += size;
            if group.kind != FrameKind::Group {
                continue;
            }
            let mut payloads = Vec::new();
            for _ in 0..group.producer {
                let Some((payload, size)) = frame::first(segment.bytes_from(at)) else { break };
                let word = segment.word(at + FRAME_HEADER).map_or(SETTLED, |word| word.load(Ordering::Relaxed));
                payloads.push((payload.producer, word, payload.payload.get(WORD..).unwrap_or_default()));
                at += size;
            }
            if payloads.iter().all(|(_, word, _)| word & SETTLED != 0) {
                // That its records are not needed is all there is to say.
                payloads.clear();
            }
            if !payloads.is_empty() || beside_records {
                let words: Vec<[u8; WORD]> = payloads.iter().map(|(_, word, _)| word.to_le_bytes()).collect();
                let mut frames: Vec<Appended<'_>> =
                    vec![(FrameKind::Group, payloads.len() as u64, [group.payload, &[]])];
                frames.extend(payloads.iter().zip(&words).map(|((to, word, body), kept)| {
                    // Of what is settled nobody needs the body.
                    let body = if word & SETTLED != 0 { &[][..] } else { *body };
                    (FrameKind::Payload, *to, [&kept[..], body])
                }));
                let copy = match &mut self.copy {
                    Some(copy) => copy,
                    none => {
                        let bound = Bound::of(&segment).at_least(destinations.len() + 4096);
                        let path = segment_path(directory, SERIES, self.number);
                        let mut made = Writer::on_disk(&path, bound).map_err(Full::Disk)?;
                        if let Err(full) = made.append(FrameKind::Destinations, 0, destinations) {
                            made.delete();
                            return Err(full);
                        }
                        none.insert(made)
                    }
                };
                copy.append_all(&frames)?;
            }
            self.stored_to = at;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::Account;
    use super::super::again::Again;
    use super::super::directory::segments;
    use super::super::outbox::Destinations;
    use super::super::outbox_reading::look;
    use super::super::parcel::tests::noise;
    use super::*;
    use crate::export::Format;
    use std::collections::{BTreeSet, HashSet};

    const BOUND: Bound = Bound { on_disk: 16 << 20, in_memory: 16 << 20 };

    fn outbox(directory: &Path) -> Outbox {
        let destinations =
            Destinations(vec![(Format::Datadog, "Agent at x".to_owned()), (Format::Otlp, "receiver".to_owned())]);
        let mut outbox = Outbox::new(Some(directory), BOUND, destinations, Arc::new(Account::begin(None).unwrap()));
        outbox.again = Again::at_once();
        outbox
    }

    fn both(body: &[u8]) -> Vec<(usize, Vec<u8>)> {
        vec![(0, body.to_vec()), (1, body.to_vec())]
    }

    /// The numbers of its files, what waits, and what of the records is not needed.
    fn seen(directory: &Path) -> (Vec<u32>, u64, HashSet<u64>) {
        let numbers = segments(directory, SERIES).unwrap().into_iter().map(|(number, _)| number).collect();
        let looked = look(directory);
        assert!(looked.troubles.is_empty(), "{:?}", looked.troubles);
        (numbers, looked.spans, looked.moved)
    }

    #[test]
    fn a_disk_that_was_full_for_a_moment_is_used_again_and_has_everything_at_the_end() {
        let spool = tempfile::tempdir().unwrap();
        let directory = spool.path().join("run");
        let mut outbox = outbox(&directory);
        let first = outbox.push(&[1, 2], &both(b"a"), &BTreeSet::new()).unwrap();
        first.iter().for_each(|parcel| parcel.settle(0));
        outbox.push(&[3], &both(b"b"), &BTreeSet::new()).unwrap()[1].settle(0);
        std::fs::create_dir(&directory).unwrap();
        outbox.push(&[4, 5], &both(b"c"), &BTreeSet::new()).unwrap();
        let moved = HashSet::from([4, 5]);
        assert_eq!((seen(&directory), outbox.is_homeless()), ((vec![2], 2, moved), true));
        assert!(outbox.store(true));
        outbox.leave();
        let moved = (1..=5).collect();
        assert_eq!((seen(&directory), outbox.drop_homeless()), ((vec![1, 2], 3, moved), 0));
        assert_eq!(look(&directory).destinations.iter().map(|to| to.2).collect::<Vec<_>>(), [3, 2]);
    }

    #[test]
    fn without_records_what_is_settled_needs_no_room() {
        let spool = tempfile::tempdir().unwrap();
        let directory = spool.path().join("run");
        let mut outbox = outbox(&directory);
        for id in 0..4 {
            let parcels = outbox.push(&[id], &both(b"a"), &BTreeSet::new()).unwrap();
            parcels.iter().filter(|_| id != 2).for_each(|parcel| parcel.settle(0));
        }
        assert!(!outbox.store(false), "there is no place for it");
        std::fs::create_dir(&directory).unwrap();
        assert!(outbox.store(false));
        assert_eq!(seen(&directory), (vec![1], 1, HashSet::from([2])));
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted_but_for_what_is_settled() {
        let spool = tempfile::tempdir().unwrap();
        let mut outbox = outbox(&spool.path().join("run"));
        let parcels = outbox.push(&[1, 2, 3], &[(0, b"a".to_vec())], &BTreeSet::new()).unwrap();
        parcels[0].settle_part(1, 0);
        assert!(!outbox.store(true));
        assert_eq!(outbox.drop_homeless(), 2);
        assert_eq!(outbox.account.get(Counter::Delivered), 1);
    }

    #[test]
    fn a_disk_that_fails_again_and_again_costs_no_more_segments_than_it_takes() {
        let spool = tempfile::tempdir().unwrap();
        let directory = spool.path().join("run");
        let mut outbox = outbox(&directory);
        for id in 0..100 {
            if id % 2 == 0 {
                let _ = std::fs::remove_dir_all(&directory);
            } else {
                std::fs::create_dir(&directory).unwrap();
            }
            outbox.push(&[id], &[(0, noise(10_000))], &BTreeSet::new()).unwrap();
        }
        assert!(outbox.open.len() <= 2, "{}", outbox.open.len());
        assert_eq!(outbox.account.get(Counter::Dropped), 0);
        assert!(outbox.store(true));
        assert_eq!(seen(&directory).1, 100);
    }

    #[test]
    fn files_that_somebody_has_deleted_are_written_anew() {
        let spool = tempfile::tempdir().unwrap();
        let mut outbox = outbox(spool.path());
        outbox.push(&[1, 2], &both(b"a"), &BTreeSet::new()).unwrap()[0].settle(0);
        assert!(!outbox.is_homeless() && !outbox.has_lost_files());
        std::fs::remove_file(segment_path(spool.path(), SERIES, 1)).unwrap();
        assert!(outbox.is_homeless() && outbox.has_lost_files());
        assert!(outbox.store(true));
        outbox.leave();
        assert_eq!(seen(spool.path()), (vec![1], 2, HashSet::from([1, 2])));
        assert_eq!(outbox.drop_homeless(), 0);
    }
}
