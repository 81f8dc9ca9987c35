//! The queues in front of the receivers: each has a task of its own, so that a slow one holds up no other.
//!
//! What waits in a queue is on disk, see [`crate::spool`]; here are only the places.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ddtrace::config::Config;
use ddtrace::sampling::AgentRateTable;
use ddtrace::span::datadog::AgentOptions;
use hyper::body::Bytes;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::flush::SPOOL;
use crate::export::{AnyBackend, Backend, Destination, Format, Remark, Time, deliver, probe};
use crate::spool::{Asked, Counter, Destinations, Parcel};

/// How long the sidecar still tries when it was told to go.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// How long a request is awaited that is under way by then: what the receiver has taken is not to be sent again.
const LAST_ANSWER: Duration = Duration::from_secs(2);

/// How long it tries at most after the end of all processes, where nobody waits for it.
const MOST_AFTER_THE_END: Duration = Duration::from_secs(60);

/// More different things to say are in the log only.
const MOST_COMPLAINTS: usize = 5;

/// How long receivers are tried.
#[derive(Default)]
pub struct Patience {
    /// After this instant nothing is tried any more. Set at the end.
    deadline: Cell<Option<Instant>>,
    /// Nobody waits for the end: each answer gives this much more time, until that instant.
    renewed_by: Cell<Option<(Duration, Instant)>>,
    /// The sidecar was told to go.
    is_hurried: Cell<bool>,
    /// Told when it was set.
    shortened: Notify,
    /// Told when a request that had been given more time has failed.
    in_vain: Notify,
}

impl Patience {
    /// From now on there is only so much time left.
    pub fn end_within(&self, limit: Duration) {
        let end = Instant::now() + limit;
        if self.deadline.get().is_none_or(|deadline| deadline > end) {
            self.deadline.set(Some(end));
            self.shortened.notify_waiters();
        }
    }

    /// From now on there is so much time for each answer: as long as receivers take what there is, it goes on. A request
    /// that is under way by then is awaited, for as long as any request is: most receivers that are broken off have taken
    /// it all the same, and would be sent it again.
    pub fn end_within_of_an_answer(&self, limit: Duration) {
        self.end_within(limit);
        self.renewed_by.set(Some((limit, Instant::now() + MOST_AFTER_THE_END)));
    }

    /// A receiver has answered.
    fn answered(&self) {
        if let (Some((more, last)), Some(deadline)) = (self.renewed_by.get(), self.deadline.get()) {
            self.deadline.set(Some(deadline.max((Instant::now() + more).min(last))));
        }
    }

    /// The sidecar was told to go.
    pub fn hurry(&self) {
        if !self.is_hurried.replace(true) {
            self.end_within(LAST_MOMENT);
            self.renewed_by.set(Some((Duration::ZERO, Instant::now() + LAST_ANSWER)));
            // The deadline may be sooner already, and not hold for what is under way.
            self.shortened.notify_waiters();
        }
    }

    /// Waits until the time is over for a queue, of which a request may be under way.
    async fn over(&self, is_under_way: &Cell<bool>) {
        loop {
            let last = self.renewed_by.get().map(|(_, last)| last).filter(|_| is_under_way.get());
            let deadline = self.deadline.get().map(|deadline| last.unwrap_or(deadline));
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let changed = async {
                tokio::select! {
                    () = self.shortened.notified() => {}
                    () = self.in_vain.notified() => {}
                }
            };
            match left {
                Some(Duration::ZERO) => return,
                Some(left) => drop(timeout(left, changed).await),
                None => changed.await,
            }
        }
    }

    /// How much time is left; `None` while there is no end.
    fn left(&self) -> Option<Duration> {
        self.deadline.get().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}

/// One receiver's part of the work.
struct Queue {
    parcels: RefCell<VecDeque<Rc<Parcel>>>,
    news: Notify,
    /// Told when something of it was given up.
    given_up: Notify,
    busy: Cell<bool>,
    /// Nothing more will be sent: what waits stays where it is.
    gave_up: Cell<bool>,
    /// The receiver has taken something.
    answers: Cell<bool>,
    delivered: Cell<u64>,
    dropped: Cell<u64>,
    format: Format,
    options: Option<Rc<Cell<AgentOptions>>>,
    most_bytes: usize,
    /// The receiver, for people.
    name: String,
    /// What receivers have asked for.
    asked: Option<Asked>,
}

impl Queue {
    async fn until_given_up(&self, parcel: &Parcel) {
        while !parcel.is_settled() {
            self.given_up.notified().await;
        }
    }
}

/// What is to be known to encode for a receiver.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it takes.
    pub format: Format,
    /// What it understands, if it is an Agent.
    pub options: AgentOptions,
    /// Most bytes of a payload.
    pub most_bytes: usize,
}

