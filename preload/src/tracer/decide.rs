//! Taking the decision whether a trace is kept, and recording it.

use super::span::Span;
use super::trace::{Root, Trace};
use super::verdict::Outcome;
use super::{Tracer, clock};
use crate::process;
use ddtrace::context::{Mechanism, Priority};
use ddtrace::ids::SpanId;
use ddtrace::record::RecordWriter;
use ddtrace::sampling::{AgentRates, Decision, NoRates, Sampler};

/// How a decision that was brought is marked among those when it has been handed on.
const HANDED_ON: Mechanism = Mechanism::MANUAL;

impl Tracer {
    /// Decides for good, and records it with a local root, if there is one: the decision is about to leave the process.
    /// `None` where too many threads are deciding; the trace goes on undecided then.
    pub(super) fn settle(&self, trace: &Trace, local_root: SpanId) -> Option<Outcome> {
        let (outcome, is_new) =
            trace.verdict.settle(|| self.recall(trace).unwrap_or_else(|| self.decide_anew(trace)))?;
        self.remember(trace, outcome, is_new);
        if is_new {
            self.remember_handed_on(trace, outcome);
        }
        if is_new && local_root.is_valid() {
            process::record_span(|record| {
                record.amend(local_root);
                describe(record, trace, outcome);
            });
        }
        Some(outcome)
    }

    /// Decides for good as a local root ends. Gives the decision if it is still to be recorded.
    ///
    /// Where nobody has asked, no rule matches and no Agent has told a rate, the trace stays open for what the sidecar
    /// knows.
    pub(super) fn settle_at_end(&self, root: &Span) -> Option<Outcome> {
        let trace = &root.trace;
        let mut decided = None;
        if trace.verdict.outcome().is_none() {
            decided = self.recall(trace);
            if decided.is_none() {
                let decision = self.decide(trace);
                if decision.mechanism == Mechanism::DEFAULT {
                    return None;
                }
                decided = Some(self.agree(trace, decision));
            }
        }
        let (outcome, is_new) = trace.verdict.settle(|| decided.unwrap_or_else(|| self.decide_anew(trace)))?;
        self.remember(trace, outcome, is_new);
        // Another root may have recorded it, which says nothing of this one.
        (is_new || trace.has_several_roots()).then_some(outcome)
    }

    /// What was decided about a trace that came in undecided, where another request has brought it before: here, or by who
    /// sent that.
    fn recall(&self, trace: &Trace) -> Option<Outcome> {
        if !trace.came_undecided() {
            return None;
        }
        let here = self.decided.get(trace.trace_id()).map(Outcome::Own);
        here.or_else(|| Some(Outcome::Told(self.brought.get(trace.trace_id())?.priority)))
    }

    /// The application decides. Gives whether that was still possible: what this process has said of a trace to somebody
    /// stands, whichever request the trace came in with; but each that brought a decision is by itself. Where it was
    /// possible, other requests of the trace about which nothing is decided follow.
    pub(super) fn decide_by_hand(&self, trace: &Trace, keep: bool) -> bool {
        let is_told =
            |own: Option<Priority>| self.handed_on(trace).is_some_and(|told| own.is_none_or(|own| own == told));
        match trace.verdict.outcome() {
            Some(Outcome::Inherited) => {}
            None if is_told(None) => return false,
            Some(_) if is_told(trace.priority()) => return false,
            _ => {}
        }
        let is_done = trace.verdict.decide_by_hand(keep);
        if is_done && trace.came_from_outside() {
            self.decided.add(trace.trace_id(), &Sampler::manual(keep));
        }
        is_done
    }

    /// What has left the process of a decision about this trace, by whichever request.
    fn handed_on(&self, trace: &Trace) -> Option<Priority> {
        let brought = self.brought.get(trace.trace_id()).filter(|_| trace.came_from_outside())?;
        (brought.mechanism == HANDED_ON).then_some(brought.priority)
    }

    fn remember_handed_on(&self, trace: &Trace, outcome: Outcome) {
        let priority = match outcome {
            Outcome::Own(decision) => Some(decision.priority),
            Outcome::Told(priority) => Some(priority),
            Outcome::Inherited => trace.brought(),
        };
        if let Some(priority) = priority
            && trace.came_from_outside()
        {
            self.add_brought(trace, priority, HANDED_ON);
        }
    }

    fn remember(&self, trace: &Trace, outcome: Outcome, is_new: bool) {
        if let Outcome::Own(decision) = outcome
            && is_new
            && trace.came_from_outside()
        {
            self.decided.add(trace.trace_id(), &decision);
        }
    }

    /// A decision that stands has come in with a trace.
    pub(super) fn remember_brought(&self, trace: &Trace) {
        if let Some(priority) = trace.brought()
            && self.brought.get(trace.trace_id()).is_none_or(|known| known.priority != priority)
        {
            self.add_brought(trace, priority, Mechanism::DEFAULT);
        }
    }

    fn add_brought(&self, trace: &Trace, priority: Priority, mechanism: Mechanism) {
        self.brought.add(trace.trace_id(), &Decision { priority, mechanism, rate: None, limit_rate: None });
    }

    fn decide_anew(&self, trace: &Trace) -> Outcome {
        self.agree(trace, self.decide(trace))
    }

    /// The decision that counts, where another request of the trace may just have come to one.
    fn agree(&self, trace: &Trace, decision: Decision) -> Outcome {
        let others_decide = trace.came_undecided();
        Outcome::Own(if others_decide { self.decided.add_first(trace.trace_id(), &decision) } else { decision })
    }

    fn decide(&self, trace: &Trace) -> Decision {
        let sampling = &self.settings.sampling;
        let sampler = Sampler {
            rules: self.rules,
            rule_limiters: self.rule_limiters,
            limiter: &self.limiter,
            base: sampling.base,
            respects_parent: sampling.respects_parent,
            service_names: sampling.service_names,
        };
        let root = Root::new(trace, &self.settings);
        let from_sidecar = process::ring().map(|ring| ring.rates());
        let rates: &dyn AgentRates = match &from_sidecar {
            Some(rates) => rates,
            None => &NoRates,
        };
        // Only rules have limits.
        let now_ns = if self.rules.is_empty() { 0 } else { clock::monotonic_ns() };
        sampler.decide(trace.trace_id(), &root, self.settings.env, rates, now_ns)
    }
}

/// Puts the decision into a record of the local root.
#[inline(never)]
pub(super) fn describe(record: &mut RecordWriter, trace: &Trace, outcome: Outcome) {
    let decision = match &outcome {
        Outcome::Own(decision) => Some(decision),
        Outcome::Inherited | Outcome::Told(_) => None,
    };
    record.verdict(&trace.context(Some(outcome)), decision);
}
