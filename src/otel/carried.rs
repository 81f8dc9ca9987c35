//! What a trace carries beside the API's own `SpanContext`: Datadog's priority, origin and tags, and the contexts that are
//! linked to. It travels in a value of the API's `Context`; where only a `SpanContext` was handed on, in the member `dd`
//! of its `TraceState`.

use super::values;
use crate::context::{FLAG_RANDOM, SpanContext as CoreContext, TraceContext};
use crate::propagation::tracecontext::TraceParent;
use crate::propagation::{BaggageSink, BaggageSource, EachMember, Extracted, w3c_form};
use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};
use std::string::String;
use std::sync::Arc;

/// What came in with a request: a value of the API's context.
#[derive(Clone, Debug)]
pub(super) struct Incoming(Arc<Extracted>);

impl Incoming {
    /// What came in, in this context.
    pub(super) fn of(context: &Context) -> Option<&Extracted> {
        Some(&context.get::<Incoming>()?.0)
    }

    /// The context that came in, if `span` is of it.
    pub(super) fn continued_by<'a>(context: &'a Context, span: &SpanContext) -> Option<&'a TraceContext> {
        let found = Self::of(context)?.context.as_ref()?;
        let is_it = found.span.trace_id == values::trace_id(span.trace_id());
        is_it.then_some(found)
    }
}

/// `context` with what was extracted in it; as it was where that is nothing.
pub(super) fn enter(context: &Context, extracted: Extracted, baggage: Members) -> Context {
    let mut entered = context.clone();
    if extracted.has_baggage {
        entered = entered.with_baggage(baggage.0);
    }
    let found = extracted.context.as_ref();
    let said = found.is_some();
    let span = found
        .filter(|found| found.span.trace_id.is_valid())
        .map(|found| values::span_context(&found.span, true, state_of(found)));
    if said || extracted.has_baggage || extracted.links.iter().any(Option::is_some) {
        entered = entered.with_value(Incoming(Arc::new(extracted)));
    }
    match span {
        Some(span) => entered.with_remote_span_context(span),
        None => entered,
    }
}

/// The context that `span` stands for, as far as it tells by itself.
pub(super) fn context_of(span: &SpanContext) -> TraceContext {
    let parent = TraceParent {
        trace_id: values::trace_id(span.trace_id()),
        span_id: values::span_id(span.span_id()),
        flags: span.trace_flags().to_u8(),
    };
    w3c_form::read(parent, &span.trace_state().header(), span.is_remote())
}

/// The context to pass on with a span that this crate's tracer does not know (any more): what came in with the trace, or
/// what the span tells by itself. Whether the trace is kept is what the span says.
pub(super) fn passed_on(context: &Context, span: &SpanContext) -> TraceContext {
    let Some(incoming) = Incoming::continued_by(context, span) else { return context_of(span) };
    let mut carried = incoming.clone();
    if !span.is_remote() {
        let said = context_of(span);
        carried.is_remote = false;
        // The SDK gives a span that is not kept no flags at all.
        carried.span = CoreContext { flags: said.span.flags | (carried.span.flags & FLAG_RANDOM), ..said.span };
        if said.tags.as_bytes() != b"" {
            carried.tags = said.tags;
        }
    }
    carried
}

/// The `tracestate` of a context in the API's form. The API is stricter about members of others than the recommendation
/// is; those still travel beside it.
pub(super) fn state_of(context: &TraceContext) -> TraceState {
    let state = w3c_form::state_of(context);
    if state.is_empty() { TraceState::NONE } else { state.parse().unwrap_or_default() }
}

/// Baggage on its way into the API's form.
#[derive(Default)]
pub(super) struct Members(Baggage);

impl BaggageSink for Members {
    fn member(&mut self, key: &[u8], value: &[u8], properties: &[u8]) {
        let [key, value, properties] = [key, value, properties].map(|text| String::from_utf8_lossy(text).into_owned());
        self.0.insert_with_metadata(key, value, properties);
    }
}

/// The baggage of a context.
pub(super) struct BaggageOf<'a>(pub(super) &'a Context);

impl BaggageSource for BaggageOf<'_> {
    fn members(&self, each: &mut EachMember<'_>) {
        for (key, (value, metadata)) in self.0.baggage() {
            each(key.as_str().as_bytes(), value.as_str().as_bytes(), metadata.as_str().as_bytes());
        }
    }
}
