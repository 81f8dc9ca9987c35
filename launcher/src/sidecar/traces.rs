//! The spans that are no processes: put together for each process and trace, and handed on when nothing of a trace is
//! open in its process any more, or when enough of it is finished.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use ddtrace::ids::{SpanId, TraceId};
use ddtrace::naming::UNNAMED;
use ddtrace::record::{DECIDE_AFTER, EndBody, Record, RecordBody, SpanBody, records};
use ddtrace::semconv::PROCESS_PID;
use ddtrace::span::{Resource, Span, TraceChunk, Value};

use super::assemble::SegmentsOf;
use super::death::Death;
use super::early::Early;
use super::judge::Judge;
use super::recorded_span::{CutOff, RecordedSpan, ScopeKey, set};
use super::verdict::Verdict;

/// Of so many traces of a process it is remembered how they were decided, for spans that come after the rest was sent.
const MOST_REMEMBERED: usize = 4096;

/// How long spans wait for a word of their local root, in nanoseconds: threads write into chunks of their own, which are
/// not all looked at in the same instant.
const WAIT_FOR_ROOT_NS: u64 = 500_000_000;

/// The conventions' name for what Datadog's tracers call `runtime-id`.
const INSTANCE_ID: &[u8] = b"service.instance.id";

/// Other scopes than the first so many are not shared between spans.
const MOST_SCOPES: usize = 1024;

/// What a process says of itself beyond so many bytes of records is not taken in.
const MOST_OF_ITSELF: usize = 1 << 20;

/// Where memory is short, so many spans of a process are cut off at once at least.
const LEAST_CUT: usize = 64;

/// The spans of all processes.
pub struct Traces {
    /// What the whole run is, where a process says nothing else.
    resource: Arc<Resource>,
    partial_flush: Option<usize>,
    processes: HashMap<u64, Process>,
    early: Early,
    /// The segment that is read from.
    segment: u32,
    /// The segments that traces were begun in of which something was handed on since this was last asked.
    handed_on: BTreeSet<u32>,
    /// Spans that were withdrawn since this was last asked.
    withdrawn: u64,
}

struct Process {
    /// As the process sees itself.
    pid: Option<u32>,
    /// What the process is, so far without its id.
    resource: Arc<Resource>,
    /// The same with its id, once a span needs it.
    complete: Option<Arc<Resource>>,
    /// Bytes of the records that said so.
    described: usize,
    /// Spans that have not ended, and those of `ending`. Boxed, as they are large and the map moves them.
    open: HashMap<SpanId, Box<RecordedSpan>>,
    /// Spans that have ended, oldest first, with the pass in which that was read. What another thread said of them before
    /// is read in the next pass at the latest.
    ending: VecDeque<(u64, SpanId)>,
    /// How often all rings of the process were looked at.
    passes: u64,
    /// In the order in which they were begun, with some that have ended since.
    begun: VecDeque<SpanId>,
    /// Boxed for the same reason.
    traces: HashMap<TraceId, Box<Trace>>,
    /// Those of them in which something has ended that may be the last that was waited for: only these are looked at,
    /// as there may be very many that are open.
    candidates: Vec<TraceId>,
    partial_flush: Option<usize>,
    /// Traces that were handed on, oldest first.
    sent: VecDeque<TraceId>,
    decided: HashMap<TraceId, Verdict>,
    scopes: HashSet<ScopeKey>,
    /// Spans that were withdrawn, until that is counted.
    withdrawn: u64,
    death: Option<Death>,
}

#[derive(Default)]
struct Trace {
    open: usize,
    finished: Vec<Span>,
    verdict: Verdict,
    /// The local root, where it is among the finished ones.
    root: Option<SpanId>,
    /// The local root, while it is open.
    open_root: Option<SpanId>,
    /// Since when it waits for a word of its local root, `CLOCK_MONOTONIC` nanoseconds.
    waits_since: Option<u64>,
    segments: SegmentsOf,
    /// Whether it is among the candidates.
    is_candidate: bool,
}

impl Trace {
    /// Whether it might be handed on, by what is in it.
    fn may_be_due(&self, partial_flush: Option<usize>) -> bool {
        self.open == 0 || partial_flush.is_some_and(|least| self.finished.len() >= least)
    }
}

