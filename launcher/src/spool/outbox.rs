//! What is to be sent, encoded for each receiver: what waits here outlives the sidecar and is sent by whoever comes next.
//!
//! A *group* of spans has one payload for each destination that gets any of them. A payload is settled in its place, by
//! one word that is written as soon as the receiver has answered: so each destination has its own progress, and after
//! the sidecar's death only what was under way is sent twice. Beyond the bound the oldest segment goes, and what waits in
//! it is dropped and counted.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::account::{Account, Counter};
use super::again::Again;
use super::directory::{segment_path, segments};
use super::frame::{self, FRAME_HEADER, FrameKind};
use super::outbox_reading::read;
use super::parcel::{Group, Parcel, WORD, pack};
use super::segment::{self, Appended, Bound, Full, Writer};
use super::trouble::Trouble;
use crate::export::Format;

/// The name of the series.
pub(super) const SERIES: &str = "payloads";
/// Into how many segments the bound is divided: half of them are for payloads.
const SEGMENTS: u64 = 16;
const MOST_SEGMENTS: usize = 8;

/// Where payloads go, by their number: the form they have, and the receiver for people to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destinations(pub Vec<(Format, String)>);

impl Destinations {
    pub(super) fn format(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (format, name) in &self.0 {
            bytes.push(*format as u8);
            bytes.extend(name.bytes().filter(|byte| *byte != 0));
            bytes.push(0);
        }
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Destinations> {
        let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
        let read = parts.map(|part| {
            let (format, name) = part.split_first()?;
            Some((Format::of(*format)?, String::from_utf8_lossy(name).into_owned()))
        });
        read.collect::<Option<_>>().map(Destinations)
    }
}

/// A segment and what waits in it.
pub(super) struct Open {
    pub(super) number: u32,
    pub(super) writer: Option<Writer>,
    path: Option<PathBuf>,
    pub(super) parcels: Vec<Rc<Parcel>>,
    /// The segments of records that its groups were put together from: while one of these is there, the groups tell what
    /// of it is not needed.
    speaks_of: BTreeSet<u32>,
    /// Where what whoever comes next would not find was written at the end, and how far that came.
    pub(super) copy: Option<Writer>,
    pub(super) stored_to: usize,
}

impl Open {
    fn new(number: u32, writer: Option<Writer>, path: Option<PathBuf>, parcels: Vec<Rc<Parcel>>) -> Open {
        Open { number, writer, path, parcels, speaks_of: BTreeSet::new(), copy: None, stored_to: 0 }
    }

    fn is_settled(&mut self) -> bool {
        self.parcels.retain(|parcel| !parcel.is_settled());
        self.parcels.is_empty()
    }

    fn delete(self) {
        match (self.writer, self.path) {
            (Some(writer), _) => writer.delete(),
            (None, Some(path)) => drop(std::fs::remove_file(path)),
            (None, None) => {}
        }
    }
}

/// What is to be sent for one run.
pub struct Outbox {
    pub(super) directory: Option<PathBuf>,
    pub(super) destinations: Destinations,
    pub(super) account: Arc<Account>,
    /// Oldest first; the last one on disk may be written to, and the last one in memory.
    pub(super) open: VecDeque<Open>,
    number: u32,
    segment_bound: Bound,
    /// When the disk is tried again.
    pub(super) again: Again,
    told_dropped: bool,
    has_dropped: bool,
    /// It is an earlier run's.
    is_adopted: bool,
}

/// What an earlier run has left to be sent.
pub struct Found {
    /// Its outbox, to go on with.
    pub outbox: Outbox,
    /// What waits in it, oldest first.
    pub waiting: Vec<Rc<Parcel>>,
    /// The spans whose records are not needed any more.
    pub moved: HashSet<u64>,
    /// What cannot be read.
    pub troubles: Vec<Trouble>,
}

impl Outbox {
    /// An empty one. `spool_bound` is the bound of all that waits.
    pub fn new(
        directory: Option<&Path>,
        spool_bound: Bound,
        destinations: Destinations,
        account: Arc<Account>,
    ) -> Outbox {
        Outbox {
            directory: directory.map(Path::to_owned),
            destinations,
            account,
            open: VecDeque::new(),
            number: 0,
            segment_bound: spool_bound.part(SEGMENTS),
            again: Again::default(),
            told_dropped: false,
            has_dropped: false,
            is_adopted: false,
        }
    }

