//! The spans of one process that are no processes themselves: put together for each trace, and handed on when nothing of it is
//! open in the process any more, or when enough of it is finished.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use ddtrace::ids::{SpanId, TraceId};
use ddtrace::naming::UNNAMED;
use ddtrace::record::{DECIDE_AFTER, Record};
use ddtrace::semconv::PROCESS_PID;
use ddtrace::span::{Resource, Span, TraceChunk, Value};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

use super::death::Death;
use super::decided::Decided;
use super::judge::Judge;
use super::process_trace::SegmentsOf;
use super::recorded_span::{CutOff, RecordedSpan, ScopeKey};
use super::traces::HandOn;
use super::verdict::Verdict;

/// How long spans wait for a word of their local root, in nanoseconds: threads write into chunks of their own, which are
/// not all looked at in the same instant.
const WAIT_FOR_ROOT_NS: u64 = 500_000_000;

/// Other scopes than the first so many are not shared between spans.
const MOST_SCOPES: usize = 1024;

/// What is known of a process.
pub(super) struct Process {
    /// As the process sees itself.
    pub(super) pid: Option<u32>,
    /// What the process is, so far without its id.
    pub(super) resource: Arc<Resource>,
    /// The same with its id, once a span needs it.
    pub(super) complete: Option<Arc<Resource>>,
    /// Bytes of the records that said so.
    pub(super) described: usize,
    /// Spans that have not ended, and those of `ending`. Boxed, as they are large and the map moves them.
    pub(super) open: HashMap<SpanId, Box<RecordedSpan>>,
    /// Spans that have ended, oldest first, with the pass in which that was read. What another thread said of them before
    /// is read in the next pass at the latest.
    pub(super) ending: VecDeque<(u64, SpanId)>,
    /// How often all rings of the process were looked at.
    pub(super) passes: u64,
    /// In the order in which they were begun, with some that have ended since.
    pub(super) begun: VecDeque<SpanId>,
    /// Boxed for the same reason.
    pub(super) traces: HashMap<TraceId, Box<Trace>>,
    /// Those of them in which something has ended that may be the last that was waited for: only these are looked at,
    /// as there may be very many that are open.
    pub(super) candidates: Vec<TraceId>,
    pub(super) partial_flush: Option<usize>,
    /// Local roots that have finished and may still say something of their traces, as spans below them or other local roots
    /// are open.
    pub(super) late_roots: HashMap<SpanId, TraceId>,
    pub(super) decided: Decided,
    pub(super) scopes: HashSet<ScopeKey>,
    /// Spans that were withdrawn, until that is counted.
    pub(super) withdrawn: u64,
    pub(super) death: Option<Death>,
    /// When it last tried to go on with another program, in nanoseconds since the Unix epoch.
    pub(super) went_on_at: Option<u64>,
    /// The latest time that its spans spoke of, in nanoseconds since the Unix epoch.
    pub(super) latest: u64,
}

#[derive(Default)]
pub(super) struct Trace {
    pub(super) open: usize,
    pub(super) finished: Vec<Span>,
    pub(super) verdict: Verdict,
    /// The local root, where it is among the finished ones.
    pub(super) root: Option<SpanId>,
    /// Local roots that have finished before that one and say the same: the same trace came in more than once.
    pub(super) alike: Vec<SpanId>,
    /// Those that say something else. Each was told to others as it is, and what is below it goes with it.
    pub(super) others: Vec<(Vec<SpanId>, Verdict)>,
    /// The local root, while it is open.
    pub(super) open_root: Option<SpanId>,
    /// Since when it waits for a word of its local root, `CLOCK_MONOTONIC` nanoseconds.
    pub(super) waits_since: Option<u64>,
    pub(super) segments: SegmentsOf,
    /// Whether it is among the candidates.
    pub(super) is_candidate: bool,
}

impl Trace {
    /// Whether it might be handed on, by what is in it.
    fn may_be_due(&self, partial_flush: Option<usize>) -> bool {
        self.open == 0 || partial_flush.is_some_and(|least| self.finished.len() >= least)
    }
}

/// Where to.
pub(super) struct Ready<'a> {
    pub(super) chunks: Vec<TraceChunk>,
    /// How many more traces are to be taken. Those of which all was withdrawn count as well, though they give no chunk.
    pub(super) room: usize,
    pub(super) segments: &'a mut BTreeSet<u32>,
}

