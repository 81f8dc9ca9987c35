//! The collector: takes in processes, drains their rings into the segment, and learns of their deaths.
//!
//! It never waits for an exporter. What a process wrote before its end is in the segment before its death is.

mod deaths;

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ddtrace::ids::SpanId;
use ddtrace::record::{Name, RecordWriter, SpanFields};
use ddtrace::ring::hashed_rates;
use ddtrace::sampling::AgentRateTable;
use ddtrace::semconv::PROCESS_PID;
use ddtrace::sys::{Usage, monotonic_ns};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::doorbell::Doorbell;
use super::given_up::GivenUp;
use super::known_ring::{Drained, KnownRing, News};
use super::listen::{Door, Guest, Round, Unwelcome, Visitor};
use super::pidfd::Watch;
use super::{silent, zombie};
use crate::spool::{Account, Counter, FrameKind, Full, RecordsWriter};

/// How many rings of one process are read. A new program in it has a new one, and so have threads that needed the first
/// one at the same time: theirs stay unused but for one.
const MOST_RINGS: usize = 4;

/// How long the collector waits for room for what is in no ring, and what it had drained last at the end of the run: the
/// exporting thread is behind.
const ROOM: Duration = Duration::from_secs(5);
const ROOM_AT_END: Duration = Duration::from_secs(30);
const NEXT_LOOK: Duration = Duration::from_millis(5);

/// About so many bytes of one process are read in one go: the others wait meanwhile, each for the memory that it writes into.
pub const PORTION: usize = 2 << 20;

/// How many different things processes may have logged.
const MOST_NOTES: usize = 64;

/// How many spans one process may be. It is one, and now and then, for a moment, another one's that had its id before.
const MOST_SPANS: usize = 8;

/// What `epoll` tells of when a ring fills up.
pub const DOORBELL: u64 = u64::MAX - 3;

/// Without one, rings are looked at more often.
fn hang_doorbell(epoll: &Epoll) -> Option<Doorbell> {
    let hung = Doorbell::hang().and_then(|doorbell| {
        epoll.add(doorbell.rung(), EpollEvent::new(EpollFlags::EPOLLIN, DOORBELL))?;
        Ok(doorbell)
    });
    hung.inspect_err(|error| tracing::debug!("no process can wake the sidecar: {error}")).ok()
}

/// A process that is known.
struct Tracked {
    pid: u32,
    producer: u64,
    watch: Watch,
    /// Oldest first.
    rings: Vec<KnownRing>,
    /// Its ids mean the same to us: it is in our pid namespace.
    same_namespace: bool,
    died_ns: Option<u64>,
    /// How it ended, and when, in the words of the launcher that has waited for it.
    told: Option<(u32, u64)>,
    /// How it died, where that is known and what it has left behind finds no room yet.
    fate: Option<(Option<u32>, Option<Usage>)>,
    /// Something was found in its rings when they were last looked at.
    was_active: bool,
}

/// Collects from all processes of a run.
pub struct Collector {
    door: Door,
    doorbell: Option<Doorbell>,
    epoll: Epoll,
    processes: HashMap<SpanId, Tracked>,
    records: RecordsWriter,
    account: Arc<Account>,
    next_producer: u64,
    /// Processes that are gone: their parents may speak of them late.
    past: HashMap<SpanId, u64>,
    told_full: bool,
    is_cut_short: bool,
    /// What processes had to say, each once.
    notes: HashSet<String>,
    /// Told to every new ring, too.
    news: News,
    run: u128,
    /// When the first process began, in ticks since the machine's start.
    began: Option<u64>,
    /// Processes come only when they have something to say, as they are no spans.
    are_silent: bool,
    /// When those are looked at next that nothing is told of.
    next_look: Instant,
    /// Whose end the launcher tells of.
    is_told_of: Option<SpanId>,
}

impl Collector {
    /// Collects what comes to `listener`; readiness of deaths is reported to `epoll` under the process's span id.
    /// Where processes are no spans (`are_silent`), they come only when they have something to say.
    pub fn new(
        listener: OwnedFd,
        epoll: Epoll,
        records: RecordsWriter,
        account: Arc<Account>,
        run: u128,
        are_silent: bool,
    ) -> Self {
        Collector {
            door: Door::new(listener),
            doorbell: hang_doorbell(&epoll),
            epoll,
            processes: HashMap::new(),
            records,
            account,
            next_producer: 1,
            past: HashMap::new(),
            told_full: false,
            is_cut_short: false,
            notes: HashSet::new(),
            news: News::default(),
            run,
            began: None,
            are_silent,
            next_look: Instant::now(),
            is_told_of: None,
        }
    }