    /// That of an earlier run. Where that never came to know its destinations, they are those that are given.
    pub fn adopt(directory: &Path, spool_bound: Bound, destinations: Destinations, account: Arc<Account>) -> Found {
        let mut outbox = Outbox::new(Some(directory), spool_bound, destinations, account);
        outbox.is_adopted = true;
        let (mut waiting, mut moved, mut known, mut troubles) = (Vec::new(), HashSet::new(), None, Vec::new());
        let paths = segments(directory, SERIES).unwrap_or_else(|error| {
            troubles.extend(Trouble::of(directory, &error));
            Vec::new()
        });
        for (number, path) in paths {
            outbox.number = outbox.number.max(number);
            let segment = match segment::open(&path) {
                Ok(Some(segment)) => segment,
                Ok(None) => continue,
                Err(error) => {
                    troubles.extend(Trouble::of(&path, &error));
                    continue;
                }
            };
            let read = read(&segment, &outbox.account);
            if let Err(error) = read.is_sound {
                troubles.extend(Trouble::of(&path, &error));
            }
            known = read.destinations.or(known);
            moved.extend(read.moved);
            waiting.extend(read.waiting.iter().cloned());
            outbox.open.push_back(Open::new(number, None, Some(path), read.waiting));
        }
        if let Some(known) = known {
            outbox.destinations = known;
        }
        Found { outbox, waiting, moved, troubles }
    }

    /// Where its payloads go.
    pub fn destinations(&self) -> &Destinations {
        &self.destinations
    }

    /// Most bytes of one payload that find room, even where they cannot be compressed.
    pub fn most_bytes(&self) -> usize {
        (self.segment_bound.on_disk as usize / 4).max(64 * 1024)
    }

    /// Keeps a group of spans: their ids, and one payload for each of the destinations that gets any of them. All of it
    /// is there at once, or nothing is. Without a payload nobody is sent them, and they count as not sampled. `speaks_of`
    /// are the segments of records that the spans were put together from.
    ///
    /// # Errors
    /// There is no room, neither on disk nor in memory; nothing was kept.
    pub fn push(
        &mut self,
        ids: &[u64],
        payloads: &[(usize, Vec<u8>)],
        speaks_of: &BTreeSet<u32>,
    ) -> Result<Vec<Rc<Parcel>>, Full> {
        let id_bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let waiting = [0u8; WORD];
        let payloads: Vec<(usize, Vec<u8>)> = payloads.iter().map(|(to, body)| (*to, pack(body))).collect();
        let mut frames: Vec<Appended<'_>> = vec![(FrameKind::Group, payloads.len() as u64, [&id_bytes, &[]])];
        frames.extend(payloads.iter().map(|(to, body)| (FrameKind::Payload, *to as u64, [&waiting[..], &body[..]])));
        let (place, start) = self.append(&frames)?;
        let Some(open) = self.open.get_mut(place) else { return Err(Full::Bound) };
        let Some(writer) = &open.writer else { return Err(Full::Bound) };
        open.speaks_of.extend(speaks_of);
        let group = Group::new(ids.len(), payloads.len(), &self.account);
        if payloads.is_empty() {
            self.account.add(Counter::SampledOut, ids.len() as u64);
        }
        let mut at = start + frame::size(id_bytes.len());
        let mut parcels = Vec::with_capacity(payloads.len());
        for (destination, body) in &payloads {
            let word = at + FRAME_HEADER;
            let parcel = Rc::new(Parcel {
                segment: Arc::clone(writer.segment()),
                word,
                kept: word + WORD..word + WORD + body.len(),
                destination: *destination,
                group: Rc::clone(&group),
            });
            at += frame::size(WORD + body.len());
            open.parcels.push(Rc::clone(&parcel));
            parcels.push(parcel);
        }
        Ok(parcels)
    }

