//! From records to spans: what several processes said about a process is put together, and a trace is handed on when
//! nothing in it is open any more, or when enough of it is finished.

use std::collections::BTreeSet;
use std::sync::Arc;

use ddtrace::ids::{SpanId, TraceId};
use ddtrace::record::{ChildExit, FieldValue, Open, ROLE_SELF, Record, RecordBody, records};
use ddtrace::semconv::Key;
use foldhash::{HashMap, HashMapExt};

use super::death::Death;
use super::given_up::GivenUp;
use super::judge::Judge;
use super::process_span::{ProcessSpan, signal_name};
use super::process_trace::{Carried, Handed, Trace};
use super::recorded_span::CutOff;
use super::traces::{HandOn, Traces};
use crate::spool::{Frame, FrameKind};
use ddtrace::span::{Resource, TraceChunk};

/// How long a dead process's exit status may take to be known: its parent has to wait for it.
const STATUS_LINGER_NS: u64 = 1_500_000_000;

/// How long a parent that is there may take to say when a child ended whose status is known already: the kernel's word may be
/// read late.
const TIME_LINGER_NS: u64 = 200_000_000;

/// How long a process's parent may take to say what is known already, or early: both write when they are scheduled.
pub const LATE_NEWS_NS: u64 = 60_000_000_000;

/// The same where memory is short.
const SHORT_NEWS_NS: u64 = 5_000_000_000;

/// So many traces are handed on at once: few enough to be in the processor's cache still when they are prepared.
pub const PORTION: usize = 256;

/// Where memory is short, so many processes are cut off at once at least.
const LEAST_CUT: usize = 64;

/// When a trace is handed on.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Hand on what is finished of an unfinished trace at this many spans.
    pub partial_flush: Option<usize>,
    /// Hold back the spans of processes until all of their trace are finished.
    pub hold_processes: bool,
}

/// Puts spans together.
pub struct Assembler {
    policy: Policy,
    /// `CLOCK_REALTIME` minus `CLOCK_MONOTONIC`, in nanoseconds.
    clock_offset: i128,
    open: HashMap<SpanId, ProcessSpan>,
    /// The last span that was opened for a process id.
    by_pid: HashMap<u32, SpanId>,
    /// Ends of children that have not been heard of yet.
    early_exits: HashMap<u32, ChildExit>,
    traces: HashMap<TraceId, Trace>,
    /// What the traces carry of which everything was handed on: processes that are heard of later go with them.
    handed: Handed,
    /// Spans that are no processes.
    general: Traces,
    judge: Judge,
    resource: Arc<Resource>,
    /// Process spans are not wanted any more, since the segment of this number.
    processes_given_up_in: Option<u32>,
    /// How many that were, until somebody asks.
    given_up: Option<(GivenUp, u64)>,
    /// Spans that are finished, with the time: what is said of them later is old news.
    past: HashMap<SpanId, u64>,
    /// Records that could not be read.
    pub malformed: u64,
    ended: bool,
    /// The latest time that a record spoke of.
    last_ns: u64,
    /// The segment that is read from.
    segment: u32,
    /// The segments that the traces were begun in of which something has been handed on.
    handed_on: BTreeSet<u32>,
}

/// When a process tries to go on with another program, if this record says so.
fn exec_time(record: &Record<'_>) -> Option<u64> {
    let field = record.fields().next()?;
    match (field.key, field.value) {
        (Key::ExecTime, FieldValue::Integer(time_ns)) => u64::try_from(time_ns).ok(),
        _ => None,
    }
}

impl Assembler {
    /// An assembler for records of this machine's clock, made by `resource`. `judge` decides about traces that nobody has
    /// decided about.
    pub fn new(policy: Policy, clock_offset: i128, resource: Arc<Resource>, judge: Judge) -> Self {
        Assembler {
            policy,
            clock_offset,
            general: Traces::new(Arc::clone(&resource), policy.partial_flush),
            judge,
            resource,
            processes_given_up_in: None,
            given_up: None,
            open: HashMap::new(),
            by_pid: HashMap::new(),
            early_exits: HashMap::new(),
            traces: HashMap::new(),
            handed: Handed::default(),
            past: HashMap::new(),
            malformed: 0,
            ended: false,
            last_ns: 0,
            segment: 0,
            handed_on: BTreeSet::new(),
        }
    }