impl Target {
    /// A receiver of which nothing is known but what it takes.
    pub fn unknown(format: Format) -> Target {
        Target { format, options: AgentOptions::default(), most_bytes: 1 << 20 }
    }
}

/// The queues of all receivers.
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

    /// Decides where spans go and begins to serve there; `rates` are kept as the Agent tells them. `and_store` has the
    /// local store get all of them as well. Runs within a `LocalSet`.
    pub async fn open(
        config: &Config,
        state_dir: Option<&Path>,
        and_store: bool,
        patience: &Rc<Patience>,
        rates: &Rc<RefCell<AgentRateTable>>,
    ) -> Queues {
        let mut route = probe(config).await;
        if and_store && !route.destinations.contains(&Destination::Local) {
            route.destinations.push(Destination::Local);
        }
        let mut queues = Queues::default();
        for destination in &route.destinations {
            let directory = match state_dir {
                Some(directory) => directory,
                None if *destination == Destination::Local => {
                    tracing::error!("there is no directory for the local store; nothing is kept");
                    continue;
                }
                None => Path::new("/"),
            };
            match AnyBackend::open(destination, config, directory) {
                Ok(mut backend) => {
                    tracing::info!("spans go to the {destination}");
                    backend.learn().await;
                    let asked = state_dir.map(|directory| Asked::of(&directory.join(SPOOL)));
                    queues.serve(backend, destination.to_string(), patience, rates, asked);
                }
                Err(error) => tracing::error!("{error}; nothing is sent there"),
            }
        }
        queues
    }

    fn serve(
        &mut self,
        backend: AnyBackend,
        name: String,
        patience: &Rc<Patience>,
        rates: &Rc<RefCell<AgentRateTable>>,
        asked: Option<Asked>,
    ) {
        let queue = Rc::new(Queue {
            parcels: RefCell::default(),
            news: Notify::new(),
            given_up: Notify::new(),
            busy: Cell::new(false),
            gave_up: Cell::new(false),
            answers: Cell::new(false),
            delivered: Cell::new(0),
            dropped: Cell::new(0),
            format: backend.format(),
            options: backend.options(),
            most_bytes: backend.most_bytes(),
            name,
            asked,
        });
        let server = Server {
            backend,
            queue: Rc::clone(&queue),
            served: Rc::clone(&self.served),
            complaints: Rc::clone(&self.complaints),
            patience: Rc::clone(patience),
            rates: Rc::clone(rates),
            rates_changed: Rc::clone(&self.rates_changed),
        };
        tokio::task::spawn_local(server.serve());
        self.queues.push(queue);
    }

    /// Where spans go, by the numbers of the queues.
    pub fn destinations(&self) -> Destinations {
        Destinations(self.queues.iter().map(|queue| (queue.format, queue.name.clone())).collect())
    }

    /// What a queue's receiver takes.
    pub fn target(&self, queue: usize) -> Option<Target> {
        let queue = self.queues.get(queue)?;
        let options = queue.options.as_ref().map(|options| options.get()).unwrap_or_default();
        Some(Target { format: queue.format, options, most_bytes: queue.most_bytes })
    }

    /// The queue for what was meant for a receiver of an earlier run: the same, or else another of its kind.
    pub fn for_earlier(&self, format: Format, name: &str) -> Option<usize> {
        let alike =
            |same: bool| self.queues.iter().position(|queue| queue.format == format && (!same || queue.name == name));
        alike(true).or_else(|| alike(false))
    }

    /// Hands a parcel to a queue.
    pub fn push(&self, queue: usize, parcel: Rc<Parcel>) {
        if let Some(queue) = self.queues.get(queue) {
            queue.parcels.borrow_mut().push_back(parcel);
            queue.news.notify_one();
        }
    }

    /// Lets go of what was given up, even if it is just being sent: it would keep its segment, and be tried for ever.
    pub fn let_go(&self) {
        for queue in &self.queues {
            queue.parcels.borrow_mut().retain(|parcel| !parcel.is_settled());
            queue.given_up.notify_one();
        }
    }

    /// Whether any receiver has taken something.
    pub fn any_answers(&self) -> bool {
        self.queues.iter().any(|queue| queue.answers.get())
    }

    /// Whether nothing is left to be sent, or nothing more will be.
    pub fn are_served(&self) -> bool {
        self.queues.iter().all(|queue| queue.gave_up.get() || !queue.busy.get() && queue.parcels.borrow().is_empty())
    }

    /// Waits for a moment, or until one of the queues has become empty.
    pub async fn moment(&self) {
        let _ = timeout(Duration::from_millis(20), self.served.notified()).await;
    }

    /// What went wrong, for people.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.borrow().clone()
    }
}

