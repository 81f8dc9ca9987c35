//! Taking the decision whether a trace is kept, and recording it.

use super::trace::{Root, Trace};
use super::verdict::Outcome;
use super::{Tracer, clock};
use crate::process;
use ddtrace::record::RecordWriter;
use ddtrace::sampling::{AgentRates, Decision, NoRates, Sampler};

impl Tracer {
    /// Decides for good, and records it: the decision is about to leave the process. `None` where too many threads are
    /// deciding; the trace goes on undecided then.
    pub(super) fn settle(&self, trace: &Trace) -> Option<Outcome> {
        let (outcome, is_new) = trace.verdict.settle(|| self.decide(trace))?;
        if is_new {
            process::record_span(|record| {
                record.amend(trace.local_root());
                describe(record, trace, outcome);
            });
        }
        Some(outcome)
    }

    /// Decides for good. Gives the decision only if it is new, to be recorded.
    pub(super) fn settle_quietly(&self, trace: &Trace) -> Option<Outcome> {
        let (outcome, is_new) = trace.verdict.settle(|| self.decide(trace))?;
        is_new.then_some(outcome)
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
        let root = Root { trace, settings: &self.settings };
        let from_sidecar = process::ring().map(|ring| ring.rates());
        let rates: &dyn AgentRates = match &from_sidecar {
            Some(rates) => rates,
            None => &NoRates,
        };
        sampler.decide(trace.trace_id(), &root, self.settings.env, rates, clock::monotonic_ns())
    }
}

/// Puts the decision into a record of the local root.
#[inline(never)]
pub(super) fn describe(record: &mut RecordWriter, trace: &Trace, outcome: Outcome) {
    let decision = match &outcome {
        Outcome::Own(decision) => Some(decision),
        Outcome::Inherited => None,
    };
    record.verdict(&trace.context(Some(outcome)), decision);
}
