//! What the exporting thread does: reads the records, puts spans together, and sees to it that they are sent.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ddtrace::sampling::AgentRateTable;
use ddtrace::span::TraceChunk;
use ddtrace::sys::monotonic_ns;
use tokio::time::timeout;

use super::assemble::{Assembler, Policy};
use super::exporting::{Plan, Shared, lock};
use super::flush::spool_bound;
use super::given_up::GivenUp;
use super::groups::{self, Pending};
use super::judge::Judge;
use super::leave::leave;
use super::leftover::Leftovers;
use super::memory::{Budget, Ebb};
use super::queues::{Patience, Queues};
use super::shown::Shown;
use super::traces::HandOn;
use crate::export::Preparation;
use crate::spool::{Again, Counter, Frame, FrameKind, Outbox, RecordsReader, counted};

/// How long after the end of a command its last processes may take to be told of.
const STRAGGLERS: Duration = Duration::from_secs(2);

/// Records are read in steps of so many bytes: what becomes of them is put away before the next are read.
const STEP: usize = 256 * 1024;

/// Works until all is read, and delivered or left to whoever comes next.
pub async fn export(reader: RecordsReader, plan: Plan, shared: Arc<Shared>) {
    let mut work = Work::new(reader, plan, shared);
    while !work.assembler.has_ended() {
        let tick = work.plan.config.flush_interval.min(Duration::from_millis(500));
        let _ = timeout(tick, work.shared.news.notified()).await;
        let done = [Counter::RecordBytes, Counter::SentBytes].map(|counter| work.plan.account.get(counter));
        if work.ebb.is_due(done.iter().sum()) {
            work.assembler.shrink();
            work.ebb.give_back();
        }
        let is_cut_off = work.shared.is_cut_off.load(Ordering::Acquire);
        work.catch_up().await;
        if is_cut_off && !work.assembler.has_ended() {
            let now = monotonic_ns().to_le_bytes();
            work.assembler.feed(Frame { kind: FrameKind::End, producer: 0, payload: &now });
            work.catch_up().await;
        }
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
    ebb: Ebb,
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
            ebb: Ebb::default(),
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
            self.plan.account.set(Counter::Open, self.assembler.open_spans());
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
            let (chunks, is_more) = self.assembler.portion(monotonic_ns(), what);
            chunks.into_iter().for_each(|chunk| self.take_over(chunk));
            if !is_more {
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
            // The tables of a burst may be most of it.
            self.assembler.shrink();
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
                "memory.max_bytes is reached: what is open for longest ({}) is sent unfinished, and so are others from \
                 now on",
                counted(cut, "span")
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

    fn take_over(&mut self, mut chunk: TraceChunk) {
        self.preparation.apply(&mut chunk);
        if let Some(shown) = &mut self.shown {
            shown.add(std::slice::from_ref(&chunk));
        }
        self.pending.push(chunk);
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
            // A queue is served too when its time is over, which it may take a request longer for.
            let has_leftovers = self.leftovers.as_ref().is_some_and(|leftovers| !leftovers.is_idle());
            if queues.are_served() && (!has_leftovers || self.patience.is_over()) {
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