    /// What is fed from now on is in the segment of this number.
    pub fn reads(&mut self, segment: u32) {
        self.segment = segment;
        self.general.reads(segment);
    }

    /// The segments in which spans were begun that are not handed on yet.
    pub fn segments(&self) -> BTreeSet<u32> {
        let processes = self.traces.values().flat_map(|trace| trace.segments.numbers());
        let mut segments: BTreeSet<u32> = processes.chain(self.general.segments()).collect();
        // Whoever reads one that came before is to know what of it was given up.
        let given_up =
            self.processes_given_up_in.filter(|segment| segments.first().is_some_and(|first| first <= segment));
        segments.extend(given_up);
        segments
    }

    /// The segments in which the traces were begun of which something was handed on since this was last asked.
    pub fn take_handed_on(&mut self) -> BTreeSet<u32> {
        let mut segments = std::mem::take(&mut self.handed_on);
        segments.append(&mut self.general.take_handed_on());
        segments
    }

    /// Takes in one frame. Gives how many spans it opened.
    pub fn feed(&mut self, frame: Frame<'_>) -> u64 {
        match frame.kind {
            FrameKind::Records => self.feed_records(frame.producer, frame.payload),
            FrameKind::Death => {
                let death = Death::parse(frame.payload);
                self.last_ns = self.last_ns.max(death.map_or(0, |death| death.time_ns));
                if let Some(death) = death {
                    self.general.died(frame.producer, death);
                    if let Some(span) = self.open.get_mut(&SpanId(death.span_id)) {
                        span.died(death);
                    }
                }
                0
            }
            FrameKind::Pass => {
                self.general.passed(frame.producer);
                0
            }
            FrameKind::ProcessesGivenUp => {
                if let Some((which, time_ns)) = GivenUp::parse(frame.payload) {
                    self.give_up_processes(which, time_ns);
                }
                0
            }
            FrameKind::End => {
                let time_ns = frame.payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                self.last_ns = self.last_ns.max(time_ns);
                self.ended = true;
                0
            }
            FrameKind::Origin | FrameKind::Destinations | FrameKind::Group | FrameKind::Payload => 0,
        }
    }

    /// How many spans have not ended.
    pub fn open_spans(&self) -> u64 {
        (self.open.len() + self.general.open_spans()) as u64
    }

