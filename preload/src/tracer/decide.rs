//! Taking the decision whether a trace is kept, and recording it.

use super::trace::{Root, Trace};
use super::verdict::Outcome;
use super::{Tracer, clock};
use crate::process;
use ddtrace::context::Mechanism;
use ddtrace::record::RecordWriter;
use ddtrace::sampling::{Decision, NoRates, Sampler};
use ddtrace::semconv::Key;

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
        };
        let root = Root { trace, service: self.settings.service };
        sampler.decide(trace.trace_id(), &root, self.settings.env, &NoRates, clock::monotonic_ns())
    }
}

/// Puts the decision into a record of the local root.
#[inline(never)]
pub(super) fn describe(record: &mut RecordWriter, trace: &Trace, outcome: Outcome) {
    let context = trace.context(Some(outcome));
    if let Some(priority) = context.span.priority {
        record.integer(Key::SamplingPriority, priority.0.into());
    }
    if !context.tags.is_empty() {
        record.text(Key::TraceTags, context.tags.as_bytes());
    }
    let Outcome::Own(decision) = outcome else { return };
    if let Some(rate) = decision.rate {
        let key = if decision.mechanism == Mechanism::AGENT_RATE { Key::AgentRate } else { Key::RuleRate };
        record.float(key, rate);
    }
    if let Some(rate) = decision.limit_rate {
        record.float(Key::LimitRate, rate);
    }
}
