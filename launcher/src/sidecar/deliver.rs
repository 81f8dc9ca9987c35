//! The exporting thread: reads the records, puts spans together, and sees to it that they are sent.
//!
//! It has the sidecar's only asynchronous runtime.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ddtrace::config::Config;
use ddtrace::ids::SpanId;
use ddtrace::sampling::AgentRateTable;
use ddtrace::span::{Resource, TraceChunk};
use ddtrace::sys::monotonic_ns;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::assemble::{Assembler, PORTION, Policy};
use super::detach::stand_behind;
use super::flush::spool_bound;
use super::given_up::GivenUp;
use super::groups::{self, Pending};
use super::judge::Judge;
use super::leave::{Left, leave};
use super::leftover::Leftovers;
use super::memory::Budget;
use super::queues::{Patience, Queues};
use super::shown::Shown;
use super::traces::HandOn;
use crate::export::Preparation;
use crate::spool::{Account, Again, Counter, Outbox, RecordsReader};

/// How long after the end of a command its last processes may take to be told of.
const STRAGGLERS: Duration = Duration::from_secs(2);

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

pub struct Shared {
    news: Notify,
    /// The sidecar was told to go.
    hurry: AtomicBool,
    /// Which spans of processes are to be given up ([`GivenUp`]), if any.
    giving_up: AtomicU8,
    /// Sampling rates that the Agent has told and the processes have not been told yet.
    rates: Mutex<Option<AgentRateTable>>,
    /// Whether records are in the way of what waits, and whether they are gone.
    asks_for_room: AtomicBool,
    has_room: AtomicBool,
    ended: Mutex<Ended>,
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
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exporting {
    /// Starts the thread.
    pub fn start(reader: RecordsReader, plan: Plan) -> std::io::Result<Exporting> {
        let shared = Arc::new(Shared {
            news: Notify::new(),
            hurry: AtomicBool::new(false),
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

    /// Waits for the thread.
    pub fn join(self) -> Ended {
        let _ = self.thread.join();
        std::mem::take(&mut *lock(&self.shared.ended))
    }
}

/// Records are read in steps of so many bytes: what becomes of them is put away before the next are read.
const STEP: usize = 256 * 1024;

async fn export(reader: RecordsReader, plan: Plan, shared: Arc<Shared>) {
    let mut work = Work::new(reader, plan, shared);
    while !work.assembler.has_ended() {
        let tick = work.plan.config.flush_interval.min(Duration::from_millis(500));
        let _ = timeout(tick, work.shared.news.notified()).await;
        work.catch_up().await;
    }
    work.finish().await;
}

/// The exporting thread's state.
struct Work {
    reader: RecordsReader,
    plan: Plan,
    shared: Arc<Shared>,
    assembler: Assembler,
    preparation: Preparation,
    rates: Rc<RefCell<AgentRateTable>>,
    patience: Rc<Patience>,
    /// Known as soon as there is something to send.
    sending: Option<(Queues, Outbox)>,
    leftovers: Option<Leftovers>,
    pending: Pending,
    /// The segments of records that traces were begun in of which something is, or was, pending.
    pending_of: BTreeSet<u32>,
    /// For the view.
    shown: Option<Shown>,
    budget: Budget,
    /// That memory is short was said.
    told_short: bool,
    begun: Instant,
    last_sent: Instant,
    /// Since when the command's first process is over.
    over_since: Option<Instant>,
    /// When the account, for which there was no room on disk, is tried there again.
    account_again: Again,
}

impl Work {
    fn new(reader: RecordsReader, mut plan: Plan, shared: Arc<Shared>) -> Work {
        let partial_flush = plan.config.partial_flush.then_some(plan.config.partial_flush_min_spans);
        let policy = Policy { partial_flush, hold_processes: plan.hold.is_some() };
        let rates: Rc<RefCell<AgentRateTable>> = Rc::default();
        let judge = Judge::new(&plan.config.sampling, Rc::clone(&rates));
        Work {
            assembler: Assembler::new(policy, plan.clock_offset, Arc::clone(&plan.resource), judge),
            preparation: Preparation::new(&plan.config),
            shown: plan.view.take().map(|view| Shown::new(view, plan.directory.as_deref())),
            budget: Budget::of(plan.config.memory_max_bytes),
            told_short: false,
            reader,
            plan,
            shared,
            rates,
            patience: Rc::default(),
            sending: None,
            leftovers: None,
            pending: Pending::default(),
            pending_of: BTreeSet::new(),
            begun: Instant::now(),
            last_sent: Instant::now(),
            over_since: None,
            account_again: Again::default(),
        }
    }

    /// Reads all that is new, and puts away what is finished.
    async fn catch_up(&mut self) {
        loop {
            let (assembler, mut recorded) = (&mut self.assembler, 0);
            let is_more = self.reader.read(STEP, |segment, frame| {
                assembler.reads(segment);
                recorded += assembler.feed(frame);
            });
            self.plan.account.add(Counter::Recorded, recorded);
            self.tell_malformed();
            self.decide_about_processes();
            self.hand_on(HandOn::Ready).await;
            self.plan.account.add(Counter::Withdrawn, self.assembler.take_withdrawn());
            let is_due =
                !is_more && (self.assembler.has_ended() || self.last_sent.elapsed() >= self.plan.config.flush_interval);
            self.put_away(is_due).await;
            if self.budget.is_exceeded() {
                self.make_room().await;
            }
            self.release();
            if !is_more {
                break;
            }
            // Sending goes on meanwhile.
            tokio::task::yield_now().await;
        }
        self.tidy().await;
    }

    /// Takes over what is to be handed on, a portion at a time: there may be very much of it.
    async fn hand_on(&mut self, what: HandOn) {
        loop {
            let mut chunks = self.assembler.portion(monotonic_ns(), what);
            let is_all = chunks.len() < PORTION;
            self.prepare(&mut chunks);
            self.pending.extend(chunks);
            if is_all {
                break;
            }
            self.put_away(false).await;
        }
    }

    /// Memory is short: what else would wait to be complete is put away, where it takes none. What can be done without is
    /// forgotten first; then what is finished goes, then the places of what no receiver takes if they are the most of it,
    /// and at last what is open for longest.
    async fn make_room(&mut self) {
        if self.plan.hold.take().is_some() {
            tracing::info!("so many processes are spans by now that they are not held back any more");
        }
        let mut cut = 0;
        loop {
            self.assembler.hold_less(monotonic_ns());
            self.hand_on(HandOn::Finished).await;
            self.put_away(true).await;
            if let Some((queues, outbox)) = &mut self.sending {
                while outbox.weight() > self.budget.part(2) {
                    outbox.drop_oldest();
                }
                if outbox.take_has_dropped() {
                    queues.let_go();
                }
            }
            if self.budget.has_room() {
                break;
            }
            let Some(more) = self.assembler.cut_oldest(monotonic_ns()) else { break };
            cut += more;
        }
        self.plan.account.add(Counter::CutShort, cut);
        if cut > 0 && !std::mem::replace(&mut self.told_short, true) {
            tracing::warn!(
                "memory.max_bytes is reached: the {cut} spans that are open for longest are sent unfinished, and so are \
                 others from now on"
            );
        }
    }

    fn tell_malformed(&mut self) {
        let malformed = std::mem::take(&mut self.assembler.malformed);
        if malformed > 0 {
            tracing::warn!("{malformed} records could not be read and are dropped");
            self.plan.account.add(Counter::LostInSpool, malformed);
        }
    }

    /// Processes are no spans where the command has proved to be a service, or has left one behind. The collector is asked
    /// to write that into the records; it holds from where it is read there, now and by whoever reads it later.
    fn decide_about_processes(&mut self) {
        if let Some((which, dropped)) = self.assembler.take_given_up() {
            self.plan.hold = None;
            match which {
                GivenUp::All => tracing::info!(
                    "the command runs on as a service: {dropped} process spans are dropped and no more are recorded; \
                     --process-spans=true keeps them"
                ),
                GivenUp::Unfinished if dropped > 0 => {
                    tracing::info!("{dropped} processes run on after the command's end and are no spans");
                }
                GivenUp::Unfinished => {}
            }
            self.plan.account.add(Counter::Dropped, dropped);
            self.plan.account.add(Counter::GivenUp, dropped);
        }
        if self.over_since.is_none() && self.assembler.has_finished(self.plan.first) {
            self.over_since = Some(Instant::now());
        }
        let Some(limit) = self.plan.hold.filter(|_| !self.assembler.has_ended()) else { return };
        let is_service = self.begun.elapsed() > limit;
        let is_left_behind = self.over_since.is_some_and(|since| since.elapsed() > STRAGGLERS);
        if is_service || is_left_behind {
            let which = if is_service { GivenUp::All } else { GivenUp::Unfinished };
            // What was asked for first stands.
            let _ = self.shared.giving_up.compare_exchange(0, which as u8, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn prepare(&mut self, chunks: &mut [TraceChunk]) {
        chunks.iter_mut().for_each(|chunk| self.preparation.apply(chunk));
        if let Some(shown) = &mut self.shown {
            shown.add(chunks);
        }
    }

    /// Puts finished spans into the outbox, from where they are sent.
    async fn put_away(&mut self, is_due: bool) {
        if self.assembler.has_ended()
            && is_due
            && let Some(shown) = self.shown.take()
        {
            shown.show();
        }
        if is_due {
            self.last_sent = Instant::now();
        }
        self.pending_of.append(&mut self.assembler.take_handed_on());
        while let Some(batch) = self.pending.take(is_due) {
            let (queues, outbox) = match &mut self.sending {
                Some(sending) => sending,
                none => {
                    let plan = &self.plan;
                    let queues =
                        Queues::open(&plan.config, plan.state_dir.as_deref(), plan.shown, &self.patience, &self.rates);
                    let queues = queues.await;
                    let (directory, bound) = (plan.directory.as_deref(), spool_bound(&plan.config));
                    let outbox = Outbox::new(directory, bound, queues.destinations(), Arc::clone(&plan.account));
                    none.insert((queues, outbox))
                }
            };
            let targets = groups::targets(queues);
            for parcel in groups::keep(outbox, batch, &targets, &self.pending_of, &self.plan.account) {
                queues.push(parcel.destination, parcel);
            }
            if outbox.take_has_dropped() {
                queues.let_go();
            }
        }
        if self.pending.is_empty() {
            self.pending_of.clear();
        }
    }

    /// Lets go of the segments of records that are not needed any more.
    fn release(&mut self) {
        // What is pending has nothing else yet that outlives the sidecar.
        self.reader.release(|| &self.assembler.segments() | &self.pending_of);
    }

    /// Lets go of what is not needed any more, and looks after what earlier runs have left.
    async fn tidy(&mut self) {
        self.release();
        self.keep_account();
        let Some((queues, outbox)) = &mut self.sending else { return };
        outbox.tidy(&self.reader.retained());
        if queues.take_rates_changed() {
            *lock(&self.shared.rates) = Some(self.rates.borrow().clone());
        }
        if queues.any_answers() {
            let (spool, own) = (self.plan.spool.as_deref(), self.plan.directory.as_deref());
            let leftovers = self.leftovers.get_or_insert_with(|| Leftovers::find(spool, own));
            leftovers.work(queues, &self.plan.config).await;
        }
    }

    /// Where there was no room for the account, it is to come to disk as soon as there is.
    fn keep_account(&mut self) {
        let Some(directory) = self.plan.directory.as_deref().filter(|_| !self.plan.account.is_on_disk()) else {
            return;
        };
        if self.account_again.is_due()
            && let Err(error) = self.plan.account.keep_in(directory)
            && self.account_again.fails()
        {
            tracing::warn!("there is no room for the account in {}: {error}; it is in memory", directory.display());
        }
    }

    /// All is read: delivers what is left, for as long as there is time.
    async fn finish(mut self) {
        let limit = self.plan.config.shutdown_timeout;
        match self.plan.attended {
            true => self.patience.end_within(limit),
            false => self.patience.end_within_of_an_answer(limit),
        }
        lock(&self.shared.ended).is_complete = true;
        loop {
            if self.shared.hurry.load(Ordering::Relaxed) {
                self.patience.hurry();
            }
            self.tidy().await;
            let Some((queues, _)) = &self.sending else { return };
            let is_idle = queues.are_served() && self.leftovers.as_ref().is_none_or(Leftovers::is_idle);
            if is_idle || self.patience.is_over() {
                break;
            }
            queues.moment().await;
        }
        let Some((queues, outbox)) = self.sending.take() else { return };
        if let Some(leftovers) = self.leftovers.take() {
            let done = leftovers.end().done;
            if !done.is_nothing() {
                tracing::info!("of what earlier runs had left: {done}");
            }
        }
        let left = leave(outbox, self.reader, &self.plan, &self.shared);
        let mut ended = lock(&self.shared.ended);
        ended.complaints = queues.complaints();
        ended.left = left;
    }
}