    /// Whether the frame that ends everything was there.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn feed_records(&mut self, producer: u64, bytes: &[u8]) -> u64 {
        let mut opened = 0;
        for record in records(bytes) {
            match record {
                Ok(record) => opened += self.feed_record(producer, &record),
                Err(_) => self.malformed += 1,
            }
        }
        opened
    }

    fn feed_record(&mut self, producer: u64, record: &Record<'_>) -> u64 {
        if let RecordBody::Open(open) = record.body
            && open.role == ROLE_SELF
        {
            self.last_ns = self.last_ns.max(open.start_ns);
            self.general.has_pid(producer, open.pid);
            // Whatever the program before this one had begun, it cannot end any more.
            self.general.replaced(producer, self.unix_ns(self.last_ns));
        }
        match record.body {
            RecordBody::Amend if let Some(time_ns) = exec_time(record) => {
                self.general.goes_on(producer, self.unix_ns(time_ns));
            }
            RecordBody::SpanStart(body) => return self.general.begun(producer, record, &body),
            RecordBody::Span(body, end) => return self.general.whole(producer, record, &body, &end),
            RecordBody::SpanEnd(end) => self.general.ended(producer, record, &end),
            RecordBody::Resource => {
                if record.fields().any(|field| field.key == Key::Replaced) {
                    self.general.replaced(producer, self.unix_ns(self.last_ns));
                }
                self.general.describe(producer, record);
            }
            RecordBody::Amend if !self.open.contains_key(&record.span_id) => self.general.amend_later(producer, record),
            _ if self.processes_given_up_in.is_some() => {}
            _ => return self.feed_process(producer, record),
        }
        0
    }

    /// Takes in what is said of a process.
    fn feed_process(&mut self, producer: u64, record: &Record<'_>) -> u64 {
        match record.body {
            RecordBody::Open(open) => {
                self.last_ns = self.last_ns.max(open.start_ns);
                return self.opened(producer, record, &open);
            }
            RecordBody::Amend => {
                if let Some(span) = self.open.get_mut(&record.span_id) {
                    span.amend(record);
                }
            }
            RecordBody::Close(end_ns) => {
                self.last_ns = self.last_ns.max(end_ns);
                if let Some(span) = self.open.get_mut(&record.span_id) {
                    span.closed(end_ns);
                    span.amend(record);
                }
            }
            RecordBody::ChildExit(exit) => {
                self.last_ns = self.last_ns.max(exit.time_ns);
                self.child_exited(exit);
            }
            _ => {}
        }
        0
    }

    fn unix_ns(&self, monotonic_ns: u64) -> u64 {
        u64::try_from(i128::from(monotonic_ns) + self.clock_offset).unwrap_or_default()
    }

    fn opened(&mut self, producer: u64, record: &Record<'_>, open: &Open) -> u64 {
        // Whichever of the two speaks first: a child's trace is its parent's, and carries the same.
        let parent = self.open.get(&open.parent_id).filter(|parent| parent.trace_id() == open.trace_id);
        let state = parent.map(|parent| parent.trace_state().to_owned()).unwrap_or_default();
        if let Some(span) = self.open.get_mut(&record.span_id) {
            let before = span.pid();
            span.opened_again(open);
            span.amend(record);
            span.carry(&state);
            if before != span.pid() && self.by_pid.get(&before) == Some(&record.span_id) {
                self.by_pid.remove(&before);
            }
            self.by_pid.insert(span.pid(), record.span_id);
            return 0;
        }
        if self.past.contains_key(&record.span_id) {
            return 0;
        }
        let mut span = ProcessSpan::new(record.span_id, open, producer);
        if open.role != ROLE_SELF
            && let Some(parent) = self.open.get(&open.parent_id)
        {
            // A forked child runs its parent's program until it says otherwise.
            span.inherit(parent);
        }
        span.amend(record);
        span.carry(&state);
        let (handed, trace_id) = (&self.handed, span.trace_id());
        let is_below_process = [open.parent_id, record.span_id].iter().any(|id| self.open.contains_key(id))
            || self.past.contains_key(&open.parent_id);
        let waits_for = (open.parent_id.is_valid() && !is_below_process).then_some((open.parent_id, open.start_ns));
        let trace = self.traces.entry(trace_id).or_insert_with(|| {
            let fresh =
                || Carried { flags: open.trace_flags, state: span.trace_state().to_owned(), ..Carried::default() };
            let carried = handed.get(trace_id).filter(|_| waits_for.is_none()).cloned().unwrap_or_else(fresh);
            Trace { carried, waits_for, ..Trace::default() }
        });
        trace.open += 1;
        trace.segments.add(self.segment);
        for field in record.fields() {
            trace.carried.verdict.take(field.key, &field.value);
        }
        // Its parent may be over, and handed on.
        span.carry(&trace.carried.state);
        if let Some(exit) = self.early_exits.remove(&open.pid)
            && exit.time_ns >= open.start_ns
        {
            span.exited(exit);
        }
        self.by_pid.insert(open.pid, record.span_id);
        self.open.insert(record.span_id, span);
        1
    }

    fn child_exited(&mut self, exit: ChildExit) {
        let span = self.by_pid.get(&exit.pid).and_then(|span| self.open.get_mut(span));
        match span {
            Some(span) if span.may_exit_at(exit.time_ns) => span.exited(exit),
            // The child's own words come later, in another process's ring.
            _ => drop(self.early_exits.insert(exit.pid, exit)),
        }
    }

    /// Whether this span is finished.
    pub fn has_finished(&self, span: SpanId) -> bool {
        self.past.contains_key(&span)
    }

    /// The spans of processes are not wanted any more. Those that are finished and not given up are handed on next: those
    /// of traces that were complete by then in any case, since they may have been handed on before.
    fn give_up_processes(&mut self, which: GivenUp, time_ns: u64) {
        if self.processes_given_up_in.is_some() {
            return;
        }
        self.processes_given_up_in = Some(self.segment);
        self.finish_done(time_ns);
        let mut count = self.open.len();
        self.open.clear();
        match which {
            GivenUp::Unfinished => self.traces.values_mut().for_each(|trace| trace.open = 0),
            GivenUp::All => {
                let begun = self.traces.extract_if(|_, trace| trace.open > 0);
                count += begun.map(|(_, trace)| trace.finished.len()).sum::<usize>();
            }
        }
        self.given_up = Some((which, count as u64));
    }

    /// Which spans of processes were given up, and how many, if that was since this was last asked.
    pub fn take_given_up(&mut self) -> Option<(GivenUp, u64)> {
        self.given_up.take()
    }

    /// Ends every span and hands on all that is left, whatever is known of it.
    pub fn end(&mut self) -> Vec<TraceChunk> {
        self.ended = true;
        let last_ns = self.last_ns;
        self.collect(last_ns)
    }

    /// Ends the spans whose processes are gone and hands on the traces that are ready. `now_ns` is `CLOCK_MONOTONIC`.
    pub fn collect(&mut self, now_ns: u64) -> Vec<TraceChunk> {
        self.hand_on(now_ns, HandOn::Ready, usize::MAX).0
    }

    /// Memory is short: forgets what can be done without, and holds no process's span any more.
    pub fn hold_less(&mut self, now_ns: u64) {
        self.policy.hold_processes = false;
        self.general.hold_less();
        self.early_exits.retain(|_, exit| now_ns.abs_diff(exit.time_ns) < SHORT_NEWS_NS);
        self.past.retain(|_, finished_ns| now_ns.saturating_sub(*finished_ns) < SHORT_NEWS_NS);
    }

    /// A burst is over: tables become as small as what is in them.
    pub fn shrink(&mut self) {
        self.open.shrink_to_fit();
        self.by_pid.shrink_to_fit();
        self.traces.shrink_to_fit();
        self.past.shrink_to_fit();
        self.general.shrink();
    }

    /// As [`hold_less`](Assembler::hold_less), and hands on all spans that are finished, even those that would be held.
    pub fn hand_on_finished(&mut self, now_ns: u64) -> Vec<TraceChunk> {
        self.hold_less(now_ns);
        self.hand_on(now_ns, HandOn::Finished, usize::MAX).0
    }

    /// Hands on about [`PORTION`] traces of what is to be handed on; gives as well whether there may be more.
    pub fn portion(&mut self, now_ns: u64, what: HandOn) -> (Vec<TraceChunk>, bool) {
        self.hand_on(now_ns, what, PORTION)
    }

    /// How many spans the programs have taken back since this was last asked.
    pub fn take_withdrawn(&mut self) -> u64 {
        self.general.take_withdrawn()
    }

    /// Memory is still short: of the process that has most in open spans, those that are open for longest end unfinished.
    /// Gives how many; `None` where nothing is open.
    pub fn cut_oldest(&mut self, now_ns: u64) -> Option<u64> {
        let mut weights: HashMap<u64, (usize, usize)> = HashMap::new();
        for (producer, weight) in self.general.weights() {
            weights.entry(producer).or_default().0 += weight;
        }
        for span in self.open.values() {
            weights.entry(span.producer()).or_default().1 += span.weight();
        }
        let heaviest = weights.into_iter().max_by_key(|(_, (spans, processes))| spans + processes);
        match heaviest.filter(|(_, (spans, processes))| spans + processes > 0)? {
            (producer, (spans, processes)) if spans >= processes => {
                Some(self.general.cut_oldest(producer, self.unix_ns(now_ns)))
            }
            (producer, _) => Some(self.cut_oldest_processes(producer, now_ns)),
        }
    }

    fn cut_oldest_processes(&mut self, producer: u64, now_ns: u64) -> u64 {
        let told = self.open.iter().filter(|(_, span)| span.producer() == producer);
        let mut oldest: Vec<(u64, SpanId)> = told.map(|(id, span)| (span.start_ns(), *id)).collect();
        oldest.sort_unstable();
        oldest.truncate((oldest.len() / 8).max(LEAST_CUT));
        oldest.iter().for_each(|(_, id)| self.finish_process(*id, now_ns));
        oldest.len() as u64
    }

    fn finish_process(&mut self, id: SpanId, now_ns: u64) {
        let Some(span) = self.open.remove(&id) else { return };
        if self.by_pid.get(&span.pid()) == Some(&id) {
            self.by_pid.remove(&span.pid());
        }
        self.past.insert(id, now_ns);
        let trace = self.traces.entry(span.trace_id()).or_default();
        trace.open = trace.open.saturating_sub(1);
        trace.finished.push(span.finish(now_ns, self.clock_offset));
    }

    /// Finishes the processes that are over, or all of them at the end.
    fn finish_done(&mut self, now_ns: u64) {
        let is_done = |span: &ProcessSpan| self.is_over(span, span.status().is_some(), now_ns);
        let done: Vec<SpanId> = self.open.iter().filter(|(_, span)| is_done(span)).map(|(id, _)| *id).collect();
        done.into_iter().for_each(|id| self.finish_process(id, now_ns));
    }

    /// Whether a process has ended and all is known of that which will be, its status or not.
    fn is_over(&self, process: &ProcessSpan, has_status: bool, now_ns: u64) -> bool {
        let Some(dead_for) = process.dead_for_ns(now_ns) else { return self.ended };
        let may_be_told_of = || self.open.get(&process.parent_id()).is_some_and(ProcessSpan::tells_of_children);
        let linger = match has_status {
            false => STATUS_LINGER_NS,
            true if may_be_told_of() => TIME_LINGER_NS,
            true => 0,
        };
        self.ended || process.is_told_of() || dead_for >= linger
    }

    fn hand_on(&mut self, now_ns: u64, what: HandOn, most: usize) -> (Vec<TraceChunk>, bool) {
        let ended = self.ended;
        let what = if ended { HandOn::Everything } else { what };
        self.bury(now_ns);
        if ended {
            self.general.end(self.unix_ns(self.last_ns));
        }
        for (id, trace) in self.traces.iter_mut().filter(|(_, trace)| trace.carried.verdict.priority.is_none()) {
            // A program has handed the trace of a span on, in the environment, to a process that it has started.
            if let Some((span, _)) = trace.waits_for
                && let Some(said) = self.general.said_of(*id, span)
            {
                trace.carried.verdict = said.handed_on();
            }
        }
        let (mut ready, is_more) = self.general.collect(&self.judge, now_ns, what, most);
        self.finish_done(now_ns);
        self.early_exits.retain(|_, exit| now_ns.saturating_sub(exit.time_ns) < LATE_NEWS_NS);
        self.past.retain(|_, finished_ns| now_ns.saturating_sub(*finished_ns) < LATE_NEWS_NS);
        let least = match what {
            HandOn::Ready => self.policy.partial_flush.filter(|_| !self.policy.hold_processes),
            HandOn::Finished | HandOn::Everything => Some(1),
        };
        // The application has kept a trace that was to be dropped: what its spans hang under is not missing.
        for chunk in ready.iter().filter(|chunk| chunk.sampling_priority > 0) {
            let id = chunk.spans.first().map(|span| span.trace_id);
            if let Some(trace) = id.and_then(|id| self.traces.get_mut(&id)).filter(|trace| !trace.keeps()) {
                trace.carried.verdict.follow(chunk);
            }
        }
        let (judge, resource, handed_on) = (&self.judge, &self.resource, &mut self.handed_on);
        let handed = &mut self.handed;
        self.traces.retain(|id, trace| {
            let enough = least.is_some_and(|least| trace.finished.len() >= least);
            let waits = !ended && matches!(what, HandOn::Ready) && trace.waits(now_ns);
            if !waits && (trace.open == 0 || enough) && !trace.finished.is_empty() {
                handed_on.extend(trace.segments.numbers());
                ready.push(trace.hand_on(judge, resource));
                if trace.open == 0 {
                    handed.remember(*id, std::mem::take(&mut trace.carried));
                }
            }
            trace.open > 0 || !trace.finished.is_empty()
        });
        (ready, is_more)
    }

    /// Ends what dead processes have left open, once it is known how they died, or will not be.
    fn bury(&mut self, now_ns: u64) {
        for (producer, death) in self.general.bereaved() {
            let process = self.open.get(&SpanId(death.span_id)).filter(|process| process.dead_for_ns(now_ns).is_some());
            let status = death.status.or(process.and_then(ProcessSpan::status));
            let is_over = match process {
                Some(process) => self.is_over(process, status.is_some(), now_ns),
                None => status.is_some() || self.ended || now_ns.saturating_sub(death.time_ns) >= STATUS_LINGER_NS,
            };
            if is_over {
                let end_ns = process.map_or(death.time_ns, |process| process.end_ns(death.time_ns));
                let by = match status.and_then(signal_name) {
                    Some(signal) => CutOff::Signal(signal),
                    None => CutOff::Exit(status.map(|status| (status >> 8) as u8)),
                };
                self.general.close_dead(producer, self.unix_ns(end_ns), &by);
            }
        }
    }
}
