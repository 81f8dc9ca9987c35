//! The SDK's sampler over the core's: the same decision as everywhere in the project.
//!
//! The SDK asks when a span starts, so rules see the attributes that it starts with, and `manual.keep` and `manual.drop`
//! count among those.

use crate::context::TraceContext;
use crate::otel::carried::{Incoming, context_of, state_of};
use crate::otel::values;
use crate::sampling::{NoRates, Sampler};
use crate::semconv::{MANUAL_DROP, MANUAL_KEEP};
use crate::span::datadog::SampledSpan;
use crate::span::{Span, Value};
use crate::tracer::{Decided, Known, Remembered, Settings};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use std::borrow::Cow;
use std::format;
use std::string::ToString;
use std::sync::Arc;
use std::time::Instant;
use std::vec::Vec;

/// Decides once for each trace, on its first span in the process.
#[derive(Clone, Debug)]
pub(super) struct CoreSampler {
    settings: Arc<Settings>,
    /// Decisions about traces that came in: whoever brings one again, undecided, gets the same.
    remembered: Arc<Remembered>,
    /// The zero of the clock that limits are kept by.
    epoch: Instant,
}

impl CoreSampler {
    pub(super) fn new(settings: Settings) -> CoreSampler {
        CoreSampler { settings: Arc::new(settings), remembered: Arc::default(), epoch: Instant::now() }
    }

    /// Decides about a trace that nobody has decided about yet, by what its first span is and `says` by hand.
    fn decide(&self, trace: &mut TraceContext, says: Option<bool>, root: impl FnOnce() -> Span) {
        let sampler = self.settings.sampler.sampler();
        let is_decided = trace.span.priority.is_some() && sampler.respects_parent;
        let trace_id = trace.span.trace_id;
        if is_decided && says.is_none() {
            if let Some(priority) = trace.span.priority.filter(|_| trace.is_remote) {
                self.remembered.bring(trace_id, priority);
            }
            return;
        }
        let is_open_from_outside = trace.is_remote && !is_decided;
        let before = if is_open_from_outside { self.remembered.get(trace_id) } else { None };
        let decision = match (before, says) {
            (Some(Known::Decided(decided)), _) => decided.decision,
            (Some(Known::Brought(priority)), None) => {
                trace.span.priority = Some(priority);
                return;
            }
            (_, Some(keep)) => Sampler::manual(keep),
            (None, None) => {
                let now_ns = u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
                let env = self.settings.env.as_bytes();
                let root = root();
                let root = SampledSpan::new(&root, &self.settings.resource);
                sampler.decide(trace_id, &root, env, &NoRates, now_ns)
            }
        };
        let decided = Decided { decision, is_propagated: true };
        match before {
            None if is_open_from_outside => self.remembered.add_first(trace_id, decided).decision.apply(trace),
            _ => {
                if trace.is_remote {
                    self.remembered.add(trace_id, decided);
                }
                decision.apply(trace);
            }
        }
    }

    /// Baggage that came in and is to be shown on the first span of its trace.
    fn shown_baggage(&self, context: &Context, parent: &SpanContext) -> Vec<KeyValue> {
        if !Incoming::entered(context, parent).is_some_and(|incoming| incoming.has_baggage) {
            return Vec::new();
        }
        let shown = context.baggage().iter().filter(|(key, _)| self.settings.shows_baggage(key.as_str()));
        shown.map(|(key, (value, _))| KeyValue::new(format!("baggage.{key}"), value.clone())).collect()
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
        let parent = parent_context.map(|context| context.span().span_context().clone()).unwrap_or(SpanContext::NONE);
        // Decided already, with the first span of the trace.
        if parent.is_valid() && !parent.is_remote() {
            return result(parent.is_sampled(), parent.trace_state().clone(), Vec::new());
        }
        let mut trace = if parent.is_valid() {
            let came_in = parent_context.and_then(|context| Incoming::continued_by(context, &parent));
            came_in.cloned().unwrap_or_else(|| context_of(&parent))
        } else {
            // What came in may have a trace without a span, which is continued, or no trace at all, and yet say what becomes of
            // the one that begins.
            let came_in = parent_context.and_then(Incoming::of).and_then(|incoming| incoming.context.as_ref());
            let trace_id = values::trace_id(trace_id);
            let said = came_in.filter(|context| !context.span.trace_id.is_valid() || context.span.trace_id == trace_id);
            let mut trace = said.cloned().unwrap_or_default();
            trace.is_remote = trace.span.trace_id == trace_id;
            trace.span.trace_id = trace_id;
            trace
        };
        let baggage = parent_context.map(|context| self.shown_baggage(context, &parent)).unwrap_or_default();
        self.decide(&mut trace, said_by_hand(attributes), || root(name, span_kind, attributes.iter().chain(&baggage)));
        result(trace.span.priority.is_none_or(|priority| priority.keeps()), state_of(&trace), baggage)
    }
}

fn result(keeps: bool, trace_state: TraceState, attributes: Vec<KeyValue>) -> SamplingResult {
    let decision = if keeps { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
    SamplingResult { decision, attributes, trace_state }
}

/// What the application wants to become of the trace.
fn said_by_hand(attributes: &[KeyValue]) -> Option<bool> {
    attributes.iter().rev().find_map(|pair| match pair.key.as_str() {
        MANUAL_KEEP => Some(true),
        MANUAL_DROP => Some(false),
        _ => None,
    })
}

/// The first span of a trace, as far as it is known when it starts.
fn root<'a>(name: &str, kind: &SpanKind, attributes: impl Iterator<Item = &'a KeyValue>) -> Span {
    let pair = |pair: &KeyValue| {
        let value = match &pair.value {
            opentelemetry::Value::I64(number) => Value::I64(*number),
            opentelemetry::Value::F64(number) => Value::F64(*number),
            opentelemetry::Value::Bool(truth) => Value::Bool(*truth),
            other => Value::from(other.to_string()),
        };
        (Cow::Owned(pair.key.to_string()), value)
    };
    let mut span = Span {
        name: Cow::Owned(name.to_string()),
        kind: values::kind(kind),
        attributes: attributes.map(pair).collect(),
        ..Span::default()
    };
    span.take_kind();
    span
}
