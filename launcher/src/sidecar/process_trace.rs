//! The trace of processes: what of it is open, what is finished, and what it carries.

use std::collections::VecDeque;
use std::sync::Arc;

use ddtrace::context::FLAG_SAMPLED;
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::span::{Resource, Span, TraceChunk};
use foldhash::HashMap;

use super::judge::Judge;
use super::verdict::Verdict;
use smallvec::SmallVec;

/// A trace of processes of this run.
#[derive(Default)]
pub(super) struct Trace {
    /// How many are open.
    pub(super) open: usize,
    pub(super) finished: Vec<Span>,
    pub(super) carried: Carried,
    /// Its first process hangs under something that is none: under this span of the program that started it, of which may
    /// be read later. It is waited for from this time on, `CLOCK_MONOTONIC` nanoseconds.
    pub(super) waits_for: Option<(SpanId, u64)>,
    pub(super) segments: SegmentsOf,
}

/// What a trace carries.
#[derive(Clone, Default)]
pub(super) struct Carried {
    /// What the process that is the trace's first in this run says of it.
    pub(super) verdict: Verdict,
    /// The W3C trace flags that its first process was given.
    pub(super) flags: u8,
    /// The `tracestate` that its first process was given.
    pub(super) state: String,
}

/// How long the spans of processes wait for a word of who handed their trace on, in nanoseconds.
const WAIT_FOR_WORD_NS: u64 = 500_000_000;

/// So many traces are remembered.
const MOST_HANDED: usize = 1024;

/// The last traces of which everything was handed on.
#[derive(Default)]
pub(super) struct Handed {
    traces: HashMap<TraceId, Carried>,
    /// Oldest first.
    order: VecDeque<TraceId>,
}

impl Handed {
    /// What a trace carries of which everything was handed on.
    pub(super) fn get(&self, id: TraceId) -> Option<&Carried> {
        self.traces.get(&id)
    }

    /// Remembers one.
    pub(super) fn remember(&mut self, id: TraceId, carried: Carried) {
        if self.traces.insert(id, carried).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > MOST_HANDED
            && let Some(oldest) = self.order.pop_front()
        {
            self.traces.remove(&oldest);
        }
    }
}

impl Trace {
    /// Whether it is kept, as far as that is known.
    pub(super) fn keeps(&self) -> bool {
        match self.carried.verdict.priority {
            Some(_) => self.carried.verdict.keeps(),
            None => self.carried.flags & FLAG_SAMPLED != 0,
        }
    }

    /// Whether something may still be said of it by who handed it on.
    pub(super) fn waits(&self, now_ns: u64) -> bool {
        let waits = self.waits_for.is_some_and(|(_, since)| now_ns.saturating_sub(since) < WAIT_FOR_WORD_NS);
        waits && self.carried.verdict.priority.is_none()
    }

    /// What is finished of it.
    pub(super) fn hand_on(&mut self, judge: &Judge, resource: &Arc<Resource>) -> TraceChunk {
        let mut spans = std::mem::take(&mut self.finished);
        // Parents start before their children, so the local root comes first.
        spans.sort_by_key(|span| (span.start_unix_nano, span.end_unix_nano));
        if self.carried.verdict.priority.is_none() {
            // A trace that nobody in this run says anything of: its flag says all that is known.
            self.carried.verdict.priority = Some(i32::from(self.carried.flags & FLAG_SAMPLED));
        }
        if self.carried.verdict.keeps() {
            spans.iter_mut().for_each(|span| span.flags |= FLAG_SAMPLED);
        }
        judge.pick(&self.carried.verdict, &mut spans, resource);
        self.carried.verdict.chunk(resource, spans, self.open == 0)
    }
}

/// The segments in which spans of a trace were begun, since nothing of it was open.
#[derive(Clone, Debug, Default)]
pub struct SegmentsOf(SmallVec<[u32; 2]>);

impl SegmentsOf {
    /// A span was begun in this segment, which is not one before those that came earlier.
    pub fn add(&mut self, segment: u32) {
        if self.0.last() != Some(&segment) {
            self.0.push(segment);
        }
    }

    /// All of them.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }
}