    /// How many processes are alive, as far as is known.
    pub fn living(&self) -> usize {
        self.processes.len() + self.door.unmapped()
    }

    /// Whether a process is known that has not been told of as gone.
    pub fn knows(&self, span: SpanId) -> bool {
        self.processes.contains_key(&span)
    }

    /// What was collected, after the end.
    pub fn into_records(self) -> RecordsWriter {
        self.records
    }

    /// Tells every process to record nothing any more.
    pub fn stop(&mut self) {
        self.news.stopped = true;
        self.tell_all();
    }

    /// Spans of processes are not wanted any more: writes that down, and tells every process. Gives whether there was room.
    pub fn give_up_processes(&mut self, which: GivenUp) -> bool {
        if let Err(full) = self.records.give_up_processes(&which.format(monotonic_ns())) {
            self.tell_full(&full);
            return false;
        }
        self.news.process_spans_stopped = true;
        self.are_silent = true;
        self.tell_all();
        true
    }

    /// Whether all that is left of the run is what found no room: whether that lives is not known, nor what it has recorded.
    pub fn has_only_unmapped(&self) -> bool {
        self.processes.is_empty() && self.door.unmapped() > 0
    }

    /// Whether a process of the run lives that has not come, or may be about to. They are watched from now on.
    pub fn finds_silent_processes(&mut self) -> bool {
        if !self.are_silent {
            return false;
        }
        let seen = silent::processes_of(self.run);
        for (span, pid) in seen.processes {
            if let Some(watch) = Watch::of(pid) {
                self.track(span, pid, watch);
            }
        }
        self.living() > 0 || seen.are_more_to_be_expected
    }

    /// Tells every process the Agent's sampling rates.
    pub fn set_rates(&mut self, rates: &AgentRateTable) {
        self.news.rates = hashed_rates(rates);
        self.tell_all();
    }

    fn tell_all(&mut self) {
        for known in self.processes.values_mut().flat_map(|tracked| &mut tracked.rings) {
            known.hear(&self.news);
        }
    }

    /// The sidecar's own records, such as that of the first process.
    pub fn append_own(&mut self, record: &[u8]) {
        self.append_or_lose(FrameKind::Records, 0, record);
    }

    /// Drains all that is left and ends the records. Where there is no room, waits for as long as `reader_works`, half a
    /// minute at most. Gives whether the records have an end.
    pub fn end(&mut self, reader_works: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + ROOM_AT_END;
        loop {
            self.accept_all();
            self.drain_each(usize::MAX);
            self.bury_unreaped(true);
            let is_done = !self.is_cut_short
                && self.door.unmapped() == 0
                && self.append(FrameKind::End, 0, &monotonic_ns().to_le_bytes());
            if is_done || Instant::now() > deadline || !reader_works() {
                if self.door.unmapped() > 0 {
                    tracing::warn!(
                        "{} processes' memory found no room to the end: what they have recorded is lost, uncounted",
                        self.door.unmapped()
                    );
                }
                return is_done;
            }
            std::thread::sleep(NEXT_LOOK);
        }
    }

    /// A process has said that its ring fills up: it is about to be looked at.
    pub fn answer_doorbell(&self) {
        if let Some(doorbell) = &self.doorbell {
            doorbell.answer();
        }
    }

    /// Whether processes can say so.
    pub fn has_doorbell(&self) -> bool {
        self.doorbell.as_ref().is_some_and(|doorbell| !doorbell.is_deaf())
    }

    /// Whether something waits in a ring because there was no room for it.
    pub fn is_cut_short(&self) -> bool {
        self.is_cut_short
    }

    /// Appends a frame, if there is room.
    fn append(&mut self, kind: FrameKind, producer: u64, payload: &[u8]) -> bool {
        match self.records.append(kind, producer, payload) {
            Ok(()) => true,
            Err(full) => {
                self.tell_full(&full);
                false
            }
        }
    }

    fn tell_full(&mut self, full: &Full) {
        if !std::mem::replace(&mut self.told_full, true) {
            tracing::warn!("the spool has no room: {full}; records wait in their processes");
        }
    }

