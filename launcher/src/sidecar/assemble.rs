//! From records to spans: what several processes said about a process is put together, and a trace is handed on when
//! nothing in it is open any more, or when enough of it is finished.

use std::collections::HashMap;

use ddtrace::ids::{SpanId, TraceId};
use ddtrace::record::{ChildExit, Open, ROLE_SELF, Record, RecordBody, records};

use super::death::Death;
use super::process_span::ProcessSpan;
use super::spool::{Frame, FrameKind};
use ddtrace::span::Span;

/// How long a dead process's exit status may take to be known: its parent has to wait for it.
const STATUS_LINGER_NS: u64 = 1_500_000_000;

/// How long a process's parent may take to say what is known already, or early: both write when they are scheduled.
pub const LATE_NEWS_NS: u64 = 60_000_000_000;

/// Spans of one trace that can be sent.
#[derive(Debug, PartialEq)]
pub struct Finished {
    /// The spans, the local root first if it is among them.
    pub spans: Vec<Span>,
}

/// When a trace is handed on.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Hand on what is finished of an unfinished trace at this many spans.
    pub partial_flush: Option<usize>,
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
    /// Spans that are finished, with the time: what is said of them later is old news.
    past: HashMap<SpanId, u64>,
    /// Records that could not be read.
    pub malformed: u64,
    ended: bool,
    /// The latest time that a record spoke of.
    last_ns: u64,
}

#[derive(Default)]
struct Trace {
    open: usize,
    finished: Vec<Span>,
}

impl Assembler {
    /// An assembler for records of this machine's clock.
    pub fn new(policy: Policy, clock_offset: i128) -> Self {
        Assembler {
            policy,
            clock_offset,
            open: HashMap::new(),
            by_pid: HashMap::new(),
            early_exits: HashMap::new(),
            traces: HashMap::new(),
            past: HashMap::new(),
            malformed: 0,
            ended: false,
            last_ns: 0,
        }
    }

    /// Takes in one frame. Gives how many spans it opened.
    pub fn feed(&mut self, frame: Frame<'_>) -> u64 {
        match frame.kind {
            FrameKind::Records => self.feed_records(frame.payload),
            FrameKind::Death => {
                let death = Death::parse(frame.payload);
                self.last_ns = self.last_ns.max(death.map_or(0, |death| death.time_ns));
                if let Some(death) = death
                    && let Some(span) = self.open.get_mut(&SpanId(death.span_id))
                {
                    span.died(death);
                }
                0
            }
            FrameKind::End => {
                let time_ns = frame.payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                self.last_ns = self.last_ns.max(time_ns);
                self.ended = true;
                0
            }
            FrameKind::Origin | FrameKind::Settled => 0,
        }
    }

    /// Whether the frame that ends everything was there.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn feed_records(&mut self, bytes: &[u8]) -> u64 {
        let mut opened = 0;
        for record in records(bytes) {
            match record {
                Ok(record) => opened += self.feed_record(&record),
                Err(_) => self.malformed += 1,
            }
        }
        opened
    }

    fn feed_record(&mut self, record: &Record<'_>) -> u64 {
        let time_ns = match record.body {
            RecordBody::Open(open) => open.start_ns,
            RecordBody::Close(end_ns) => end_ns,
            RecordBody::ChildExit(exit) => exit.time_ns,
            RecordBody::Amend => 0,
        };
        self.last_ns = self.last_ns.max(time_ns);
        match record.body {
            RecordBody::Open(open) => return self.opened(record, &open),
            RecordBody::Amend => {
                if let Some(span) = self.open.get_mut(&record.span_id) {
                    span.amend(record);
                }
            }
            RecordBody::Close(end_ns) => {
                if let Some(span) = self.open.get_mut(&record.span_id) {
                    span.closed(end_ns);
                    span.amend(record);
                }
            }
            RecordBody::ChildExit(exit) => self.child_exited(exit),
        }
        0
    }

    fn opened(&mut self, record: &Record<'_>, open: &Open) -> u64 {
        if let Some(span) = self.open.get_mut(&record.span_id) {
            span.opened_again(open);
            span.amend(record);
            self.by_pid.insert(span.pid(), record.span_id);
            return 0;
        }
        if self.past.contains_key(&record.span_id) {
            return 0;
        }
        let mut span = ProcessSpan::new(record.span_id, open);
        if open.role != ROLE_SELF
            && let Some(parent) = self.open.get(&open.parent_id)
        {
            // A forked child runs its parent's program until it says otherwise.
            span.inherit(parent);
        }
        span.amend(record);
        if let Some(exit) = self.early_exits.remove(&open.pid)
            && exit.time_ns >= open.start_ns
        {
            span.exited(exit);
        }
        self.by_pid.insert(open.pid, record.span_id);
        self.traces.entry(span.trace_id()).or_default().open += 1;
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

    /// Hands on all that is finished and forgets what is not; gives how many spans that were.
    pub fn release(&mut self) -> (Vec<Finished>, u64) {
        let left = self.open.len() as u64;
        self.open.clear();
        for trace in self.traces.values_mut() {
            trace.open = 0;
        }
        (self.collect(self.last_ns), left)
    }

    /// Ends every span and hands on all that is left, whatever is known of it.
    pub fn end(&mut self) -> Vec<Finished> {
        self.ended = true;
        let last_ns = self.last_ns;
        self.collect(last_ns)
    }

    /// Ends the spans whose processes are gone and hands on the traces that are ready. `now_ns` is `CLOCK_MONOTONIC`.
    pub fn collect(&mut self, now_ns: u64) -> Vec<Finished> {
        let ended = self.ended;
        let done: Vec<SpanId> = self
            .open
            .iter()
            .filter(|(_, span)| ended || span.is_done(now_ns, STATUS_LINGER_NS))
            .map(|(id, _)| *id)
            .collect();
        for id in done {
            let Some(span) = self.open.remove(&id) else { continue };
            if self.by_pid.get(&span.pid()) == Some(&id) {
                self.by_pid.remove(&span.pid());
            }
            self.past.insert(id, now_ns);
            let trace = self.traces.entry(span.trace_id()).or_default();
            trace.open = trace.open.saturating_sub(1);
            trace.finished.push(span.finish(now_ns, self.clock_offset));
        }
        self.early_exits.retain(|_, exit| now_ns.saturating_sub(exit.time_ns) < LATE_NEWS_NS);
        self.past.retain(|_, finished_ns| now_ns.saturating_sub(*finished_ns) < LATE_NEWS_NS);
        let mut ready = Vec::new();
        let policy = self.policy;
        self.traces.retain(|_, trace| {
            let enough = policy.partial_flush.is_some_and(|least| trace.finished.len() >= least);
            if trace.open == 0 || ended || enough {
                let mut spans = std::mem::take(&mut trace.finished);
                if !spans.is_empty() {
                    // Parents start before their children, so the local root comes first.
                    spans.sort_by_key(|span| (span.start_unix_nano, span.end_unix_nano));
                    ready.push(Finished { spans });
                }
            }
            trace.open > 0 || !trace.finished.is_empty()
        });
        ready
    }
}
