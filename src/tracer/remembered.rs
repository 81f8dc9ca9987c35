//! Decisions about traces that came in from outside: the next request that brings the same trace undecided gets the same.

use super::registry::patiently;
use crate::context::Priority;
use crate::ids::TraceId;
use crate::sampling::Decision;
use std::collections::VecDeque;
use std::sync::Mutex;

/// Of so many traces it is remembered what was decided here, and of as many what came with them.
const MOST: usize = 256;

/// What is known of traces that came in.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    decided: Mutex<Last<Decided>>,
    /// A list of its own, as most requests bring a decision.
    brought: Mutex<Last<Priority>>,
}

/// What was decided about a trace, and by whom.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known {
    /// This process has.
    Decided(Decided),
    /// Somebody before it, as another request of the trace has told.
    Brought(Priority),
}

/// What was decided about a trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided {
    pub(crate) decision: Decision,
    /// Somebody outside of the process knows.
    pub(crate) is_propagated: bool,
}

impl Remembered {
    /// What was last decided about the trace here, or else came with it.
    pub(crate) fn get(&self, trace_id: TraceId) -> Option<Known> {
        let decided = patiently(&self.decided)?.get(trace_id).map(Known::Decided);
        decided.or_else(|| patiently(&self.brought)?.get(trace_id).map(Known::Brought))
    }

    /// Remembers a decision.
    pub(crate) fn add(&self, trace_id: TraceId, decided: Decided) {
        if let Some(mut known) = patiently(&self.decided) {
            known.put(trace_id, decided);
        }
    }

    /// Remembers a decision, unless another thread has come to one meanwhile. Gives the one that counts.
    pub(crate) fn add_first(&self, trace_id: TraceId, decided: Decided) -> Decided {
        let Some(mut known) = patiently(&self.decided) else { return decided };
        known.get(trace_id).unwrap_or_else(|| {
            known.put(trace_id, decided);
            decided
        })
    }

    /// Remembers a decision that came in with the trace.
    pub(crate) fn bring(&self, trace_id: TraceId, priority: Priority) {
        if let Some(mut known) = patiently(&self.brought) {
            known.put(trace_id, priority);
        }
    }
}

/// What belongs to the last few traces; oldest first. The ids are by themselves, as they are gone through.
#[derive(Debug)]
struct Last<T> {
    ids: VecDeque<TraceId>,
    known: VecDeque<T>,
}

impl<T> Default for Last<T> {
    fn default() -> Self {
        Last { ids: VecDeque::new(), known: VecDeque::new() }
    }
}

impl<T: Copy> Last<T> {
    fn place(&self, trace_id: TraceId) -> Option<usize> {
        self.ids.iter().rposition(|id| *id == trace_id)
    }

    fn get(&self, trace_id: TraceId) -> Option<T> {
        self.known.get(self.place(trace_id)?).copied()
    }

    /// In the place of what was known of that trace, or else of the oldest one.
    fn put(&mut self, trace_id: TraceId, new: T) {
        if let Some(known) = self.place(trace_id).and_then(|place| self.known.get_mut(place)) {
            *known = new;
            return;
        }
        if self.ids.len() == MOST {
            self.ids.pop_front();
            self.known.pop_front();
        }
        self.ids.push_back(trace_id);
        self.known.push_back(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Mechanism;

    fn decided(rate: f64) -> Decided {
        let (priority, mechanism) = (Priority::USER_KEEP, Mechanism::LOCAL_RULE);
        Decided { decision: Decision { priority, mechanism, rate: Some(rate), limit_rate: None }, is_propagated: true }
    }

    fn rate(remembered: &Remembered, trace_id: u128) -> Option<f64> {
        match remembered.get(TraceId(trace_id))? {
            Known::Decided(decided) => decided.decision.rate,
            Known::Brought(priority) => Some(priority.0.into()),
        }
    }

    #[test]
    fn the_last_ones_are_remembered_whatever_else_comes_in() {
        let remembered = Remembered::default();
        for number in 0..=MOST as u32 {
            remembered.add(TraceId(number.into()), decided(number.into()));
            remembered.bring(TraceId(u128::from(number) + 1), Priority(-1));
        }
        assert_eq!(rate(&remembered, 0), None, "the oldest has made room");
        assert_eq!(rate(&remembered, 1), Some(1.0), "what was decided here");
        assert_eq!(rate(&remembered, MOST as u128 + 1), Some(-1.0), "what came in");
        remembered.add(TraceId(2), decided(0.5));
        assert_eq!((rate(&remembered, 2), rate(&remembered, 1)), (Some(0.5), Some(1.0)));
        assert_eq!(remembered.add_first(TraceId(2), decided(0.25)).decision.rate, Some(0.5));
    }
}
