//! Decisions about traces that came in undecided and are gone by now: the next request of the same trace gets the same.

use super::registry::patiently;
use crate::ids::TraceId;
use crate::sampling::Decision;
use std::collections::VecDeque;
use std::sync::Mutex;

/// Of so many traces it is remembered.
const MOST: usize = 256;

/// What was decided, by traces; oldest first.
#[derive(Debug, Default)]
pub(crate) struct Remembered(Mutex<Known>);

/// What was decided about a trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided {
    pub(crate) decision: Decision,
    /// Somebody outside of the process knows.
    pub(crate) is_propagated: bool,
}

impl Remembered {
    /// What was last decided about the trace.
    pub(crate) fn get(&self, trace_id: TraceId) -> Option<Decided> {
        last(&*patiently(&self.0)?, trace_id)
    }

    /// Remembers a decision.
    pub(super) fn add(&self, trace_id: TraceId, decided: Decided) {
        if let Some(mut known) = patiently(&self.0) {
            push(&mut known, trace_id, decided);
        }
    }

    /// Remembers a decision, unless another thread has come to one meanwhile. Gives the one that counts.
    #[cfg(feature = "direct")]
    pub(crate) fn add_first(&self, trace_id: TraceId, decided: Decided) -> Decided {
        let Some(mut known) = patiently(&self.0) else { return decided };
        last(&known, trace_id).unwrap_or_else(|| {
            push(&mut known, trace_id, decided);
            decided
        })
    }
}

type Known = VecDeque<(TraceId, Decided)>;

fn last(known: &Known, trace_id: TraceId) -> Option<Decided> {
    known.iter().rev().find(|(id, _)| *id == trace_id).map(|(_, decided)| *decided)
}

fn push(known: &mut Known, trace_id: TraceId, decided: Decided) {
    if known.len() == MOST {
        known.pop_front();
    }
    known.push_back((trace_id, decided));
}
