//! The sampler of the sending side: decides about traces that nobody has decided about, and keeps single spans of those
//! that are dropped.

use std::cell::RefCell;
use std::rc::Rc;

use ddtrace::sampling::{AgentRateTable, OwnedSampler, SamplingConfig};
use ddtrace::span::datadog::SampledSpan;
use ddtrace::span::{Resource, Span, SpanSampling};
use ddtrace::sys::monotonic_ns;

use super::verdict::Verdict;

/// Decides.
pub struct Judge {
    sampler: OwnedSampler,
    rates: Rc<RefCell<AgentRateTable>>,
}

impl Judge {
    /// By this configuration, and by the rates that the Agent tells.
    pub fn new(config: &SamplingConfig, rates: Rc<RefCell<AgentRateTable>>) -> Judge {
        Judge { sampler: OwnedSampler::new(config.clone()), rates }
    }

    /// Decides about a trace by its local root, or by what stands for it, unless that is done.
    pub fn decide(&self, verdict: &mut Verdict, root: &Span, resource: &Resource) {
        if verdict.priority.is_some() {
            return;
        }
        let env = resource
            .text("deployment.environment.name")
            .or_else(|| resource.text("deployment.environment"))
            .unwrap_or_default();
        let seen = SampledSpan::new(root, resource);
        let rates = self.rates.borrow();
        let decision = self.sampler.sampler().decide(root.trace_id, &seen, env.as_bytes(), &*rates, monotonic_ns());
        verdict.decide(&decision);
    }

    /// Keeps single spans of a trace that is dropped.
    pub fn pick(&self, verdict: &Verdict, spans: &mut [Span], resource: &Resource) {
        let sampler = self.sampler.span_sampler();
        if verdict.keeps() || sampler.rules.is_empty() {
            return;
        }
        for span in spans {
            let picked = sampler.decide(
                span.span_id,
                &SampledSpan::new(span, resource),
                self.sampler.span_limiters(),
                monotonic_ns(),
            );
            span.span_sampling = picked
                .map(|picked| SpanSampling { rule_rate: picked.rule_rate, max_per_second: picked.max_per_second });
        }
    }
}
