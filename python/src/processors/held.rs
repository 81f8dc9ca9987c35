//! The finished spans that are held in the process, as processors look at a trace as a whole.
//!
//! A trace is taken out when no span of it is open any more; a part of it when that is as large as the configuration has parts
//! of traces sent, and all that there is when it becomes too much. What is held in a process that is killed was never looked
//! at, and so is not recorded.

use crate::engine::engine;
use crate::shared::Shared;
use crate::span::Span;
use ddtrace::tracer::ActiveTrace;
use pyo3::prelude::*;
use std::collections::HashMap;
use std::mem::take;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// So many finished spans of all traces are held at most.
const MOST_HELD: usize = 16_384;

/// Spans of one trace, with their places in the order in which they began.
type Spans = Vec<(u64, Py<Span>)>;

/// What is under one local root, of which spans are open or held. Two of one trace, such as two things that a program does
/// under its process's own span, have nothing to do with each other.
struct Held {
    /// What its spans share, as long as it is looked for by where that is.
    _shared: Arc<Shared>,
    trace: Arc<ActiveTrace>,
    open: usize,
    finished: Spans,
}

#[derive(Default)]
struct Holding {
    /// How many spans have begun.
    begun: u64,
    /// How many finished ones are held.
    held: usize,
    /// By the address of what their spans share.
    traces: HashMap<usize, Held>,
}

impl Holding {
    /// What is held of a trace. Spans of the process that this one was forked from are not this one's to look at: they come
    /// out with it, as they may be the last references.
    fn of(&mut self, trace: &Arc<ActiveTrace>, shared: &Arc<Shared>) -> (&mut Held, Spans) {
        let new = || Held { _shared: Arc::clone(shared), trace: Arc::clone(trace), open: 0, finished: Vec::new() };
        let held = self.traces.entry(key(shared)).or_insert_with(new);
        let mut inherited = Vec::new();
        if !held.trace.is_of_this_process() {
            inherited = std::mem::replace(held, new()).finished;
            self.held -= inherited.len();
        }
        (held, inherited)
    }

    fn take_all(&mut self) -> Vec<Spans> {
        self.held = 0;
        self.traces.values_mut().map(|held| take(&mut held.finished)).filter(|spans| !spans.is_empty()).collect()
    }
}

fn key(shared: &Arc<Shared>) -> usize {
    Arc::as_ptr(shared) as usize
}

/// Nothing of the program's runs while this is locked: no span is dropped.
fn holding() -> MutexGuard<'static, Holding> {
    static HOLDING: LazyLock<Mutex<Holding>> = LazyLock::new(Mutex::default);
    HOLDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A span of this trace begins that will be looked at. Gives its place among all that do, from 1 on.
pub(crate) fn hold(py: Python<'_>, trace: &Arc<ActiveTrace>, shared: &Arc<Shared>) -> u64 {
    let mut holding = holding();
    holding.begun += 1;
    let place = holding.begun;
    let (held, inherited) = holding.of(trace, shared);
    held.open += 1;
    drop(holding);
    drop(in_order(py, inherited));
    place
}

/// A span has ended. Gives what is to be looked through now.
pub(super) fn finished<'py>(span: &Bound<'py, Span>) -> Vec<Vec<Bound<'py, Span>>> {
    closed(span, true)
}

/// A span that begins is not to be looked at after all. Gives what is to be looked through now.
pub(super) fn abandoned<'py>(span: &Bound<'py, Span>) -> Vec<Vec<Bound<'py, Span>>> {
    closed(span, false)
}

fn closed<'py>(span: &Bound<'py, Span>, is_looked_at: bool) -> Vec<Vec<Bound<'py, Span>>> {
    let (py, this) = (span.py(), span.get());
    let trace = this.trace();
    if !trace.is_of_this_process() {
        return Vec::new();
    }
    let config = &engine().resolution.config;
    let part = config.partial_flush.then_some(config.partial_flush_min_spans);
    let mut holding = holding();
    holding.held += usize::from(is_looked_at);
    let is_too_much = holding.held > MOST_HELD;
    let (held, inherited) = holding.of(trace, &this.shared);
    if is_looked_at {
        held.finished.push((this.place, span.clone().unbind()));
    }
    // One that began before there were processors was not counted.
    held.open = held.open.saturating_sub(usize::from(this.place != 0));
    let is_complete = held.open == 0;
    let due = if is_complete || part.is_some_and(|part| held.finished.len() >= part) {
        let spans = take(&mut held.finished);
        holding.held -= spans.len();
        vec![spans]
    } else if is_too_much {
        holding.take_all()
    } else {
        Vec::new()
    };
    let gone = if is_complete { holding.traces.remove(&key(&this.shared)) } else { None };
    drop(holding);
    drop((gone, in_order(py, inherited)));
    due.into_iter().map(|spans| in_order(py, spans)).collect()
}

/// All that is held of this process.
pub(super) fn take_all(py: Python<'_>) -> Vec<Vec<Bound<'_, Span>>> {
    let all = holding().take_all();
    let is_own = |spans: &Vec<Bound<'_, Span>>| spans.iter().all(|span| span.get().trace().is_of_this_process());
    all.into_iter().map(|spans| in_order(py, spans)).filter(is_own).collect()
}

fn in_order(py: Python<'_>, mut spans: Spans) -> Vec<Bound<'_, Span>> {
    spans.sort_by_key(|(place, _)| *place);
    spans.into_iter().map(|(_, span)| span.into_bound(py)).collect()
}