    /// Appends a frame that nobody has a second time.
    fn append_or_lose(&mut self, kind: FrameKind, producer: u64, payload: &[u8]) {
        let deadline = Instant::now() + ROOM;
        while !self.append(kind, producer, payload) {
            if Instant::now() > deadline {
                self.account.add(Counter::LostInSpool, 1);
                return;
            }
            std::thread::sleep(NEXT_LOOK);
        }
    }

    /// Tracks a process, which is watched in this way.
    pub fn track(&mut self, span: SpanId, pid: u32, watch: Watch) {
        if self.processes.contains_key(&span) {
            return;
        }
        if self.began.is_none() {
            self.began = zombie::began(pid);
        }
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLET;
        let added = match &watch {
            Watch::Descriptor(pidfd) => self.epoll.add(pidfd.as_fd(), EpollEvent::new(flags, span.0)),
            Watch::Looks(_) => Ok(()),
        };
        if let Err(error) = added {
            tracing::warn!("cannot watch process {pid}: {error}");
        }
        let producer = self.next_producer;
        self.next_producer += 1;
        let tracked = Tracked {
            pid,
            producer,
            watch,
            rings: Vec::new(),
            same_namespace: true,
            died_ns: None,
            told: None,
            fate: None,
            was_active: false,
        };
        self.processes.insert(span, tracked);
    }

    /// Takes in all processes that wait at the socket.
    pub fn accept_all(&mut self) -> usize {
        let mapped = self.processes.values().map(|tracked| tracked.rings.len()).sum();
        let (mut accepted, mut round) = (0, Round::beside(mapped));
        while let Some(visitor) = self.door.next_visitor(&mut round) {
            match visitor {
                Ok(Visitor::Guest(guest)) => match self.objection(&guest) {
                    None => {
                        self.welcome(guest);
                        accepted += 1;
                    }
                    Some(reason) => tracing::warn!("process {} was sent away: {reason}", guest.pid),
                },
                Ok(Visitor::Note { pid, text }) => {
                    if self.notes.len() < MOST_NOTES && self.notes.insert(text.clone()) {
                        tracing::warn!("process {pid}: {text}");
                    }
                }
                Ok(Visitor::Lost { pid, records }) => {
                    self.account.add(Counter::LostInProcesses, records);
                    tracing::warn!(
                        "process {pid} could not share memory, by its limits or a filter of system calls, and lost {records} records"
                    );
                }
                // An inner launcher only asks whether somebody is there.
                Err(Unwelcome::Gone) => {}
                Err(reason) => tracing::warn!("a process was sent away: {reason}"),
            }
        }
        accepted
    }

    /// Why a process cannot be who it says it is.
    fn objection(&self, guest: &Guest) -> Option<Unwelcome> {
        let known = self.processes.get(&guest.hello.span_id);
        if known.is_some_and(|tracked| tracked.pid != guest.pid && tracked.died_ns.is_none()) {
            return Some(Unwelcome::Taken);
        }
        let own = self.processes.values().filter(|tracked| tracked.pid == guest.pid && tracked.died_ns.is_none());
        (known.is_none() && own.count() >= MOST_SPANS).then_some(Unwelcome::Many)
    }

    fn welcome(&mut self, guest: Guest) {
        self.account.add(Counter::Processes, 1);
        let span = guest.hello.span_id;
        let mut known = KnownRing::new(guest.ring);
        known.hear(&self.news);
        if let Some(doorbell) = &self.doorbell {
            doorbell.add(known.memory());
        }
        match guest.watch {
            Some(watch) => self.track(span, guest.pid, watch),
            None if !self.processes.contains_key(&span) => {
                // Gone so long that the kernel has no descriptor for it: its ring still says all.
                let producer = self.next_producer;
                self.next_producer += 1;
                let deadline = Instant::now() + ROOM;
                while self.drain_ring(producer, &mut known, usize::MAX).is_cut_short && Instant::now() < deadline {
                    std::thread::sleep(NEXT_LOOK);
                }
                self.append_unseen_death(producer, span);
                return;
            }
            None => {}
        }
        // The same process with another program: the last words of the one before come first.
        self.drain(span);
        let Some(tracked) = self.processes.get_mut(&span) else { return };
        tracked.same_namespace = guest.pid == guest.hello.pid;
        tracked.pid = guest.pid;
        if tracked.rings.len() == MOST_RINGS {
            let unused = tracked.rings.iter().position(|known| !known.is_used());
            tracked.rings.remove(unused.unwrap_or(0));
        }
        tracked.rings.push(known);
        if self.are_silent {
            // Where processes are spans, they say it themselves.
            let producer = tracked.producer;
            self.append_or_lose(FrameKind::Records, producer, &pid_record(span, guest.hello.pid));
        }
    }

