//! What a trace carries beside the API's own `SpanContext`: Datadog's priority, origin and tags, and the contexts that are
//! linked to. It travels in a value of the API's `Context`; where only a `SpanContext` was handed on, in the member `dd`
//! of its `TraceState`.

use super::values;
use crate::context::{Bounded, FLAG_RANDOM, Priority, SpanContext as CoreContext, TraceContext};
use crate::ids::SpanId;
use crate::propagation::tracecontext::TraceParent;
use crate::propagation::{
    BaggageSink, BaggageSource, Carrier, CarrierMut, EachMember, Extracted, NoBaggage, Outgoing, Propagation, Style,
    Styles,
};
use crate::tracer::{ActiveTrace, Tracer};
use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};
use std::str::FromStr;
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

    /// What came in, for the first span of a trace in the process: it hangs under `parent`, which is of what came in, or
    /// under nothing.
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
    let span = found.map(|found| values::span_context(&found.span, true, state_of(found)));
    if span.is_some() || extracted.has_baggage || extracted.links.iter().any(Option::is_some) {
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
    tracer.active_of(trace_id, span_id, || context_of(span).span.priority)
}

/// The context that `span` stands for, as far as it tells by itself.
pub(super) fn context_of(span: &SpanContext) -> TraceContext {
    let carrier = W3c {
        parent: TraceParent {
            trace_id: values::trace_id(span.trace_id()),
            span_id: values::span_id(span.span_id()),
            flags: span.trace_flags().to_u8(),
        },
        state: span.trace_state().header(),
    };
    let read = w3c().extract(&carrier, &mut NoBaggage).context;
    TraceContext { is_remote: span.is_remote(), ..read.unwrap_or_default() }
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

/// The `tracestate` of a context in the API's form, with Datadog's member unless that would only repeat the flags.
pub(super) fn state_of(context: &TraceContext) -> TraceState {
    let flag_says_all = match context.span.priority {
        None | Some(Priority::AUTO_KEEP | Priority::AUTO_REJECT) => true,
        Some(_) => false,
    };
    if flag_says_all
        && context.trace_state.is_empty()
        && context.ot.is_empty()
        && context.tags.is_empty()
        && context.origin.is_empty()
    {
        return TraceState::NONE;
    }
    let state = written_state(context);
    // The API is stricter about members of others than the recommendation is; those still travel beside it.
    TraceState::from_str(&state).unwrap_or_else(|_| {
        let ours = TraceContext { trace_state: Bounded::new(), ..context.clone() };
        TraceState::from_str(&written_state(&ours)).unwrap_or_default()
    })
}

fn written_state(context: &TraceContext) -> String {
    let mut state = StateAlone::default();
    // Which span it is does not stand in it, and may not be known yet, but contexts without one are not written.
    let span = CoreContext { span_id: SpanId(u64::MAX), ..context.span };
    let outgoing = Outgoing { span, is_local: false, trace: context, baggage: &NoBaggage };
    let _ = w3c().inject(&outgoing, &mut state);
    state.0
}

fn w3c() -> Propagation {
    let styles: Styles = [Style::TraceContext].into_iter().collect();
    Propagation { inject: styles, extract: styles, ..Propagation::default() }
}

/// The two headers of W3C's form.
struct W3c {
    parent: TraceParent,
    state: String,
}

impl Carrier for W3c {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        match name {
            "traceparent" => each(&self.parent.format()),
            "tracestate" if !self.state.is_empty() => each(self.state.as_bytes()),
            _ => {}
        }
    }
}

/// Takes the `tracestate` and leaves the rest.
#[derive(Default)]
struct StateAlone(String);

impl CarrierMut for StateAlone {
    fn set(&mut self, name: &str, value: &[u8]) {
        if name == "tracestate" {
            self.0 = String::from_utf8_lossy(value).into_owned();
        }
    }
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
