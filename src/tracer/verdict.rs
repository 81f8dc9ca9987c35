//! Whether a trace is kept: what came in, what was decided here, and what may still change.

use super::remembered::{Decided, Known};
use crate::context::{Mechanism, Priority, PropagationError, SpanContext, TraceContext};
use crate::ids::{SpanId, TraceId};
use crate::record::RecordWriter;
use crate::sampling::Decision;
use core::any::Any;
use std::sync::Arc;
use std::vec::Vec;

/// What an API shows of a trace, in its own form.
pub(super) type Shown = Arc<dyn Any + Send + Sync>;

/// Who needs to know whether a trace is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Need {
    /// Nobody in the process: its local root ends.
    Nobody,
    /// The program, which is told and may still overrule it.
    Program,
    /// Whoever gets the context: it never changes afterwards.
    Outside,
}

/// What a process knows and has decided about a trace.
#[derive(Debug)]
pub(super) struct Verdict {
    trace_id: TraceId,
    /// What the trace carries, once somebody needs it or something came in; what has left the process is never changed.
    context: Option<Arc<TraceContext>>,
    /// What was decided here; a context that is there has it.
    decision: Option<Decision>,
    /// Somebody outside of the process knows.
    is_propagated: bool,
    /// The sidecar knows.
    is_told: bool,
    /// Native code of this process, which knows the trace as well, has told somebody, and needs to be asked no more.
    pub(super) is_final_natively: bool,
    /// The last local roots after the first one: the trace came into the process more than once. Each tells of it what the
    /// first one tells.
    pub(super) further_roots: Vec<SpanId>,
    /// What an API shows of it as it is now, once that was asked for.
    pub(super) shown: Option<Shown>,
}

impl Verdict {
    /// Of a trace that begins here, or continues what `context` has. Where parents are not respected, what came in with it
    /// as a decision does not count.
    pub(super) fn new(trace_id: TraceId, mut context: Option<Arc<TraceContext>>, respects_parent: bool) -> Verdict {
        if let Some(context) = context.as_mut().filter(|context| context.is_remote && !respects_parent) {
            Arc::make_mut(context).span.priority = None;
        }
        Verdict {
            trace_id,
            context,
            decision: None,
            is_propagated: false,
            is_told: false,
            is_final_natively: false,
            further_roots: Vec::new(),
            shown: None,
        }
    }

    /// The trace is somebody else's of this process, who tells of it, and what is decided there is not for this one to
    /// change.
    pub(super) fn told_by_others(mut self) -> Verdict {
        self.is_told = true;
        self.is_propagated = self.priority().is_some();
        self
    }

    /// The trace came from outside, and nothing is decided yet.
    pub(super) fn is_open_from_outside(&self) -> bool {
        self.priority().is_none() && self.context.as_ref().is_some_and(|context| context.is_remote)
    }

    /// The same was decided before about the same trace.
    pub(super) fn repeat(&mut self, known: Known) {
        match known {
            Known::Decided(decided) => {
                self.apply(decided.decision);
                self.is_propagated = decided.is_propagated;
            }
            Known::Brought(priority) => {
                Arc::make_mut(self.context()).span.priority = Some(priority);
                self.shown = None;
            }
        }
    }

    /// Native code of this process has decided, and has told others and the sidecar.
    pub(super) fn adopt(&mut self, told: &TraceContext) {
        if told.span.priority.is_none() {
            return;
        }
        self.is_propagated = true;
        if self.priority() == told.span.priority {
            return;
        }
        let context = Arc::make_mut(self.context());
        context.span.priority = told.span.priority;
        for name in [&b"_dd.p.dm"[..], b"_dd.p.ksr"] {
            match told.tags.get(name) {
                Some(value) => drop(context.tags.set(name, value)),
                None => context.tags.remove(name),
            }
        }
        context.ot = told.ot.clone();
        (self.decision, self.is_told, self.shown) = (None, true, None);
    }

