//! The queues in front of the backends: each has a task of its own, so that a slow one holds up no other.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ddtrace::sampling::AgentRateTable;
use ddtrace::span::TraceChunk;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::deliver::Plan;
use crate::export::{AnyBackend, Batch, Destination, deliver, probe};

/// How long the sidecar still tries when it was told to go.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// More different things to say are in the log only.
const MOST_COMPLAINTS: usize = 5;

/// How long backends are tried.
#[derive(Default)]
pub struct Patience {
    /// After this instant nothing is tried any more. Set at the end.
    deadline: Cell<Option<Instant>>,
}

impl Patience {
    /// From now on there is only so much time left.
    pub fn end_within(&self, limit: Duration) {
        self.deadline.set(Some(Instant::now() + limit));
    }

    /// The sidecar was told to go.
    pub fn hurry(&self) {
        let soon = Instant::now() + LAST_MOMENT;
        self.deadline.set(Some(self.deadline.get().map_or(soon, |deadline| deadline.min(soon))));
    }

    fn is_ending(&self) -> bool {
        self.deadline.get().is_some()
    }

    fn time_left(&self) -> Duration {
        match self.deadline.get() {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => Duration::from_secs(30),
        }
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.time_left().is_zero()
    }
}

/// One backend's part of the work.
#[derive(Default)]
struct Queue {
    batches: RefCell<VecDeque<Rc<Batch>>>,
    news: Notify,
    busy: Cell<bool>,
    delivered: Cell<u64>,
    dropped: Cell<u64>,
    /// The spans that this backend is done with.
    settled: RefCell<VecDeque<u64>>,
}

/// So many delivered spans are remembered: of the segments that are left at the end, none need be sent again. Those
/// before them were in segments that are gone, but for a few that would be delivered twice.
const MOST_SETTLED: usize = 1 << 18;

impl Queue {
    fn note_settled(&self, ids: impl Iterator<Item = u64>) {
        let mut settled = self.settled.borrow_mut();
        settled.extend(ids);
        let surplus = settled.len().saturating_sub(MOST_SETTLED);
        settled.drain(..surplus);
    }
}

/// The queues of all backends.
#[derive(Default)]
pub struct Queues {
    queues: Vec<Rc<Queue>>,
    /// Told when a queue has become empty.
    served: Rc<Notify>,
    /// What went wrong, each once.
    complaints: Rc<RefCell<Vec<String>>>,
    rates_changed: Rc<Cell<bool>>,
}

impl Queues {
    /// Whether the Agent has told new sampling rates since this was last asked.
    pub fn take_rates_changed(&self) -> bool {
        self.rates_changed.take()
    }

    /// Decides where spans go and begins to serve there; `rates` are kept as the Agent tells them. Runs within the exporting thread's `LocalSet`.
    pub async fn open(plan: &Plan, patience: &Rc<Patience>, rates: &Rc<RefCell<AgentRateTable>>) -> Queues {
        let mut route = probe(&plan.config).await;
        if plan.shown && !route.destinations.contains(&Destination::Local) {
            // What was folded in the waterfall can be looked at afterwards.
            route.destinations.push(Destination::Local);
        }
        let mut queues = Queues::default();
        for destination in &route.destinations {
            let directory = match &plan.state_dir {
                Some(directory) => directory.as_path(),
                None if *destination == Destination::Local => {
                    tracing::error!("there is no directory for the local store; nothing is kept");
                    continue;
                }
                None => Path::new("/"),
            };
            match AnyBackend::open(destination, &plan.config, directory) {
                Ok(backend) => {
                    tracing::info!("spans go to the {destination}");
                    let queue = Rc::new(Queue::default());
                    let server = Server {
                        backend,
                        queue: Rc::clone(&queue),
                        served: Rc::clone(&queues.served),
                        complaints: Rc::clone(&queues.complaints),
                        patience: Rc::clone(patience),
                        rates: Rc::clone(rates),
                        rates_changed: Rc::clone(&queues.rates_changed),
                    };
                    tokio::task::spawn_local(server.serve());
                    queues.queues.push(queue);
                }
                Err(error) => tracing::error!("{error}; nothing is sent there"),
            }
        }
        queues
    }

    /// Whether there is nowhere to send to.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Hands a batch to every backend.
    pub fn push(&self, batch: Batch) {
        let batch = Rc::new(batch);
        for queue in &self.queues {
            queue.batches.borrow_mut().push_back(Rc::clone(&batch));
            queue.news.notify_one();
        }
    }

