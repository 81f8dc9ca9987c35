//! The SDK's sampler over the core's: the same decision as everywhere in the project.
//!
//! The SDK asks when a span starts, so rules see the attributes that it starts with.

use crate::context::{SpanContext as CoreContext, TraceContext};
use crate::otel::carried::{Incoming, context_of, state_of};
use crate::otel::values;
use crate::sampling::NoRates;
use crate::span::datadog::SampledSpan;
use crate::span::{Span, Value};
use crate::tracer::Settings;
use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use std::borrow::Cow;
use std::string::ToString;
use std::sync::Arc;
use std::time::Instant;
use std::vec::Vec;

/// Decides once for each trace, on its first span in the process.
#[derive(Clone, Debug)]
pub(super) struct CoreSampler {
    settings: Arc<Settings>,
    /// The zero of the clock that limits are kept by.
    epoch: Instant,
}

impl CoreSampler {
    pub(super) fn new(settings: Settings) -> CoreSampler {
        CoreSampler { settings: Arc::new(settings), epoch: Instant::now() }
    }

    fn decide(&self, trace: &mut TraceContext, root: &Span) {
        let sampler = self.settings.sampler.sampler();
        if trace.span.priority.is_some() && sampler.respects_parent {
            return;
        }
        let now_ns = u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let env = self.settings.env.as_bytes();
        let root = SampledSpan::new(root, &self.settings.resource);
        sampler.decide(trace.span.trace_id, &root, env, &NoRates, now_ns).apply(trace);
    }
}

impl ShouldSample for CoreSampler {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent_context.map(|context| (context, context.span().span_context().clone()));
        let mut trace = match parent.filter(|(_, span)| span.is_valid()) {
            // Decided already, with the first span of the trace.
            Some((_, span)) if !span.is_remote() => {
                return result(span.is_sampled(), span.trace_state().clone());
            }
            Some((context, span)) => {
                Incoming::continued_by(context, &span).cloned().unwrap_or_else(|| context_of(&span))
            }
            None => {
                let span = CoreContext { trace_id: values::trace_id(trace_id), ..CoreContext::default() };
                TraceContext { span, ..TraceContext::default() }
            }
        };
        self.decide(&mut trace, &root(name, span_kind, attributes));
        result(trace.span.priority.is_none_or(|priority| priority.keeps()), state_of(&trace))
    }
}

fn result(keeps: bool, trace_state: TraceState) -> SamplingResult {
    let decision = if keeps { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
    SamplingResult { decision, attributes: Vec::new(), trace_state }
}

/// The first span of a trace, as far as it is known when it starts.
fn root(name: &str, kind: &SpanKind, attributes: &[KeyValue]) -> Span {
    let pair = |pair: &KeyValue| {
        let value = match &pair.value {
            opentelemetry::Value::I64(number) => Value::I64(*number),
            opentelemetry::Value::F64(number) => Value::F64(*number),
            opentelemetry::Value::Bool(truth) => Value::Bool(*truth),
            other => Value::from(other.to_string()),
        };
        (Cow::Owned(pair.key.to_string()), value)
    };
    Span {
        name: Cow::Owned(name.to_string()),
        kind: values::kind(kind),
        attributes: attributes.iter().map(pair).collect(),
        ..Span::default()
    }
}