    /// Gives which segment has them, and where. What the disk has no room for memory may have, until the disk has some
    /// again.
    fn append(&mut self, frames: &[Appended<'_>]) -> Result<(usize, usize), Full> {
        if self.directory.is_some() && self.again.is_due() {
            match self.append_to(true, frames) {
                Err(Full::Disk(error)) => {
                    if self.again.fails() {
                        tracing::warn!("the spool cannot grow: {error}; keeping what comes in memory");
                    }
                }
                appended => {
                    if self.again.works() {
                        tracing::info!("the spool has room again");
                    }
                    return appended;
                }
            }
        }
        self.append_to(false, frames)
    }

    /// The segment that is written to.
    fn current(&self, on_disk: bool) -> Option<usize> {
        self.open.iter().rposition(|open| open.writer.as_ref().is_some_and(|writer| writer.path().is_some() == on_disk))
    }

    fn append_to(&mut self, on_disk: bool, frames: &[Appended<'_>]) -> Result<(usize, usize), Full> {
        let place = self.current(on_disk);
        let current = place.and_then(|place| Some((place, self.open.get_mut(place)?.writer.as_mut()?)));
        match current.map(|(place, writer)| writer.append_all(frames).map(|start| (place, start))) {
            None | Some(Err(Full::Bound)) => self.begin_next(on_disk, frames),
            Some(appended) => appended,
        }
    }

    /// Begins a segment with these frames. Only for one that has come to be another one may have to go.
    fn begin_next(&mut self, on_disk: bool, frames: &[Appended<'_>]) -> Result<(usize, usize), Full> {
        let needed = frames.iter().map(|(_, _, [first, second])| frame::size(first.len() + second.len())).sum();
        let bound = self.segment_bound.at_least(needed);
        let number = self.number + 1;
        let made = match self.directory.as_ref().filter(|_| on_disk) {
            Some(directory) => Writer::on_disk(&segment_path(directory, SERIES, number), bound),
            None => Writer::in_memory(bound),
        };
        let mut writer = made.map_err(Full::Disk)?;
        let begun = writer.append(FrameKind::Destinations, 0, &self.destinations.format());
        let start = match begun.and_then(|()| writer.append_all(frames)) {
            Ok(start) => start,
            Err(full) => {
                writer.delete();
                return Err(full);
            }
        };
        self.number = number;
        // What an earlier run has left is put together at once: where the disk has no room for that, memory has to.
        while self.open.len() >= MOST_SEGMENTS && (on_disk || !self.is_adopted) {
            self.drop_oldest();
        }
        self.open.push_back(Open::new(number, Some(writer), None, Vec::new()));
        Ok((self.open.len() - 1, start))
    }

    /// About how many bytes of memory the places of what waits take.
    pub fn weight(&self) -> usize {
        let places: usize = self.open.iter().map(|open| open.parcels.len()).sum();
        places * (size_of::<Parcel>() + size_of::<Group>() + 8 * size_of::<Rc<Parcel>>())
    }

    /// Whether anything was dropped since this was last asked. Whoever has parcels of it is to let go of them: they hold its
    /// room.
    pub fn take_has_dropped(&mut self) -> bool {
        std::mem::take(&mut self.has_dropped)
    }

    /// Whether anything was dropped that records may still tell of.
    pub fn has_ever_dropped(&self) -> bool {
        self.told_dropped
    }

    /// Drops the oldest segment, and counts what waits in it.
    pub fn drop_oldest(&mut self) {
        let Some(oldest) = self.open.pop_front() else { return };
        self.has_dropped = true;
        let before = self.account.get(Counter::Dropped);
        for parcel in &oldest.parcels {
            parcel.give_up();
        }
        let dropped = self.account.get(Counter::Dropped) - before;
        if dropped > 0 {
            let first = !std::mem::replace(&mut self.told_dropped, true);
            let setting = if self.directory.is_some() { "spool" } else { "memory" };
            let bound = if first { format!("{setting}.max_bytes is reached: ") } else { String::new() };
            tracing::error!("{bound}the oldest {dropped} spans that no receiver took are dropped");
        }
        oldest.delete();
    }

    /// Lets go of what is settled; `records` are the segments of records that are still there.
    pub fn tidy(&mut self, records: &BTreeSet<u32>) {
        // Where the disk serves, memory need not be kept for it.
        let in_memory = self.current(false).filter(|_| self.directory.is_none() || self.again.has_failed());
        let current = [self.current(true), in_memory];
        for (place, mut open) in std::mem::take(&mut self.open).into_iter().enumerate() {
            if !current.contains(&Some(place)) && open.is_settled() && open.speaks_of.is_disjoint(records) {
                open.delete();
            } else {
                self.open.push_back(open);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::outbox_reading::{look, spans_of};
    use super::super::parcel::tests::noise;
    use super::*;

    const BOUND: Bound = Bound { on_disk: 16 << 20, in_memory: 16 << 20 };

    fn destinations() -> Destinations {
        Destinations(vec![(Format::Datadog, "Agent at x".to_owned()), (Format::Otlp, "receiver".to_owned())])
    }

    fn account() -> Arc<Account> {
        Arc::new(Account::begin(None).unwrap())
    }

    fn counts(account: &Account) -> (u64, u64) {
        (account.get(Counter::Delivered), account.get(Counter::Dropped))
    }

    fn both(body: &[u8]) -> Vec<(usize, Vec<u8>)> {
        vec![(0, body.to_vec()), (1, [body, b"!"].concat())]
    }

    #[test]
    fn destinations_are_read_back() {
        for destinations in [destinations(), Destinations::default()] {
            assert_eq!(Destinations::parse(&destinations.format()), Some(destinations));
        }
        assert_eq!(Destinations::parse(b"\xffwhat\0"), None);
    }

    #[test]
    fn a_span_is_delivered_when_every_destination_has_it() {
        let account = account();
        let mut outbox = Outbox::new(None, BOUND, destinations(), Arc::clone(&account));
        let parcels = outbox.push(&[1, 2, 3], &both(b"body"), &BTreeSet::new()).unwrap();
        assert_eq!((parcels[0].body(), parcels[1].body()), (Some(b"body".to_vec()), Some(b"body!".to_vec())));
        parcels[0].settle(1);
        parcels[0].settle(0);
        assert_eq!(counts(&account), (0, 0), "once is enough");
        parcels[1].settle(0);
        assert_eq!(counts(&account), (2, 1));
        let none = outbox.push(&[4], &[], &BTreeSet::new()).unwrap();
        assert_eq!((none.len(), counts(&account), account.get(Counter::SampledOut)), (0, (2, 1), 1));
    }

    #[test]
    fn the_next_one_finds_what_waits_for_whom() {
        let directory = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::new(Some(directory.path()), BOUND, destinations(), account());
        let first = outbox.push(&[1, 2], &both(b"a"), &BTreeSet::new()).unwrap();
        let second = outbox.push(&[3], &both(b"b"), &BTreeSet::new()).unwrap();
        first.iter().for_each(|parcel| parcel.settle(0));
        second[0].settle(0);
        outbox.push(&[4], &[(1, b"c".to_vec())], &BTreeSet::new()).unwrap();

        let looked = look(directory.path());
        assert_eq!((looked.spans, looked.destinations[0].2, looked.destinations[1].2), (2, 0, 2));
        drop(outbox);
        let account = account();
        let mut found = Outbox::adopt(directory.path(), BOUND, Destinations::default(), Arc::clone(&account));
        assert_eq!(found.outbox.destinations(), &destinations());
        assert_eq!(found.moved, HashSet::from([1, 2, 3, 4]));
        let bodies: Vec<_> = found.waiting.iter().map(|parcel| (parcel.destination, parcel.body().unwrap())).collect();
        assert_eq!(bodies, [(1, b"b!".to_vec()), (1, b"c".to_vec())]);
        assert_eq!(spans_of(&found.waiting), 2);
        let more = found.outbox.push(&[5], &both(b"d"), &BTreeSet::new()).unwrap();
        found.waiting.iter().chain(&more).for_each(|parcel| parcel.settle(0));
        assert_eq!(counts(&account), (3, 0));
        let again = Outbox::adopt(directory.path(), BOUND, Destinations::default(), account);
        assert!(again.waiting.is_empty());
    }

    #[test]
    fn of_what_was_split_the_next_one_finds_how_far_it_came() {
        let directory = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::new(Some(directory.path()), BOUND, destinations(), account());
        let parcels = outbox.push(&[1, 2, 3, 4, 5], &both(b"a"), &BTreeSet::new()).unwrap();
        parcels[0].settle_part(2, 1);
        parcels[0].settle_part(1, 0);
        assert_eq!((parcels[0].progress(), parcels[0].is_settled()), ((3, 1), false));
        parcels[1].settle(0);
        assert_eq!(look(directory.path()).destinations[0].2, 2);
        drop(outbox);
        let account = account();
        let found = Outbox::adopt(directory.path(), BOUND, Destinations::default(), Arc::clone(&account));
        assert_eq!((found.waiting.len(), found.waiting[0].progress()), (1, (3, 1)));
        found.waiting[0].settle(1);
        assert_eq!((found.waiting[0].is_settled(), counts(&account)), (true, (4, 1)));
        found.waiting[0].settle_part(1, 1);
        assert!(found.waiting[0].is_settled(), "what is settled stays so");
    }

    #[test]
    fn what_is_given_up_after_a_part_counts_the_rest_alone() {
        let account = account();
        let mut outbox = Outbox::new(None, BOUND, destinations(), Arc::clone(&account));
        let parcels = outbox.push(&[1, 2, 3, 4, 5], &[(0, b"a".to_vec())], &BTreeSet::new()).unwrap();
        assert!(outbox.weight() > 0);
        parcels[0].settle_part(3, 1);
        outbox.drop_oldest();
        assert_eq!((parcels[0].is_settled(), counts(&account)), (true, (2, 3)));
        assert_eq!(outbox.weight(), 0);
    }

    #[test]
    fn what_is_larger_than_a_segment_of_memory_has_one_for_itself() {
        let bound = Bound { on_disk: 16 << 20, in_memory: 1 << 20 };
        let mut outbox = Outbox::new(None, bound, destinations(), account());
        let body = noise(1_000_000);
        assert_eq!(outbox.push(&[1], &[(0, body.clone())], &BTreeSet::new()).unwrap()[0].body(), Some(body));
    }

    #[test]
    fn beyond_the_bound_the_oldest_goes_and_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        let account = account();
        let mut outbox = Outbox::new(Some(directory.path()), BOUND, destinations(), Arc::clone(&account));
        let body = noise(200_000);
        let mut parcels = Vec::new();
        for id in 0..100 {
            parcels.extend(outbox.push(&[id], &[(0, body.clone())], &BTreeSet::new()).unwrap());
        }
        assert_eq!(segments(directory.path(), SERIES).unwrap().len(), MOST_SEGMENTS);
        let dropped = account.get(Counter::Dropped) as usize;
        assert!(dropped > 20, "{dropped}");
        let settled: Vec<bool> = parcels.iter().map(|parcel| parcel.is_settled()).collect();
        assert!(settled[..dropped].iter().all(|settled| *settled) && settled[dropped..].iter().all(|settled| !settled));
    }

    #[test]
    fn of_an_earlier_run_nothing_is_dropped_as_the_disk_is_full() {
        let spool = tempfile::tempdir().unwrap();
        let directory = spool.path().join("gone");
        let account = account();
        let mut outbox = Outbox::adopt(&directory, BOUND, destinations(), Arc::clone(&account)).outbox;
        let body = noise(900_000);
        for id in 0..20 {
            outbox.push(&[id], &both(&body), &BTreeSet::new()).unwrap();
        }
        assert!(outbox.open.len() > MOST_SEGMENTS, "{}", outbox.open.len());
        assert_eq!(counts(&account), (0, 0));
    }

    #[test]
    fn what_is_settled_goes_when_its_records_have_gone() {
        let directory = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::new(Some(directory.path()), BOUND, destinations(), account());
        let body = noise(900_000);
        for id in 0..5 {
            let parcels = outbox.push(&[id], &[(0, body.clone())], &BTreeSet::from([id as u32])).unwrap();
            if id != 2 {
                parcels.iter().for_each(|parcel| parcel.settle(0));
            }
        }
        let left =
            || segments(directory.path(), SERIES).unwrap().into_iter().map(|(number, _)| number).collect::<Vec<_>>();
        assert_eq!(left(), [1, 2, 3, 4, 5]);
        outbox.tidy(&BTreeSet::from([1, 9]));
        assert_eq!(left(), [2, 3, 5], "one speaks of records, one waits, one is written to");
        outbox.tidy(&BTreeSet::from([9]));
        assert_eq!(left(), [3, 5]);
    }
}