fn complain(complaints: &RefCell<Vec<String>>, text: String) {
    let mut complaints = complaints.borrow_mut();
    if complaints.len() < MOST_COMPLAINTS && !complaints.contains(&text) {
        complaints.push(text);
    }
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
        self.leave_alone().await;
        loop {
            let next = self.queue.parcels.borrow_mut().pop_front();
            let Some(parcel) = next else {
                self.queue.news.notified().await;
                continue;
            };
            self.queue.busy.set(true);
            if !parcel.is_settled() {
                self.send(&parcel).await;
            }
            if !parcel.is_settled() {
                // The time is over: it stays where it is, on disk.
                self.queue.parcels.borrow_mut().push_front(parcel);
                self.queue.gave_up.set(true);
                self.served.notify_one();
                return;
            }
            self.queue.busy.set(false);
            self.served.notify_one();
        }
    }

    /// Waits for as long as an earlier sidecar was asked to, or until there is no time any more.
    async fn leave_alone(&self) {
        let left = self.queue.asked.as_ref().and_then(|asked| asked.left(&self.queue.name));
        let Some(left) = left else { return };
        let text = format!("{} has asked to be left alone for another {} s", self.queue.name, left.as_secs() + 1);
        tracing::warn!("{text}");
        complain(&self.complaints, text);
        let is_under_way = Cell::new(false);
        tokio::select! {
            () = sleep(left) => {}
            () = self.patience.over(&is_under_way) => {}
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

    /// Sends a parcel, trying for as long as there is time.
    async fn send(&mut self, parcel: &Parcel) {
        let account = parcel.account();
        let (settled_before, dropped_before) = parcel.progress();
        let Some(mut body) = parcel.body() else {
            let dropped = parcel.give_up();
            let text = format!("a request of {dropped} spans is damaged on disk; they are dropped");
            tracing::error!("{text}");
            complain(&self.complaints, text);
            self.queue.dropped.set(self.queue.dropped.get() + dropped);
            return;
        };
        let mut spans = parcel.spans();
        // What an earlier sidecar, or this one, had to split and has got rid of in part.
        if settled_before > 0
            && let Some(rest) = self.queue.format.after(&body, settled_before)
        {
            (body, spans) = (rest, spans.saturating_sub(settled_before));
        }
        let body = Bytes::from(body);
        let complaints = Rc::clone(&self.complaints);
        let last_said = RefCell::new(String::new());
        let is_under_way = Cell::new(false);
        let mut tell = |remark| match remark {
            Remark::Sent => {
                is_under_way.set(true);
                account.add(Counter::Requests, 1);
            }
            Remark::InVain => {
                is_under_way.set(false);
                account.add(Counter::Retries, 1);
                self.patience.in_vain.notify_waiters();
            }
            Remark::Settled { spans, dropped } => parcel.settle_part(spans, dropped),
            Remark::AskedToWait(wait) => {
                let noted = self.queue.asked.as_ref().map_or(Ok(()), |asked| asked.note(&self.queue.name, wait));
                if let Err(error) = noted {
                    tracing::debug!("how long {} is to be left alone cannot be kept: {error}", self.queue.name);
                }
            }
            // The same is not said again at each try.
            Remark::Said(text) if text == *last_said.borrow() => {}
            Remark::Said(text) => {
                tracing::warn!("{text}");
                last_said.borrow_mut().clone_from(&text);
                complain(&complaints, text);
            }
        };
        let is_too_late = self.patience.is_over();
        let left = || self.patience.left();
        let time = Time { shortened: &self.patience.shortened, left: &left };
        let settled = tokio::select! {
            // A time that is over by now is no time to begin.
            biased;
            () = self.patience.over(&is_under_way) => {
                // A receiver that says nothing has said nothing yet either.
                if !is_too_late && last_said.borrow().is_empty() {
                    tell(Remark::Said(format!("{} gave no answer in time", self.queue.name)));
                }
                None
            }
            () = self.queue.until_given_up(parcel) => None,
            settled = deliver(&mut self.backend, &body, spans, &time, &mut tell) => settled,
        };
        if let Some(dropped) = settled.map(|dropped| dropped + dropped_before) {
            account.add(Counter::SentBytes, body.len() as u64);
            parcel.settle(dropped);
            self.patience.answered();
            self.queue.answers.set(true);
            self.queue.dropped.set(self.queue.dropped.get() + dropped);
            self.queue.delivered.set(self.queue.delivered.get() + spans - dropped.min(spans));
            self.tell_keep_rate();
        }
        self.note_rates();
    }

    /// An Agent scales its statistics by what is lost on the way.
    fn tell_keep_rate(&self) {
        let (delivered, dropped) = (self.queue.delivered.get(), self.queue.dropped.get());
        if let Some(options) = &self.queue.options
            && dropped > 0
        {
            options.set(AgentOptions { keep_rate: delivered as f64 / (delivered + dropped) as f64, ..options.get() });
        }
    }
}
