//! Whether a trace is kept: what came in, what was decided here, and what may still change.

use crate::context::{Mechanism, PropagationError, TraceContext};
use crate::record::RecordWriter;
use crate::sampling::Decision;
use std::sync::Arc;

/// What a process knows and has decided about a trace.
#[derive(Debug)]
pub(super) struct Verdict {
    /// What the trace carries; what has left the process is never changed.
    context: Arc<TraceContext>,
    decision: Option<Decision>,
    /// Somebody outside of the process knows.
    is_propagated: bool,
    /// The sidecar knows.
    is_told: bool,
}

impl Verdict {
    /// Of a trace that begins here, or continues what `context` has. Where parents are not respected, what came in with it
    /// as a decision does not count.
    pub(super) fn new(mut context: TraceContext, respects_parent: bool) -> Verdict {
        if context.is_remote && !respects_parent {
            context.span.priority = None;
        }
        Verdict { context: Arc::new(context), decision: None, is_propagated: false, is_told: false }
    }

    /// The trace is somebody else's of this process, who tells of it.
    pub(super) fn told_by_others(mut self) -> Verdict {
        self.is_told = true;
        self
    }

    pub(super) fn context(&self) -> &Arc<TraceContext> {
        &self.context
    }

    /// Whether the trace is kept, if that is decided.
    pub(super) fn keeps(&self) -> Option<bool> {
        self.context.span.priority.map(|priority| priority.keeps())
    }

    /// Takes a decision over, if there is none yet.
    ///
    /// Where no rule matched and no Agent has told a rate, nothing binds: the trace stays open for what the sidecar knows,
    /// unless its context is about to leave the process.
    pub(super) fn decide(&mut self, take: impl FnOnce() -> Decision, is_leaving: bool) {
        if self.context.span.priority.is_none() {
            let decision = take();
            if is_leaving || decision.mechanism != Mechanism::DEFAULT {
                self.apply(decision);
            }
        }
        self.is_propagated |= is_leaving;
    }

    /// Overrides what was decided, as long as nobody outside knows of it. Gives whether that was so.
    pub(super) fn override_with(&mut self, decision: Decision) -> bool {
        if !self.is_propagated {
            self.apply(decision);
            self.is_told = false;
        }
        !self.is_propagated
    }

    /// What could not be written into an outgoing context.
    pub(super) fn set_error(&mut self, error: PropagationError) -> bool {
        let is_new = self.context.error.is_none();
        if is_new {
            Arc::make_mut(&mut self.context).error = Some(error);
        }
        is_new
    }

    fn apply(&mut self, decision: Decision) {
        decision.apply(Arc::make_mut(&mut self.context));
        self.decision = Some(decision);
    }

    /// True once: the sidecar is to be told of the decision now.
    pub(super) fn tell(&mut self) -> bool {
        self.context.span.priority.is_some() && !core::mem::replace(&mut self.is_told, true)
    }

    /// Writes the decision and the tags of the trace into a record of the local root.
    pub(super) fn write(&self, record: &mut RecordWriter) {
        record.verdict(&self.context, self.decision.as_ref());
    }

    /// At most so many bytes are written of a verdict and of what came in, in so many fields.
    pub(super) const SIZE: (usize, usize) = (1024, 8);
}
