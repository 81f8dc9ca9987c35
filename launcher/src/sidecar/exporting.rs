//! The exporting thread, as the collector sees it. It has the sidecar's only asynchronous runtime.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ddtrace::config::Config;
use ddtrace::ids::SpanId;
use ddtrace::sampling::AgentRateTable;
use ddtrace::span::Resource;
use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::deliver::export;
use super::detach::stand_behind;
use super::given_up::GivenUp;
use super::leave::Left;
use crate::spool::{Account, RecordsReader};

/// What is exported, and where to.
pub struct Plan {
    /// The configuration.
    pub config: Config,
    /// What made the spans.
    pub resource: Arc<Resource>,
    /// The directory of the local store.
    pub state_dir: Option<PathBuf>,
    /// Gets every span as OTLP JSON lines at the end: the view reads it.
    pub view: Option<OwnedFd>,
    /// Whether the trace is shown: then it is kept in the local store as well.
    pub shown: bool,
    /// `CLOCK_REALTIME` minus `CLOCK_MONOTONIC`, in nanoseconds.
    pub clock_offset: i128,
    /// The spool.
    pub spool: Option<PathBuf>,
    /// This run's own directory in it, if it could be made.
    pub directory: Option<PathBuf>,
    /// Counts what becomes of the spans.
    pub account: Arc<Account>,
    /// Somebody waits for the end of delivery.
    pub attended: bool,
    /// Hold all spans back until the command has ended, and give them up if it takes longer than this: it is a service.
    pub hold: Option<Duration>,
    /// The span of the command's first process.
    pub first: SpanId,
}

/// The exporting thread, as the collector sees it.
pub struct Exporting {
    thread: JoinHandle<()>,
    shared: Arc<Shared>,
}

/// What the exporting thread and the collector have to say to each other.
pub struct Shared {
    pub news: Notify,
    /// The sidecar was told to go.
    pub hurry: AtomicBool,
    /// There was no room for the frame that ends the records: nothing comes any more, all the same.
    pub is_cut_off: AtomicBool,
    /// Which spans of processes are to be given up ([`GivenUp`]), if any.
    pub giving_up: AtomicU8,
    /// Sampling rates that the Agent has told and the processes have not been told yet.
    pub rates: Mutex<Option<AgentRateTable>>,
    /// Whether records are in the way of what waits, and whether they are gone.
    asks_for_room: AtomicBool,
    has_room: AtomicBool,
    pub ended: Mutex<Ended>,
}

impl Shared {
    /// Nothing needs the records any more, and the room that they take is needed.
    pub fn ask_for_room(&self) {
        self.asks_for_room.store(true, Ordering::Relaxed);
    }

    /// Whether they have been let go of.
    pub fn has_room(&self) -> bool {
        self.has_room.load(Ordering::Acquire)
    }
}

/// What the thread leaves.
#[derive(Default)]
pub struct Ended {
    /// What it has left for whoever comes next.
    pub left: Left,
    /// All records are put together: what is left waits among the payloads.
    pub is_complete: bool,
    /// What went wrong, for people.
    pub complaints: Vec<String>,
    /// The thread has not come to its end: the system has refused what it works with. Nothing is known of what it has done.
    pub has_failed: bool,
}

pub fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exporting {
    /// Starts the thread.
    pub fn start(reader: RecordsReader, plan: Plan) -> std::io::Result<Exporting> {
        let shared = Arc::new(Shared {
            news: Notify::new(),
            hurry: AtomicBool::new(false),
            is_cut_off: AtomicBool::new(false),
            giving_up: AtomicU8::new(0),
            rates: Mutex::default(),
            asks_for_room: AtomicBool::new(false),
            has_room: AtomicBool::new(false),
            ended: Mutex::default(),
        });
        // Before processes come, each of which takes a descriptor: this needs some as well.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("export".into()).spawn(move || {
            // Emptying rings does not wait, this can: what is in the segment is safe.
            stand_behind();
            LocalSet::new().block_on(&runtime, export(reader, plan, for_thread));
        })?;
        Ok(Exporting { thread, shared })
    }

    /// There is something new in the segment.
    pub fn wake(&self) {
        self.shared.news.notify_one();
    }

    /// Which spans of processes are to be given up, if any: that is to be written into the records.
    pub fn gives_up(&self) -> Option<GivenUp> {
        GivenUp::of(self.shared.giving_up.load(Ordering::Relaxed))
    }

    /// The Agent's sampling rates, if there are new ones.
    pub fn new_rates(&self) -> Option<AgentRateTable> {
        lock(&self.shared.rates).take()
    }

    /// Whether everything is done, after the end of the segment.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Whether the records are to be deleted, as they are in the way of what waits.
    pub fn asks_for_room(&self) -> bool {
        self.shared.asks_for_room.load(Ordering::Relaxed)
    }

    /// They are gone.
    pub fn tell_of_room(&self) {
        // Pairs with the acquire in `Shared::has_room`.
        self.shared.has_room.store(true, Ordering::Release);
    }

    /// Do not wait for any backend from now on.
    pub fn hurry(&self) {
        self.shared.hurry.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// The records end here, although nothing in them says so.
    pub fn end_without_word(&self) {
        // Pairs with the acquire in `export`: what was written before is read before the end.
        self.shared.is_cut_off.store(true, Ordering::Release);
        self.wake();
    }

    /// Waits for the thread.
    pub fn join(self) -> Ended {
        let has_failed = self.thread.join().is_err();
        Ended { has_failed, ..std::mem::take(&mut *lock(&self.shared.ended)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sidecar::origin::Origin;
    use crate::spool::{Bound, begin_records};

    /// As where there was no room for it for half a minute, and then somebody made room.
    #[test]
    fn records_without_an_end_are_no_reason_to_stay() {
        let resource = Arc::new(Resource::default());
        let origin = Origin { resource: Resource::clone(&resource), clock_offset: 0 };
        let bound = Bound { on_disk: 1 << 20, in_memory: 1 << 20 };
        let (_writer, reader, _) = begin_records(None, bound, &origin.format()).unwrap();
        let plan = Plan {
            config: crate::export::testing::config(),
            resource,
            state_dir: None,
            view: None,
            shown: false,
            clock_offset: 0,
            spool: None,
            directory: None,
            account: Arc::new(Account::begin(None).unwrap()),
            attended: true,
            hold: None,
            first: SpanId(1),
        };
        let exporting = Exporting::start(reader, plan).unwrap();
        exporting.end_without_word();
        assert!(exporting.join().is_complete);
    }
}