/// What is handed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandOn {
    /// Traces that are complete, or of which enough is finished.
    Ready,
    /// All spans that are finished, whatever of their traces is open.
    Finished,
    /// Everything.
    Everything,
}

/// Where to.
struct Ready<'a> {
    chunks: Vec<TraceChunk>,
    most: usize,
    segments: &'a mut BTreeSet<u32>,
}

impl Traces {
    /// For a run that is `resource`; a part of a trace is handed on at `partial_flush` finished spans.
    pub fn new(resource: Arc<Resource>, partial_flush: Option<usize>) -> Traces {
        Traces {
            resource,
            partial_flush,
            processes: HashMap::new(),
            early: Early::default(),
            segment: 0,
            handed_on: BTreeSet::new(),
            withdrawn: 0,
        }
    }

    /// What comes from now on is in the segment of this number.
    pub fn reads(&mut self, segment: u32) {
        self.segment = segment;
    }

    /// The segments in which spans were begun that are not handed on yet.
    pub fn segments(&self) -> impl Iterator<Item = u32> {
        let traces = self.processes.values().flat_map(|process| process.traces.values());
        traces.flat_map(|trace| trace.segments.numbers())
    }

    /// The segments that traces were begun in of which something was handed on since this was last asked.
    pub fn take_handed_on(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.handed_on)
    }

    /// How many spans the programs have taken back since this was last asked.
    pub fn take_withdrawn(&mut self) -> u64 {
        std::mem::take(&mut self.withdrawn)
    }

    fn process(&mut self, producer: u64) -> &mut Process {
        let new = || Process::new(Arc::clone(&self.resource), self.partial_flush);
        self.processes.entry(producer).or_insert_with(new)
    }

    /// A span has begun. Gives how many spans that are new.
    pub fn begun(&mut self, producer: u64, record: &Record<'_>, body: &SpanBody) -> u64 {
        let segment = self.segment;
        let process = self.process(producer);
        if process.open.contains_key(&record.span_id) {
            return 0;
        }
        let mut span = Box::new(RecordedSpan::begun(record.span_id, body));
        span.amend(record);
        let trace = process.trace(body.trace_id);
        trace.open += 1;
        trace.segments.add(segment);
        if span.is_local_root {
            trace.open_root = Some(record.span_id);
        }
        process.open.insert(record.span_id, span);
        process.begun.push_back(record.span_id);
        process.tidy_begun();
        for bytes in self.early.take(producer, record.span_id) {
            for record in records(&bytes).flatten() {
                match record.body {
                    RecordBody::SpanEnd(end) => self.ended(producer, &record, &end),
                    _ => self.amend_later(producer, &record),
                }
            }
        }
        1
    }

    /// More is known of an open span. Gives whether there is one.
    fn amend(&mut self, producer: u64, record: &Record<'_>) -> bool {
        let span = self.processes.get_mut(&producer).and_then(|process| process.open.get_mut(&record.span_id));
        span.map(|span| span.amend(record)).is_some()
    }

    /// More is known of a span, which is open or about to be.
    pub fn amend_later(&mut self, producer: u64, record: &Record<'_>) {
        if !self.amend(producer, record) {
            self.early.keep(producer, record);
        }
    }

    /// A span has ended, which is open or about to be.
    pub fn ended(&mut self, producer: u64, record: &Record<'_>, end: &EndBody) {
        if let Some(process) = self.processes.get_mut(&producer)
            && let Some(span) = process.open.get_mut(&record.span_id)
        {
            span.amend(record);
            span.ended(end);
            process.ending.push_back((process.passes, record.span_id));
        } else {
            self.early.keep(producer, record);
        }
    }

    /// All rings of a process were looked at.
    pub fn passed(&mut self, producer: u64) {
        if let Some(process) = self.processes.get_mut(&producer) {
            process.passes += 1;
            let whole_passes_ago = process.passes.saturating_sub(2);
            while let Some((_, id)) = process.ending.pop_front_if(|(pass, _)| *pass <= whole_passes_ago) {
                process.close_ended(id);
            }
        }
    }

    /// A span from its beginning to its end. Gives how many spans that are new.
    pub fn whole(&mut self, producer: u64, record: &Record<'_>, body: &SpanBody, end: &EndBody) -> u64 {
        let segment = self.segment;
        let process = self.process(producer);
        let (mut span, is_new) = match process.open.remove(&record.span_id) {
            Some(span) => (span, 0),
            None => {
                let trace = process.trace(body.trace_id);
                trace.open += 1;
                trace.segments.add(segment);
                (Box::new(RecordedSpan::begun(record.span_id, body)), 1)
            }
        };
        span.amend(record);
        span.ended(end);
        process.close(span);
        is_new
    }

    /// What a process says of itself.
    pub fn describe(&mut self, producer: u64, record: &Record<'_>) {
        let process = self.process(producer);
        process.described = process.described.saturating_add(record.as_bytes().len());
        if process.described > MOST_OF_ITSELF {
            return;
        }
        let mut attributes = process.resource.attributes.clone();
        for field in record.fields().filter(|field| !field.name.is_empty()) {
            let name = if field.name == b"runtime-id" { INSTANCE_ID } else { field.name };
            set(&mut attributes, name, field.value);
        }
        process.is_now(Arc::new(Resource { attributes }));
    }

    /// A process with this id, as it sees itself.
    pub fn has_pid(&mut self, producer: u64, pid: u32) {
        let process = self.process(producer);
        process.pid = Some(pid);
        process.complete = None;
    }

    /// A process goes on with another program: what was open in the one before will not be ended by anybody.
    pub fn replaced(&mut self, producer: u64, now_unix_ns: u64) {
        if let Some(process) = self.processes.get_mut(&producer) {
            process.cut_off(now_unix_ns, &CutOff::Exec);
            // The next program says anew what it is.
            process.is_now(Arc::clone(&self.resource));
            process.described = 0;
        }
    }

    /// A process is gone.
    pub fn died(&mut self, producer: u64, death: Death) {
        if let Some(process) = self.processes.get_mut(&producer) {
            process.death = Some(death);
            // Its last words have all been read.
            process.close_all_ended();
        }
    }

    /// The dead processes that have left something open, with what the kernel told of their deaths.
    pub fn bereaved(&self) -> Vec<(u64, Death)> {
        let dead = self.processes.iter().filter_map(|(producer, process)| Some((*producer, process.death?)));
        dead.collect()
    }

    /// All that is known of a process's end is known: what is open in it ends at that time.
    pub fn close_dead(&mut self, producer: u64, at_unix_ns: u64, by: &CutOff) {
        if let Some(process) = self.processes.get_mut(&producer) {
            process.cut_off(at_unix_ns, by);
        }
    }

    /// Hands on what is to be. Processes that are gone are forgotten then.
    /// Not more than `most` traces at once.
    pub fn collect(&mut self, judge: &Judge, now_ns: u64, what: HandOn, most: usize) -> Vec<TraceChunk> {
        self.early.forget_old(now_ns);
        let mut ready = Ready { chunks: Vec::new(), most, segments: &mut self.handed_on };
        for process in self.processes.values_mut() {
            let is_over = process.death.is_some() && process.open.is_empty();
            let what = if is_over { HandOn::Everything } else { what };
            process.collect(judge, now_ns, what, &mut ready);
            self.withdrawn += std::mem::take(&mut process.withdrawn);
        }
        let chunks = ready.chunks;
        let is_needed = |process: &Process| {
            process.death.is_none() || !process.open.is_empty() || chunks.len() >= most && !process.traces.is_empty()
        };
        self.processes.retain(|_, process| is_needed(process));
        chunks
    }

    /// Ends all that is still open: nothing more will come.
    pub fn end(&mut self, at_unix_ns: u64) {
        for process in self.processes.values_mut() {
            process.cut_off(at_unix_ns, &CutOff::Unseen);
        }
    }

    /// Does without what is only held for what may still come: takes spans that have ended for finished, whatever other
    /// threads may say of them yet, and forgets half of the decisions that spans may need which come after the rest of their
    /// trace: those are decided about once more then.
    pub fn hold_less(&mut self) {
        for process in self.processes.values_mut() {
            process.close_all_ended();
            process.scopes.clear();
            for _ in 0..process.sent.len().div_ceil(2) {
                let oldest = process.sent.pop_front();
                oldest.map(|oldest| process.decided.remove(&oldest));
            }
            process.sent.shrink_to_fit();
            process.decided.shrink_to_fit();
        }
    }

    /// How many bytes the open spans of each process take, about.
    pub fn weights(&self) -> impl Iterator<Item = (u64, usize)> {
        let weight = |process: &Process| process.open.values().map(|span| span.weight()).sum();
        self.processes.iter().map(move |(producer, process)| (*producer, weight(process)))
    }

    /// Ends those spans of a process that are open for longest, an eighth of them; gives how many.
    pub fn cut_oldest(&mut self, producer: u64, at_unix_ns: u64) -> u64 {
        let Some(process) = self.processes.get_mut(&producer) else { return 0 };
        let most = (process.open.len() / 8).max(LEAST_CUT);
        let mut cut = 0;
        while cut < most
            && let Some(oldest) = process.begun.pop_front()
        {
            if let Some(mut span) = process.open.remove(&oldest) {
                span.cut_off(at_unix_ns, &CutOff::Unseen);
                process.close(span);
                cut += 1;
            }
        }
        if process.open.capacity() > 4 * process.open.len() {
            process.open.shrink_to_fit();
        }
        cut as u64
    }
}

