//! The sampler of the sending side: decides about traces that nobody has decided about, and keeps single spans of those
//! that are dropped.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use ddtrace::sampling::{AgentRateTable, OwnedSampler, Sampled, SamplingConfig, TagValue};
use ddtrace::span::datadog::{operation_name, resource_name, service};
use ddtrace::span::{Resource, Span, SpanSampling, Value};
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
        let seen = Seen::of(root, resource);
        let rates = self.rates.borrow();
        let decision = self.sampler.sampler().decide(root.trace_id, &seen, env.as_bytes(), &*rates, monotonic_ns());
        verdict.decide(&decision);
    }

    /// Keeps single spans of a trace that is dropped.
    pub fn pick(&self, verdict: &Verdict, spans: &mut [Span], resource: &Resource) {
        let sampler = self.sampler.span_sampler();
        if verdict.keeps() || sampler.rules.len() == 0 {
            return;
        }
        for span in spans {
            let picked =
                sampler.decide(span.span_id, &Seen::of(span, resource), self.sampler.span_limiters(), monotonic_ns());
            span.span_sampling = picked
                .map(|picked| SpanSampling { rule_rate: picked.rule_rate, max_per_second: picked.max_per_second });
        }
    }
}

/// A span as rules see it.
struct Seen<'a> {
    span: &'a Span,
    service: &'a str,
    name: Cow<'a, str>,
    resource: Cow<'a, str>,
}

impl<'a> Seen<'a> {
    fn of(span: &'a Span, resource: &'a Resource) -> Seen<'a> {
        Seen { span, service: service(span, resource), name: operation_name(span), resource: resource_name(span) }
    }
}

impl Sampled for Seen<'_> {
    fn service(&self) -> &[u8] {
        self.service.as_bytes()
    }

    fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    fn resource(&self) -> &[u8] {
        self.resource.as_bytes()
    }

    fn tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        match self.span.attribute(std::str::from_utf8(name).ok()?)? {
            Value::String(text) => Some(TagValue::Text(text.as_bytes())),
            Value::Bool(truth) => Some(TagValue::Bool(*truth)),
            Value::I64(number) => Some(TagValue::Integer(*number)),
            Value::F64(number) => Some(TagValue::Float(*number)),
            Value::Array(_) => None,
        }
    }
}
