//! How the traces of one process were decided of which something was sent: what comes after that follows.
//!
//! A trace that is remembered takes no block of memory for itself in the ordinary case. Such blocks would lie among those of
//! the spans of a burst, which are many times as large, and would keep the allocator from giving these back.

use std::collections::VecDeque;
use std::rc::Rc;

use ddtrace::ids::{SpanId, TraceId};
use foldhash::HashMap;

use super::verdict::Verdict;
use smallvec::SmallVec;

/// Of so many traces of a process it is remembered how they were decided.
const MOST_TRACES: usize = 4096;

/// Of one trace so many different things that were said, and so many local roots that said one of them.
const MOST_SAID: usize = 16;
const MOST_ROOTS: usize = 64;

/// The decisions that were sent, the latest traces only.
#[derive(Default)]
pub(super) struct Decided {
    traces: HashMap<TraceId, Told>,
    /// Oldest first.
    order: VecDeque<TraceId>,
    /// What was sent last of all: the next trace was mostly decided in the same way, and shares it.
    latest: Rc<Verdict>,
}

/// Mostly one.
type Roots = SmallVec<[SpanId; 2]>;

/// What was sent with a trace.
struct Told {
    /// What was sent last, and with which local roots.
    last: Rc<Verdict>,
    roots: Roots,
    /// What local roots said before that: the same trace came in more than once.
    others: VecDeque<(Roots, Rc<Verdict>)>,
}

impl Decided {
    /// What was sent last with a trace.
    pub(super) fn last(&self, id: TraceId) -> Option<&Verdict> {
        self.traces.get(&id).map(|told| &*told.last)
    }

    pub(super) fn has(&self, id: TraceId) -> bool {
        self.traces.contains_key(&id)
    }

    /// The local roots that were sent with something else than what is sent now; what hangs below them goes with them.
    pub(super) fn others(&self, id: TraceId, now: &Verdict) -> Vec<(Vec<SpanId>, Verdict)> {
        let Some(told) = self.traces.get(&id) else { return Vec::new() };
        let last = (!told.roots.is_empty()).then_some((&told.roots, &told.last));
        let others = told.others.iter().map(|(roots, said)| (roots, said)).chain(last);
        others.filter(|(_, said)| ***said != *now).map(|(roots, said)| (roots.to_vec(), Verdict::clone(said))).collect()
    }

    /// This is sent with a trace, and with these of its local roots.
    pub(super) fn remember(&mut self, id: TraceId, roots: &[SpanId], verdict: &Verdict) {
        let roots = roots.get(roots.len().saturating_sub(MOST_ROOTS)..).unwrap_or_default();
        if *self.latest != *verdict {
            self.latest = Rc::new(verdict.clone());
        }
        if let Some(told) = self.traces.get_mut(&id) {
            if *told.last != *verdict {
                let before = std::mem::replace(&mut told.last, Rc::clone(&self.latest));
                let roots = std::mem::take(&mut told.roots);
                if !roots.is_empty() {
                    told.others.push_back((roots, before));
                }
                if told.others.len() > MOST_SAID {
                    told.others.pop_front();
                }
            }
            told.roots.extend_from_slice(roots);
            let surplus = told.roots.len().saturating_sub(MOST_ROOTS);
            told.roots.drain(..surplus);
        } else {
            let last = Rc::clone(&self.latest);
            self.traces.insert(id, Told { last, roots: roots.into(), others: VecDeque::new() });
            self.order.push_back(id);
        }
        while self.order.len() > MOST_TRACES {
            self.forget_oldest();
        }
    }

    /// Forgets half of the traces.
    pub(super) fn forget_half(&mut self) {
        for _ in 0..self.order.len().div_ceil(2) {
            self.forget_oldest();
        }
        self.order.shrink_to_fit();
        self.traces.shrink_to_fit();
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.order.pop_front() {
            self.traces.remove(&oldest);
        }
    }
}
