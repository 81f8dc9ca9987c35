//! Links to the contexts that came in and are not continued, which the SDK knows nothing of.

use crate::otel::carried::Incoming;
use crate::otel::values;
use crate::propagation::Style;
use opentelemetry::trace::TraceState;
use opentelemetry::trace::{Span as _, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use std::time::Duration;

/// Gives the first span of a trace in the process its links, and everything to the next.
#[derive(Debug)]
pub(super) struct Linking<P>(pub(super) P);

impl<P: SpanProcessor> SpanProcessor for Linking<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        let parent = context.span().span_context().clone();
        let is_first = !parent.is_valid() || parent.is_remote();
        if let Some(incoming) = Incoming::entered(context, &parent).filter(|_| is_first) {
            for link in incoming.links.iter().flatten() {
                let state = match link.style {
                    Style::TraceContext => incoming.link_trace_state.as_str().parse().unwrap_or_default(),
                    _ => TraceState::NONE,
                };
                let attributes = [("reason", link.reason), ("context_headers", link.style.name())];
                let attributes = attributes.map(|(key, value)| KeyValue::new(key, value));
                span.add_link(values::span_context(&link.span, true, state), attributes.into());
            }
        }
        self.0.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}