    /// The decision that came in with the trace, and stands.
    pub(super) fn brought(&self) -> Option<Priority> {
        self.context.as_ref().filter(|context| context.is_remote && self.decision.is_none())?.span.priority
    }

    /// Somebody outside of the process knows.
    pub(super) fn is_propagated(&self) -> bool {
        self.is_propagated
    }

    /// What was decided here.
    pub(super) fn decided(&self) -> Option<Decided> {
        Some(Decided { decision: self.decision?, is_propagated: self.is_propagated })
    }

    /// What the trace carries, to be handed on.
    pub(super) fn context(&mut self) -> &mut Arc<TraceContext> {
        if self.context.is_none() {
            self.context = Some(Arc::new(self.own()));
        }
        self.context.get_or_insert_default()
    }

    /// The same, to be looked at.
    pub(super) fn context_so_far(&self) -> TraceContext {
        self.context.as_deref().cloned().unwrap_or_else(|| self.own())
    }

    /// What a trace carries that began here.
    fn own(&self) -> TraceContext {
        let span = SpanContext { trace_id: self.trace_id, ..SpanContext::default() };
        let mut context = TraceContext { span, ..TraceContext::default() };
        if let Some(decision) = &self.decision {
            decision.apply(&mut context);
        }
        context
    }

    /// What came in with the trace, and what was made of it.
    pub(super) fn carried(&self) -> Option<&TraceContext> {
        self.context.as_deref()
    }

    pub(super) fn priority(&self) -> Option<Priority> {
        match &self.context {
            Some(context) => context.span.priority,
            None => Some(self.decision?.priority),
        }
    }

    /// Takes a decision over, if there is none yet.
    ///
    /// Where no rule matched and no Agent has told a rate, and nobody `needs` to know, nothing binds: the trace stays open
    /// for what the sidecar knows.
    pub(super) fn decide(&mut self, take: impl FnOnce() -> Decision, need: Need) {
        if self.priority().is_none() {
            let decision = take();
            if need != Need::Nobody || decision.mechanism != Mechanism::DEFAULT {
                self.apply(decision);
            }
        }
        self.is_propagated |= need == Need::Outside;
    }

    /// Overrides what was decided, as long as nobody outside knows of it. Gives whether that was so.
    pub(super) fn override_with(&mut self, decision: Decision) -> bool {
        if !self.is_propagated {
            self.apply(decision);
            self.is_told = false;
        }
        !self.is_propagated
    }

    /// Changes what the trace carries beside its ids and the decision, as long as nobody outside knows of it. Gives whether
    /// that was so.
    pub(super) fn carry(&mut self, change: impl FnOnce(&mut TraceContext)) -> bool {
        if !self.is_propagated {
            change(Arc::make_mut(self.context()));
            (self.is_told, self.shown) = (false, None);
        }
        !self.is_propagated
    }

    /// What could not be written into an outgoing context.
    pub(super) fn set_error(&mut self, error: PropagationError) -> bool {
        let is_new = self.carried().is_none_or(|context| context.error.is_none());
        if is_new {
            Arc::make_mut(self.context()).error = Some(error);
        }
        is_new
    }

    fn apply(&mut self, decision: Decision) {
        if let Some(context) = &mut self.context {
            decision.apply(Arc::make_mut(context));
        }
        self.decision = Some(decision);
        self.shown = None;
    }

    /// True once: the sidecar is to be told of the decision now.
    pub(super) fn tell(&mut self) -> bool {
        self.priority().is_some() && !core::mem::replace(&mut self.is_told, true)
    }

    /// Writes the decision and the tags of the trace into a record of the local root.
    pub(super) fn write(&self, record: &mut RecordWriter) {
        let own;
        let context = match &self.context {
            Some(context) => context,
            None => {
                own = self.own();
                &own
            }
        };
        record.verdict(context, self.decision.as_ref());
    }

    /// At most so many bytes are written of a verdict and of what came in, in so many fields.
    pub(super) const SIZE: (usize, usize) = (1536, 10);
}
