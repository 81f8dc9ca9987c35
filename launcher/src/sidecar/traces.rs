//! The spans that are no processes: put together for each process and trace, and handed on when nothing of a trace is
//! open in its process any more, or when enough of it is finished.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use ddtrace::ids::{SpanId, TraceId};
use ddtrace::record::{EndBody, FieldValue, Record, RecordBody, SpanBody, records};
use ddtrace::span::{Resource, TraceChunk};
use foldhash::{HashMap, HashMapExt};

use super::death::Death;
use super::early::Early;
use super::judge::Judge;
use super::process_traces::{Process, Ready};
use super::recorded_span::{CutOff, RecordedSpan, set};
use super::verdict::Verdict;

/// The conventions' name for what Datadog's tracers call `runtime-id`.
const INSTANCE_ID: &[u8] = b"service.instance.id";

/// What a process says of itself beyond so many bytes of records is not taken in.
const MOST_OF_ITSELF: usize = 1 << 20;

/// Where memory is short, so many spans of a process are cut off at once at least.
const LEAST_CUT: usize = 64;

/// A UUID of 32 digits as the conventions write it; anything else as it is.
fn hyphenated(id: &[u8]) -> Cow<'_, [u8]> {
    if id.len() != 32 || !id.iter().all(u8::is_ascii_hexdigit) {
        return Cow::Borrowed(id);
    }
    Cow::Owned([&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join(&b'-'))
}

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

    /// What the process says of a trace that has this span of it.
    pub fn said_of(&self, id: TraceId, span: SpanId) -> Option<&Verdict> {
        self.processes.values().find_map(|process| process.said_of(id, span))
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
        if let Some(known) = process.open.get_mut(&record.span_id) {
            known.begun_again(record, body);
            return 0;
        }
        let mut span = Box::new(RecordedSpan::begun(record.span_id, body));
        span.amend(record);
        process.latest = process.latest.max(body.start_unix_ns);
        process.another_begins(body.trace_id);
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
        let is_late = |process: &mut Process| process.amend_late_root(record);
        if !self.amend(producer, record) && !self.processes.get_mut(&producer).is_some_and(is_late) {
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
            process.latest = process.latest.max(end.end_unix_ns);
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
        process.latest = process.latest.max(end.end_unix_ns);
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
            match (field.name, &field.value) {
                (b"runtime-id", FieldValue::Text(id)) => {
                    set(&mut attributes, INSTANCE_ID, FieldValue::Text(&hyphenated(id)));
                }
                (name, _) => set(&mut attributes, name, field.value),
            }
        }
        process.is_now(Arc::new(Resource { attributes }));
    }

    /// A process with this id, as it sees itself.
    pub fn has_pid(&mut self, producer: u64, pid: u32) {
        let process = self.process(producer);
        process.pid = Some(pid);
        process.complete = None;
    }

    /// How many spans have not ended.
    pub fn open_spans(&self) -> usize {
        self.processes.values().map(|process| process.open.len()).sum()
    }

    /// A process tries to go on with another program.
    pub fn goes_on(&mut self, producer: u64, at_unix_ns: u64) {
        if let Some(process) = self.processes.get_mut(&producer) {
            process.went_on_at = Some(at_unix_ns);
        }
    }

    /// A process goes on with another program: what was open in the one before will not be ended by anybody.
    pub fn replaced(&mut self, producer: u64, now_unix_ns: u64) {
        if let Some(process) = self.processes.get_mut(&producer) {
            // One that was not told of, as by a system call of the program's own, came after all that is known.
            let at_unix_ns = process.went_on_at.take().unwrap_or(now_unix_ns.max(process.latest));
            process.cut_off(at_unix_ns, &CutOff::Exec);
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
    /// Not more than `most` traces at once: gives as well whether there may be more.
    pub fn collect(&mut self, judge: &Judge, now_ns: u64, what: HandOn, most: usize) -> (Vec<TraceChunk>, bool) {
        self.early.forget_old(now_ns);
        let mut ready = Ready { chunks: Vec::new(), room: most, segments: &mut self.handed_on };
        for process in self.processes.values_mut() {
            let is_over = process.death.is_some() && process.open.is_empty();
            let what = if is_over { HandOn::Everything } else { what };
            process.collect(judge, now_ns, what, &mut ready);
            self.withdrawn += std::mem::take(&mut process.withdrawn);
        }
        let (chunks, is_more) = (ready.chunks, ready.room == 0);
        let is_needed = |process: &Process| {
            process.death.is_none() || !process.open.is_empty() || is_more && !process.traces.is_empty()
        };
        self.processes.retain(|_, process| is_needed(process));
        (chunks, is_more)
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
            process.decided.forget_half();
        }
    }

    /// A burst is over: tables become as small as what is in them.
    pub fn shrink(&mut self) {
        self.processes.values_mut().for_each(Process::shrink);
        self.processes.shrink_to_fit();
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