    /// Waits until every backend has served its queue, or the time is over.
    pub async fn wait_until_served(&self, patience: &Patience, hurry: impl Fn() -> bool) {
        while self.queues.iter().any(|queue| queue.busy.get() || !queue.batches.borrow().is_empty()) {
            if hurry() {
                patience.hurry();
            }
            if patience.is_over() {
                return;
            }
            let _ = timeout(Duration::from_millis(20), self.served.notified()).await;
        }
    }

    /// How many spans are delivered, and how many dropped: a span is delivered when every backend has it; what one of
    /// them refused is dropped.
    pub fn counts(&self) -> (u64, u64) {
        let dropped = self.queues.iter().map(|queue| queue.dropped.get()).max().unwrap_or_default();
        let done = self.queues.iter().map(|queue| queue.delivered.get() + queue.dropped.get()).min();
        (done.unwrap_or_default().saturating_sub(dropped), dropped)
    }

    /// The spans that every backend is done with, since the last [`Queues::forget_settled`].
    pub fn settled(&self) -> Vec<u64> {
        let Some((first, others)) = self.queues.split_first() else { return Vec::new() };
        let others: Vec<HashSet<u64>> =
            others.iter().map(|queue| queue.settled.borrow().iter().copied().collect()).collect();
        first.settled.borrow().iter().copied().filter(|id| others.iter().all(|done| done.contains(id))).collect()
    }

    /// What went wrong, for people.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.borrow().clone()
    }

    /// Begins a new account of settled spans.
    pub fn forget_settled(&self) {
        for queue in &self.queues {
            queue.settled.borrow_mut().clear();
        }
    }
}

/// The ids of all spans of these chunks.
pub fn ids(chunks: &[TraceChunk]) -> impl Iterator<Item = u64> {
    chunks.iter().flat_map(|chunk| chunk.spans.iter().map(|span| span.span_id.0))
}

/// What serves one queue.
struct Server {
    backend: AnyBackend,
    queue: Rc<Queue>,
    served: Rc<Notify>,
    complaints: Rc<RefCell<Vec<String>>>,
    patience: Rc<Patience>,
    rates: Rc<RefCell<AgentRateTable>>,
    rates_changed: Rc<Cell<bool>>,
}

impl Server {
    async fn serve(mut self) {
        loop {
            let next = self.queue.batches.borrow_mut().pop_front();
            let Some(batch) = next else {
                self.queue.news.notified().await;
                continue;
            };
            self.queue.busy.set(true);
            let left = self.send(&batch).await;
            let waiting: HashSet<u64> = ids(&left.chunks).collect();
            self.queue.note_settled(ids(&batch.chunks).filter(|id| !waiting.contains(id)));
            self.queue.busy.set(false);
            self.served.notify_one();
            if left.spans() > 0 {
                return;
            }
        }
    }

    /// What the Agent has told about sampling with its answer.
    fn note_rates(&self) {
        if let Some(rates) = self.backend.rates()
            && *rates != *self.rates.borrow()
        {
            tracing::debug!("the Agent tells new sampling rates");
            *self.rates.borrow_mut() = rates.clone();
            self.rates_changed.set(true);
        }
    }

    /// Sends a batch for as long as there is time; gives what could not be sent.
    async fn send(&mut self, batch: &Batch) -> Batch {
        let mut left = Batch { chunks: batch.chunks.clone() };
        while left.spans() > 0 && !self.patience.is_over() {
            let (delivered, dropped) = (self.queue.delivered.get(), self.queue.dropped.get());
            if dropped > 0 {
                self.backend.set_keep_rate(delivered as f64 / (delivered + dropped) as f64);
            }
            let delivery = deliver(&mut self.backend, left, self.patience.time_left()).await;
            self.queue.delivered.set(delivered + delivery.delivered);
            self.queue.dropped.set(dropped + delivery.dropped);
            for message in delivery.messages {
                tracing::warn!("{message}");
                let mut complaints = self.complaints.borrow_mut();
                if complaints.len() < MOST_COMPLAINTS && !complaints.contains(&message) {
                    complaints.push(message);
                }
            }
            self.note_rates();
            left = delivery.left;
            // It has used the time that there was, as far as waiting made sense.
            if self.patience.is_ending() {
                break;
            }
        }
        left
    }
}
