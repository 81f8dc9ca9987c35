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
pub(super) struct Remembered(Mutex<VecDeque<(TraceId, Decided)>>);

/// What was decided about a trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decided {
    pub(super) decision: Decision,
    /// Somebody outside of the process knows.
    pub(super) is_propagated: bool,
}

impl Remembered {
    pub(super) fn get(&self, trace_id: TraceId) -> Option<Decided> {
        let known = patiently(&self.0)?;
        known.iter().rev().find(|(id, _)| *id == trace_id).map(|(_, decided)| *decided)
    }

    pub(super) fn add(&self, trace_id: TraceId, decided: Decided) {
        let Some(mut known) = patiently(&self.0) else { return };
        if known.len() == MOST {
            known.pop_front();
        }
        known.push_back((trace_id, decided));
    }
}