impl Process {
    fn new(resource: Arc<Resource>, partial_flush: Option<usize>) -> Process {
        Process {
            pid: None,
            resource,
            complete: None,
            described: 0,
            open: HashMap::new(),
            ending: VecDeque::new(),
            passes: 0,
            begun: VecDeque::new(),
            traces: HashMap::new(),
            candidates: Vec::new(),
            partial_flush,
            sent: VecDeque::new(),
            decided: HashMap::new(),
            scopes: HashSet::new(),
            withdrawn: 0,
            death: None,
        }
    }

    fn is_now(&mut self, resource: Arc<Resource>) {
        self.resource = resource;
        self.complete = None;
    }

    /// What the process is, with its id.
    fn complete(&mut self) -> Arc<Resource> {
        let complete = self.complete.get_or_insert_with(|| {
            let Some(pid) = self.pid.filter(|_| self.resource.attributes.iter().all(|(key, _)| key != PROCESS_PID))
            else {
                return Arc::clone(&self.resource);
            };
            let mut attributes = self.resource.attributes.clone();
            attributes.push((Cow::Borrowed(PROCESS_PID), Value::I64(pid.into())));
            Arc::new(Resource { attributes })
        });
        Arc::clone(complete)
    }

    fn trace(&mut self, id: TraceId) -> &mut Trace {
        self.traces.entry(id).or_insert_with(|| {
            // Of the same trace something was sent before: that decision stands.
            let verdict = self.decided.get(&id).cloned().unwrap_or_default();
            Box::new(Trace { verdict, ..Trace::default() })
        })
    }