    /// Drains every ring, in turns if there is much in them: those who write there wait for room. Gives not zero where there
    /// was anything for the exporters.
    pub fn drain_all(&mut self) -> usize {
        self.drain_each(PORTION)
    }

    fn drain_each(&mut self, portion: usize) -> usize {
        self.records.tidy();
        self.is_cut_short = false;
        let spans: Vec<SpanId> = self.processes.keys().copied().collect();
        spans.into_iter().map(|span| self.drain_portion(span, portion).0).sum()
    }

    /// Gives how many bytes came, and whether there was room for all of them.
    fn drain(&mut self, span: SpanId) -> (usize, bool) {
        self.drain_portion(span, usize::MAX)
    }

    /// As [`Collector::drain`], about so many bytes at most: more is left for the next time.
    fn drain_portion(&mut self, span: SpanId, portion: usize) -> (usize, bool) {
        let Some(tracked) = self.processes.get_mut(&span) else { return (0, true) };
        let (producer, same_namespace, pid) = (tracked.producer, tracked.same_namespace, tracked.pid);
        let mut rings = std::mem::take(&mut tracked.rings);
        let (mut bytes, mut is_whole, mut has_room) = (0, true, true);
        let mut children = Vec::new();
        rings.retain_mut(|known| {
            let mut drained = self.drain_ring(producer, known, portion.saturating_sub(bytes));
            bytes += drained.bytes;
            is_whole &= !drained.is_cut_short;
            has_room &= !drained.is_cut_short || bytes >= portion;
            children.append(&mut drained.children);
            !drained.corrupt
        });
        let mut ends_pass = false;
        if let Some(tracked) = self.processes.get_mut(&span) {
            tracked.rings = rings;
            let was_active = std::mem::replace(&mut tracked.was_active, bytes > 0 || !is_whole);
            ends_pass = is_whole && (was_active || bytes > 0);
        }
        if ends_pass {
            self.append(FrameKind::Pass, producer, b"");
        }
        if same_namespace {
            self.adopt(pid, children);
        }
        self.is_cut_short |= !has_room;
        (bytes + usize::from(ends_pass), is_whole)
    }

    fn drain_ring(&mut self, producer: u64, known: &mut KnownRing, portion: usize) -> Drained {
        let mut left = portion;
        let drained = known.drain(|bytes| {
            let is_taken = left > 0 && self.append(FrameKind::Records, producer, bytes);
            left = left.saturating_sub(bytes.len());
            is_taken
        });
        self.account.add(Counter::LostInProcesses, drained.lost);
        self.account.add(Counter::RecordBytes, drained.bytes as u64);
        drained
    }

    /// Children that a process started, known by its word alone until they speak for themselves.
    fn adopt(&mut self, by: u32, children: Vec<(SpanId, u32)>) {
        for (span, pid) in children {
            if self.processes.contains_key(&span) || self.past.contains_key(&span) {
                continue;
            }
            if !self.can_be_child(by, pid) {
                continue;
            }
            match Watch::of(pid) {
                Some(watch) => self.track(span, pid, watch),
                // It is gone already. If it has a ring, that waits at the socket.
                None => {
                    self.accept_all();
                    if !self.processes.contains_key(&span) && !self.past.contains_key(&span) {
                        self.append_unseen_death(0, span);
                    }
                }
            }
        }
    }

    /// Whether a process that is there is what another one says of it. If it is not, waiting for its end might be for
    /// ever.
    fn can_be_child(&self, by: u32, pid: u32) -> bool {
        let Some(parent) = zombie::parent(pid) else { return true };
        // Of one whose parent is gone it is only known that it is not older than the run, and not this process itself.
        let is_orphan = || zombie::parent(by).is_none_or(|_| zombie::look(by).is_some());
        parent == by || is_orphan() && zombie::began(pid) >= self.began && pid != std::process::id()
    }
}

fn pid_record(process: SpanId, pid: u32) -> Vec<u8> {
    let mut bytes = vec![0u8; 256];
    // SAFETY: the vector's own bytes, used by nobody else until the record is finished.
    let mut record = unsafe { RecordWriter::new(NonNull::from(bytes.as_mut_slice()).cast(), bytes.len()) };
    record.resource(process);
    record.attribute_integer(Name(PROCESS_PID.as_bytes()), pid.into());
    bytes.truncate(record.finish().unwrap_or(0) as usize);
    bytes
}
