//! Starting spans by the API's builder.

use super::RecordedSpan;
use crate::otel::carried::{BaggageOf, Incoming, active, context_of};
use crate::otel::values;
use crate::span::Scope;
use crate::tracer::{NativeRequest, Parent, SpanData, Start, Tracer, unix_ns};
use opentelemetry::Context;
use opentelemetry::trace::{SpanBuilder, TraceContextExt, TraceState};
use std::sync::Arc;

/// Starts spans that are recorded into the memory shared with `ddtrace-run`.
#[derive(Clone, Debug)]
pub struct RecordingTracer {
    tracer: Arc<Tracer>,
    scope: Arc<Scope>,
}

impl RecordingTracer {
    pub(super) fn new(tracer: Arc<Tracer>, scope: Arc<Scope>) -> RecordingTracer {
        RecordingTracer { tracer, scope }
    }
}

impl opentelemetry::trace::Tracer for RecordingTracer {
    type Span = RecordedSpan;

    fn build_with_context(&self, mut builder: SpanBuilder, context: &Context) -> RecordedSpan {
        if context.is_telemetry_suppressed() {
            return RecordedSpan::suppressed();
        }
        let span = context.span();
        let parent = Some(span.span_context()).filter(|parent| parent.is_valid());
        let local = parent.filter(|parent| !parent.is_remote());
        let local = local.and_then(|parent| Some((active(&self.tracer, parent)?, values::span_id(parent.span_id()))));
        // Most often it is what the trace says, and need not be copied for a span that nobody asks for it.
        let state = local.as_ref().zip(parent).and_then(|((trace, _), parent)| {
            let state = parent.trace_state();
            let is_the_traces = trace.shown::<TraceState>().is_some_and(|shown| *shown == *state);
            (!is_the_traces).then(|| state.clone())
        });
        // What came in with the request, unless the parent is another remote span that somebody put into the context.
        let continued = parent.and_then(|parent| Some((parent, Incoming::continued_by(context, parent)?)));
        let continued = continued.filter(|(parent, found)| values::span_id(parent.span_id()) == found.span.span_id);
        let told;
        let (parent, state) = match (&local, continued, parent) {
            (Some((trace, id)), _, _) => (Parent::Local(trace, *id), state),
            (None, Some((_, found)), _) => (Parent::Context(found), None),
            (None, None, Some(parent)) => {
                told = context_of(parent);
                (Parent::Context(&told), None)
            }
            (None, None, None) => (Parent::None, None),
        };
        let incoming = Incoming::of(context).filter(|_| continued.is_some() || matches!(parent, Parent::None));
        let baggage = BaggageOf(context);
        let start = Start {
            name: core::mem::take(&mut builder.name),
            kind: builder.span_kind.as_ref().map(values::kind).unwrap_or_default(),
            start_unix_ns: builder.start_time.map(unix_ns),
            is_request: false,
            native_request: NativeRequest::OfThread,
            peer: None,
            parent,
            incoming,
            incoming_baggage: incoming.filter(|incoming| incoming.has_baggage).map(|_| &baggage as _),
            scope: Some(Arc::clone(&self.scope)),
        };
        RecordedSpan::new(self.tracer.start(start, |data| fill(data, builder)), state)
    }
}

fn fill(data: &mut SpanData, builder: SpanBuilder) {
    for pair in builder.attributes.iter().flatten() {
        if let Some(value) = values::attribute(&pair.value) {
            data.set_attribute(pair.key.as_str(), value);
        }
    }
    for event in builder.events.iter().flatten() {
        data.add_event(&event.name, unix_ns(event.timestamp), values::pairs(&event.attributes));
    }
    for link in builder.links.iter().flatten() {
        super::span::link(data, &link.span_context, &link.attributes);
    }
}
