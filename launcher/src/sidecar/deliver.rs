//! The exporting thread: reads the segment, puts spans together and hands them to the backends.
//!
//! It has the sidecar's only asynchronous runtime.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
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

use super::assemble::{Assembler, Policy};
use super::judge::Judge;
use super::leftover::{self, Leftover};
use super::queues::{Patience, Queues, ids};
use super::spool::Reader;
use crate::export::{Batch, otlp_json_line};

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
    /// The spool, and this sidecar's own segment in it.
    pub spool: Option<PathBuf>,
    /// This sidecar's own segment, if it is a file.
    pub own_segment: Option<PathBuf>,
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

struct Shared {
    news: Notify,
    /// The sidecar was told to go.
    hurry: AtomicBool,
    /// The command has proved to be a service: its processes are no spans, and need not record themselves any more.
    processes_unwanted: AtomicBool,
    /// Sampling rates that the Agent has told and the processes have not been told yet.
    rates: Mutex<Option<AgentRateTable>>,
    ended: Mutex<Ended>,
}

/// What the thread leaves.
#[derive(Default)]
pub struct Ended {
    /// Where some spans could not be delivered: those that were.
    pub settled: Vec<u64>,
    /// What went wrong, for people.
    pub complaints: Vec<String>,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exporting {
    /// Starts the thread.
    pub fn start(reader: Reader, plan: Plan) -> std::io::Result<Exporting> {
        let shared = Arc::new(Shared {
            news: Notify::new(),
            hurry: AtomicBool::new(false),
            processes_unwanted: AtomicBool::new(false),
            rates: Mutex::default(),
            ended: Mutex::default(),
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("export".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => LocalSet::new().block_on(&runtime, export(reader, plan, for_thread)),
                Err(error) => tracing::error!("cannot export: {error}; spans stay in the spool"),
            }
        })?;
        Ok(Exporting { thread, shared })
    }

    /// There is something new in the segment.
    pub fn wake(&self) {
        self.shared.news.notify_one();
    }

    /// Whether records of processes are not wanted any more.
    pub fn wants_no_processes(&self) -> bool {
        self.shared.processes_unwanted.load(Ordering::Relaxed)
    }

    /// The Agent's sampling rates, if there are new ones.
    pub fn new_rates(&self) -> Option<AgentRateTable> {
        lock(&self.shared.rates).take()
    }

    /// Whether everything is done, after the end of the segment.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
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

async fn export(mut reader: Reader, mut plan: Plan, shared: Arc<Shared>) {
    let partial_flush = plan.config.partial_flush.then_some(plan.config.partial_flush_min_spans);
    let policy = Policy { partial_flush, hold_processes: plan.hold.is_some() };
    let rates: Rc<RefCell<AgentRateTable>> = Rc::default();
    let judge = Judge::new(&plan.config.sampling, Rc::clone(&rates));
    let mut assembler = Assembler::new(policy, plan.clock_offset, Arc::clone(&plan.resource), judge);
    let patience = Rc::new(Patience::default());
    let mut queues: Option<Queues> = None;
    let mut pending: Vec<TraceChunk> = Vec::new();
    let mut seen: Vec<TraceChunk> = Vec::new();
    let (begun, mut last_sent) = (Instant::now(), Instant::now());
    let mut counted = (0, 0);
    let mut over_since: Option<Instant> = None;
    let preparation = crate::export::Preparation::new(&plan.config);
    loop {
        let prepared = pending.len();
        let _ = timeout(plan.config.flush_interval.min(Duration::from_millis(500)), shared.news.notified()).await;
        let mut recorded = 0;
        while let Some(frame) = reader.next_frame() {
            recorded += assembler.feed(frame);
        }
        let given_up = assembler.take_given_up();
        if given_up > 0 {
            tracing::error!("too many spans are open at once: {given_up} that were begun long ago are dropped");
        }
        reader.count(recorded, 0, given_up);
        let ended = assembler.has_ended();
        if plan.hold.is_some_and(|limit| !ended && begun.elapsed() > limit) {
            plan.hold = None;
            give_up_processes(&mut assembler, &reader, &shared);
        }
        pending.append(&mut assembler.collect(monotonic_ns()));
        if over_since.is_none() && assembler.has_finished(plan.first) {
            over_since = Some(Instant::now());
        }
        if plan.hold.is_some() && !ended && over_since.is_some_and(|since| since.elapsed() > STRAGGLERS) {
            // What is left of the command after its end is a service that it has started.
            plan.hold = None;
            let (mut finished, left) = assembler.release_processes();
            pending.append(&mut finished);
            if left > 0 {
                tracing::info!("{left} processes run on after the command's end and are no spans");
            }
            reader.count(0, 0, left);
            shared.processes_unwanted.store(true, Ordering::Relaxed);
        }
        pending.iter_mut().skip(prepared).for_each(|chunk| preparation.apply(chunk));
        if ended && let Some(view) = plan.view.take() {
            seen.append(&mut pending.clone());
            show(view, &seen);
        }
        let due = ended || last_sent.elapsed() >= plan.config.flush_interval;
        if due && !pending.is_empty() {
            last_sent = Instant::now();
            if plan.view.is_some() {
                seen.extend(pending.iter().cloned());
            }
            let queues = match &mut queues {
                Some(queues) => queues,
                none => none.insert(Queues::open(&plan, &patience, &rates).await),
            };
            queues.push(Batch { chunks: std::mem::take(&mut pending) });
        }
        if let Some(queues) = &queues {
            count(&reader, queues, &mut counted);
            if queues.take_rates_changed() {
                *lock(&shared.rates) = Some(rates.borrow().clone());
            }
        }
        if ended {
            break;
        }
    }
    patience.end_within(plan.config.shutdown_timeout);
    let queues = queues.unwrap_or_default();
    queues.wait_until_served(&patience, || shared.hurry.load(Ordering::Relaxed)).await;
    count(&reader, &queues, &mut counted);
    lock(&shared.ended).complaints = queues.complaints();
    let account = reader.account();
    if queues.is_empty() {
        // Only the view was asked for, and it has them.
        reader.count(0, account.waiting(), 0);
    } else if account.waiting() > 0 {
        lock(&shared.ended).settled = queues.settled();
    } else if account.delivered > 0 {
        deliver_leftovers(&plan, &queues, &patience, &shared).await;
    }
    if assembler.malformed > 0 {
        tracing::warn!("{} records could not be read and were dropped", assembler.malformed);
    }
}

/// Brings the account up to date.
fn count(reader: &Reader, queues: &Queues, counted: &mut (u64, u64)) {
    let (delivered, dropped) = queues.counts();
    reader.count(0, delivered.saturating_sub(counted.0), dropped.saturating_sub(counted.1));
    *counted = (delivered.max(counted.0), dropped.max(counted.1));
}

/// The command has proved to be a service: it gets no process spans.
fn give_up_processes(assembler: &mut Assembler, reader: &Reader, shared: &Shared) {
    shared.processes_unwanted.store(true, Ordering::Relaxed);
    let dropped = assembler.give_up_processes();
    tracing::info!(
        "the command runs on as a service: {dropped} process spans are dropped and no more are recorded; \
         --process-spans=true keeps them"
    );
    reader.count(0, 0, dropped);
}

fn show(view: OwnedFd, chunks: &[TraceChunk]) {
    use std::io::Write;
    let mut file = std::fs::File::from(view);
    let mut batch = Batch { chunks: chunks.to_vec() };
    for chunk in &mut batch.chunks {
        // Whoever asked to see the trace sees it, though it was decided not to keep it.
        chunk.sampling_priority = chunk.sampling_priority.max(1);
    }
    if let Err(error) = file.write_all(&otlp_json_line(&batch)) {
        tracing::warn!("cannot hand the spans to the view: {error}");
    }
}

/// Hands over what other sidecars left behind, now that the backends take spans again.
async fn deliver_leftovers(plan: &Plan, queues: &Queues, patience: &Patience, shared: &Shared) {
    let Some(spool) = &plan.spool else { return };
    let preparation = crate::export::Preparation::new(&plan.config);
    for path in leftover::find(spool, plan.own_segment.as_deref()) {
        if patience.is_over() {
            return;
        }
        let Some(mut left) = Leftover::open(&path, &plan.config.sampling) else { continue };
        tracing::info!("delivering {} spans that wait in {}", left.spans(), path.display());
        left.chunks.iter_mut().for_each(|chunk| preparation.apply(chunk));
        let batch = Batch { chunks: std::mem::take(&mut left.chunks) };
        let wanted = ids(&batch.chunks).count();
        queues.forget_settled();
        queues.push(batch);
        queues.wait_until_served(patience, || shared.hurry.load(Ordering::Relaxed)).await;
        let done = queues.settled();
        if done.len() >= wanted {
            left.settle();
        } else {
            left.settle_some(&done);
            return;
        }
    }
}