    /// Takes in a span that has ended.
    fn close(&mut self, span: Box<RecordedSpan>) {
        if self.scopes.len() > MOST_SCOPES {
            self.scopes.clear();
        }
        let is_withdrawn = span.is_withdrawn;
        let (mut span, verdict, is_local_root) = span.finish(&mut self.scopes);
        if span.name.is_empty() {
            span.name = Cow::Borrowed(UNNAMED);
        }
        let decided = self.decided.get(&span.trace_id);
        let trace = self.traces.entry(span.trace_id).or_default();
        trace.open = trace.open.saturating_sub(1);
        if is_local_root {
            trace.root = Some(span.span_id);
            // What was sent with an earlier part of the trace stands.
            trace.verdict = match decided {
                Some(decided) if verdict.priority.is_none() => decided.clone(),
                _ => verdict,
            };
        }
        let id = span.trace_id;
        if is_withdrawn {
            self.withdrawn += 1;
        } else if trace.finished.is_empty() {
            // Many traces have no other: room for four, as would be usual, is more than a kilobyte.
            trace.finished.reserve_exact(1);
        }
        if !is_withdrawn {
            trace.finished.push(span);
        }
        if !trace.is_candidate && trace.may_be_due(self.partial_flush) {
            trace.is_candidate = true;
            self.candidates.push(id);
        }
    }

    fn close_ended(&mut self, id: SpanId) {
        if let Some(span) = self.open.remove(&id) {
            self.close(span);
        }
    }

    fn close_all_ended(&mut self) {
        while let Some((_, id)) = self.ending.pop_front() {
            self.close_ended(id);
        }
    }

    /// Ends what is open, since nobody will.
    fn cut_off(&mut self, at_unix_ns: u64, by: &CutOff) {
        self.close_all_ended();
        self.begun.clear();
        for (_, mut span) in std::mem::take(&mut self.open) {
            span.cut_off(at_unix_ns, by);
            self.close(span);
        }
    }

