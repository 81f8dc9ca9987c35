//! What a trace carries beside the API's own `SpanContext`: Datadog's priority, origin and tags, and the contexts that are
//! linked to. It travels in a value of the API's `Context`; where only a `SpanContext` was handed on, in the member `dd`
//! of its `TraceState`.

use super::values;
use crate::context::{Bounded, FLAG_RANDOM, SpanContext as CoreContext, TraceContext};
use crate::propagation::tracecontext::TraceParent;
use crate::propagation::{BaggageSink, BaggageSource, EachMember, Extracted, w3c_form};
use crate::tracer::{ActiveTrace, Tracer};
use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

/// What came in with a request: a value of the API's context.
#[derive(Clone, Debug)]
pub(super) struct Incoming(Arc<Extracted>);

impl Incoming {
    /// What came in, in this context.
    pub(super) fn of(context: &Context) -> Option<&Extracted> {
        Some(&context.get::<Incoming>()?.0)
    }

    /// What came in, for the first span of a trace in the process: it hangs under `parent`, which is of what came in, or
    /// under nothing.
    #[cfg(feature = "direct")]
    pub(super) fn entered<'a>(context: &'a Context, parent: &SpanContext) -> Option<&'a Extracted> {
        let is_sender = |found: &TraceContext| found.span.span_id == values::span_id(parent.span_id());
        let fits = !parent.is_valid() || Self::continued_by(context, parent).is_some_and(is_sender);
        Self::of(context).filter(|_| fits)
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

/// The trace that a span of this process is of, while a span of it lives.
pub(super) fn active(tracer: &Tracer, span: &SpanContext) -> Option<Arc<ActiveTrace>> {
    let (trace_id, span_id) = (values::trace_id(span.trace_id()), values::span_id(span.span_id()));
    tracer.active_of(trace_id, span_id, || context_of(span))
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
        // What a decision of this process has left; the member `dd` may have no room for all that came in.
        if !said.tags.is_empty() {
            for name in [&b"_dd.p.dm"[..], b"_dd.p.ksr"] {
                match said.tags.get(name) {
                    Some(value) => _ = carried.tags.set(name, value),
                    None => carried.tags.remove(name),
                }
            }
        }
        if !said.tags.is_empty() || !said.ot.is_empty() {
            carried.ot = said.ot;
        }
    }
    carried
}

/// The `tracestate` of a context in the API's form. The API is stricter about members of others than the recommendation
/// is; those still travel beside it.
pub(super) fn state_of(context: &TraceContext) -> TraceState {
    let state = w3c_form::state_of(context);
    if state.is_empty() {
        return TraceState::NONE;
    }
    members(&state).unwrap_or_else(|| {
        let ours = TraceContext { trace_state: Bounded::new(), ..context.clone() };
        members(&w3c_form::state_of(&ours)).unwrap_or_default()
    })
}

/// The API's own way from text copies each member twice.
fn members(state: &str) -> Option<TraceState> {
    let pairs: Option<Vec<_>> = state.split(',').map(|member| member.split_once('=')).collect();
    TraceState::from_key_value(pairs?).ok()
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