impl Process {
    pub(super) fn new(resource: Arc<Resource>, partial_flush: Option<usize>) -> Process {
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
            late_roots: HashMap::new(),
            decided: Decided::default(),
            scopes: HashSet::new(),
            withdrawn: 0,
            death: None,
            went_on_at: None,
            latest: 0,
        }
    }

    pub(super) fn is_now(&mut self, resource: Arc<Resource>) {
        self.resource = resource;
        self.complete = None;
    }

    /// What the process is, with its id.
    pub(super) fn complete(&mut self) -> Arc<Resource> {
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

    pub(super) fn trace(&mut self, id: TraceId) -> &mut Trace {
        self.traces.entry(id).or_insert_with(|| {
            // Of the same trace something was sent before: that decision stands.
            let verdict = self.decided.last(id).cloned().unwrap_or_default();
            Box::new(Trace { verdict, ..Trace::default() })
        })
    }

    /// What it says of the trace of a span, if it has that one and has decided or was told.
    pub(super) fn said_of(&self, id: TraceId, span: SpanId) -> Option<&Verdict> {
        let trace = self.traces.get(&id)?;
        let is_finished = |span: SpanId| trace.finished.iter().any(|finished| finished.span_id == span);
        if !self.open.contains_key(&span) && !is_finished(span) {
            return None;
        }
        // The same trace may have come in more than once: what the local root says that it is below.
        let (mut at, mut root) = (span, None);
        for _ in 0..=self.open.len() {
            let Some(open) = self.open.get(&at) else { break };
            if open.is_local_root {
                root = Some(&open.verdict);
                break;
            }
            at = open.span.parent_id;
        }
        let known = [root, Some(&trace.verdict), self.decided.last(id)];
        known.into_iter().flatten().find(|verdict| verdict.priority.is_some())
    }

    /// Takes in a span that has ended.
    pub(super) fn close(&mut self, span: Box<RecordedSpan>) {
        if self.scopes.len() > MOST_SCOPES {
            self.scopes.clear();
        }
        let is_withdrawn = span.is_withdrawn;
        let (mut span, mut verdict, is_local_root) = span.finish(&mut self.scopes);
        if span.name.is_empty() {
            span.name = Cow::Borrowed(UNNAMED);
        }
        let decided = self.decided.last(span.trace_id);
        let trace = self.traces.entry(span.trace_id).or_default();
        trace.open = trace.open.saturating_sub(1);
        if is_local_root {
            if trace.open > 0 {
                self.late_roots.insert(span.span_id, span.trace_id);
            }
            // What is known of the trace stands, be it sent already or not.
            let known = decided.or(Some(&trace.verdict).filter(|known| known.priority.is_some()));
            if let Some(known) = known.filter(|_| verdict.priority.is_none()) {
                verdict.agree_with(known);
            }
            let mut before = std::mem::replace(&mut trace.verdict, verdict);
            if let Some(root) = trace.root.replace(span.span_id) {
                trace.alike.push(root);
                // It is kept or dropped as a whole: one that has said nothing goes by those that do.
                if before.priority.is_none() && trace.verdict.priority.is_some() {
                    before.agree_with(&trace.verdict);
                }
                if before != trace.verdict {
                    trace.others.push((std::mem::take(&mut trace.alike), before));
                }
            }
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

    /// Another local root of a trace begins, or a span below it.
    pub(super) fn another_begins(&mut self, id: TraceId) {
        if let Some(root) = self.traces.get(&id).and_then(|trace| trace.root) {
            self.late_roots.insert(root, id);
        }
    }

    /// A local root that has finished says more of its trace. Gives whether it is one of which nothing was sent.
    pub(super) fn amend_late_root(&mut self, record: &Record<'_>) -> bool {
        let id = record.span_id;
        let Some(trace) = self.late_roots.get(&id).and_then(|trace| self.traces.get_mut(trace)) else { return false };
        let other = trace.others.iter_mut().find(|(roots, _)| roots.contains(&id));
        let verdict = other.map_or(&mut trace.verdict, |(_, verdict)| verdict);
        for field in record.fields() {
            verdict.take(field.key, &field.value);
        }
        true
    }

    pub(super) fn close_ended(&mut self, id: SpanId) {
        if let Some(span) = self.open.remove(&id) {
            self.close(span);
        }
    }

    pub(super) fn close_all_ended(&mut self) {
        while let Some((_, id)) = self.ending.pop_front() {
            self.close_ended(id);
        }
    }

    /// Ends what is open, since nobody will.
    pub(super) fn cut_off(&mut self, at_unix_ns: u64, by: &CutOff) {
        self.close_all_ended();
        self.begun.clear();
        for (_, mut span) in std::mem::take(&mut self.open) {
            span.cut_off(at_unix_ns, by);
            self.close(span);
        }
    }

    /// Keeps the order of the beginnings about as long as there are spans in it.
    pub(super) fn tidy_begun(&mut self) {
        if self.begun.len() > 2 * self.open.len() + 1024 {
            let open = &self.open;
            self.begun.retain(|id| open.contains_key(id));
        }
    }

    /// Tables become as small as what is in them.
    pub(super) fn shrink(&mut self) {
        self.tidy_begun();
        self.begun.shrink_to_fit();
        self.open.shrink_to_fit();
        self.ending.shrink_to_fit();
        self.traces.shrink_to_fit();
        self.candidates.shrink_to_fit();
        self.late_roots.shrink_to_fit();
    }

    pub(super) fn collect(&mut self, judge: &Judge, now_ns: u64, what: HandOn, ready: &mut Ready<'_>) {
        let due: Vec<TraceId> = match what {
            HandOn::Ready => self.take_due(now_ns, ready.room),
            HandOn::Finished | HandOn::Everything => {
                let is_due = |trace: &Trace| !trace.finished.is_empty() || trace.open == 0;
                self.traces.iter().filter(|(_, trace)| is_due(trace)).map(|(id, _)| *id).take(ready.room).collect()
            }
        };
        ready.room -= due.len();
        for id in due {
            self.hand_on(id, judge, ready);
        }
    }

    /// The candidates that are to be handed on, `room` at most. What may be due later stays one.
    pub(super) fn take_due(&mut self, now_ns: u64, room: usize) -> Vec<TraceId> {
        let mut due = Vec::new();
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.retain(|id| {
            if due.len() >= room {
                return true;
            }
            let Some(trace) = self.traces.get_mut(id) else { return false };
            // The process decides about a large trace by itself, as it is to say the same to those it calls. Until it has
            // told, parts are sent only of what is too large to be kept.
            let is_rootless = trace.root.is_none() && !self.decided.has(*id);
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

    pub(super) fn hand_on(&mut self, id: TraceId, judge: &Judge, ready: &mut Ready<'_>) {
        let resource = self.complete();
        let Some(trace) = self.traces.get_mut(&id) else { return };
        let mut spans = std::mem::take(&mut trace.finished);
        // The local root first; parents start before their children. In place: there may be many where memory is short.
        spans.sort_unstable_by_key(|span| {
            (Some(span.span_id) != trace.root, span.start_unix_nano, span.end_unix_nano, span.span_id.0)
        });
        if trace.verdict.priority.is_none() && !spans.is_empty() {
            // The local root says what has been decided so far, even if it is still open.
            let open = trace.open_root.and_then(|root| self.open.get(&root));
            if let Some(open) = open {
                trace.verdict = open.verdict.clone();
            }
            if let Some(first) = open.map(|open| &open.span).or(spans.first()) {
                judge.decide(&mut trace.verdict, first, &resource);
            }
        }
        let mut others = self.decided.others(id, &trace.verdict);
        others.append(&mut trace.others);
        for (_, said) in others.iter_mut().filter(|(_, said)| said.priority.is_none()) {
            said.agree_with(&trace.verdict);
        }
        let (alike, mut roots) = (std::mem::take(&mut trace.alike), HashMap::new());
        if !self.late_roots.is_empty() {
            for root in others.iter().flat_map(|(said, _)| said).chain(&alike).chain(&trace.root) {
                self.late_roots.remove(root);
            }
        }
        if !others.is_empty() {
            for (index, (said, _)) in others.iter().enumerate() {
                roots.extend(said.iter().map(|root| (*root, Some(index))));
            }
            roots.extend(alike.iter().chain(&trace.root).map(|root| (*root, None)));
        }
        for ((said, verdict), mut below) in others.into_iter().zip(take_apart(&mut spans, &roots)) {
            let is_root = |span: &Span| roots.contains_key(&span.span_id);
            below.sort_unstable_by_key(|span| (!is_root(span), span.start_unix_nano, span.end_unix_nano));
            // They may have been withdrawn, or nothing came after them.
            let Some(first) = below.first() else { continue };
            let is_led_by_root = is_root(first);
            self.decided.remember(id, &said, &verdict);
            judge.pick(&verdict, &mut below, &resource);
            ready.segments.extend(trace.segments.numbers());
            ready.chunks.push(verdict.chunk(&resource, below, is_led_by_root));
        }
        if !spans.is_empty() {
            let root = trace.root.take();
            let told: Vec<SpanId> = alike.into_iter().chain(root).collect();
            self.decided.remember(id, &told, &trace.verdict);
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

/// Takes out the spans that are to go with others, by the nearest of these roots above them, or that they are: one list for each
/// number, in order. Those below roots without a number, or none, stay.
fn take_apart(spans: &mut Vec<Span>, roots: &HashMap<SpanId, Option<usize>>) -> Vec<Vec<Span>> {
    let Some(most) = roots.values().flatten().max() else { return Vec::new() };
    let mut apart: Vec<Vec<Span>> = (0..=*most).map(|_| Vec::new()).collect();
    let parents: HashMap<SpanId, SpanId> = spans.iter().map(|span| (span.span_id, span.parent_id)).collect();
    let mut known = roots.clone();
    let mut way = Vec::new();
    for span in spans.iter() {
        let mut at = span.span_id;
        let number = loop {
            if let Some(number) = known.get(&at) {
                break *number;
            }
            // Where ids lead in a circle, none of them is above the others.
            known.insert(at, None);
            way.push(at);
            match parents.get(&at) {
                Some(parent) => at = *parent,
                None => break known.get(&at).copied().flatten(),
            }
        };
        known.extend(way.drain(..).map(|id| (id, number)));
    }
    for span in spans.extract_if(.., |span| known.get(&span.span_id).is_some_and(Option::is_some)) {
        if let Some(list) = known.get(&span.span_id).copied().flatten().and_then(|number| apart.get_mut(number)) {
            list.push(span);
        }
    }
    apart
}