    /// Keeps the order of the beginnings about as long as there are spans in it.
    fn tidy_begun(&mut self) {
        if self.begun.len() > 2 * self.open.len() + 1024 {
            let open = &self.open;
            self.begun.retain(|id| open.contains_key(id));
        }
    }

    fn collect(&mut self, judge: &Judge, now_ns: u64, what: HandOn, ready: &mut Ready<'_>) {
        let room = ready.most.saturating_sub(ready.chunks.len());
        let due: Vec<TraceId> = match what {
            HandOn::Ready => self.take_due(now_ns, room),
            HandOn::Finished => {
                let is_due = |trace: &Trace| !trace.finished.is_empty() || trace.open == 0;
                self.traces.iter().filter(|(_, trace)| is_due(trace)).map(|(id, _)| *id).take(room).collect()
            }
            HandOn::Everything => self.traces.keys().copied().take(room).collect(),
        };
        for id in due {
            self.hand_on(id, judge, ready);
        }
    }

    /// The candidates that are to be handed on, `room` at most. What may be due later stays one.
    fn take_due(&mut self, now_ns: u64, room: usize) -> Vec<TraceId> {
        let mut due = Vec::new();
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.retain(|id| {
            let Some(trace) = self.traces.get_mut(id) else { return false };
            if due.len() >= room {
                return true;
            }
            // The process decides about a large trace by itself, as it is to say the same to those it calls. Until it has
            // told, parts are sent only of what is too large to be kept.
            let is_rootless = trace.root.is_none() && !self.decided.contains_key(id);
            let waits = is_rootless && {
                let root = trace.open_root.and_then(|root| self.open.get(&root));
                root.is_some_and(|root| root.verdict.priority.is_none())
            };
            let least = self.partial_flush;
            let least = least.map(|least| if waits { least.max(2 * DECIDE_AFTER as usize) } else { least });
            let enough = least.is_some_and(|least| trace.finished.len() >= least);
            let mut has_waited = || now_ns.saturating_sub(*trace.waits_since.get_or_insert(now_ns)) > WAIT_FOR_ROOT_NS;
            let is_due = enough || trace.open == 0 && (!is_rootless || has_waited());
            if is_due {
                due.push(*id);
            }
            trace.is_candidate = !is_due && trace.may_be_due(self.partial_flush);
            trace.is_candidate
        });
        self.candidates = candidates;
        due
    }

    fn hand_on(&mut self, id: TraceId, judge: &Judge, ready: &mut Ready<'_>) {
        let resource = self.complete();
        let Some(trace) = self.traces.get_mut(&id) else { return };
        let mut spans = std::mem::take(&mut trace.finished);
        if !spans.is_empty() {
            // The local root first; parents start before their children.
            let root = trace.root.take();
            // In place: there may be many where memory is short.
            spans.sort_unstable_by_key(|span| {
                (Some(span.span_id) != root, span.start_unix_nano, span.end_unix_nano, span.span_id.0)
            });
            if trace.verdict.priority.is_none() {
                // The local root says what has been decided so far, even if it is still open.
                let open = trace.open_root.and_then(|root| self.open.get(&root));
                if let Some(open) = open {
                    trace.verdict = open.verdict.clone();
                }
                if let Some(first) = open.map(|open| &open.span).or(spans.first()) {
                    judge.decide(&mut trace.verdict, first, &resource);
                }
            }
            remember(&mut self.decided, &mut self.sent, id, &trace.verdict);
            judge.pick(&trace.verdict, &mut spans, &resource);
            ready.segments.extend(trace.segments.numbers());
            // It may be one that was withdrawn.
            let is_led_by_root = root.is_some() && spans.first().map(|span| span.span_id) == root;
            ready.chunks.push(trace.verdict.chunk(&resource, spans, is_led_by_root));
        }
        if trace.open == 0 {
            self.traces.remove(&id);
        }
    }
}

fn remember(decided: &mut HashMap<TraceId, Verdict>, sent: &mut VecDeque<TraceId>, id: TraceId, verdict: &Verdict) {
    if decided.insert(id, verdict.clone()).is_none() {
        sent.push_back(id);
    }
    while sent.len() > MOST_REMEMBERED {
        if let Some(oldest) = sent.pop_front() {
            decided.remove(&oldest);
        }
    }
}
