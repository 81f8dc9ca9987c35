//! The API's span over the engine's.

use crate::context::link_flags;
use crate::otel::carried::state_of;
use crate::otel::values;
use crate::tracer::{LiveSpan, SpanData, unix_ns};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span, SpanContext, Status, TraceState};
use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::SystemTime;
use std::vec::Vec;

/// A span that is recorded into the memory shared with `ddtrace-run`. Dropping it ends it.
#[derive(Debug)]
pub struct RecordedSpan {
    /// `None` where telemetry is suppressed.
    live: Option<LiveSpan>,
    /// The parent's `tracestate`, where that is a span of this process and says something else than its trace does.
    state: Option<TraceState>,
    /// As it was when it was first asked for: the API gives out a reference.
    context: OnceLock<SpanContext>,
}

impl RecordedSpan {
    pub(super) fn new(live: LiveSpan, state: Option<TraceState>) -> RecordedSpan {
        RecordedSpan { live: Some(live), state, context: OnceLock::new() }
    }

    pub(super) fn suppressed() -> RecordedSpan {
        RecordedSpan { live: None, state: None, context: OnceLock::new() }
    }

    /// What has no effect any more goes unsaid: an event of `tracing` would come back here in programs whose spans are
    /// those of `tracing`.
    fn change(&mut self, change: impl FnOnce(&mut SpanData)) {
        if let Some(live) = &mut self.live {
            live.change(change);
        }
    }
}

impl Span for RecordedSpan {
    fn add_event_with_timestamp<T>(&mut self, name: T, timestamp: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        self.change(|data| data.add_event(&name.into(), unix_ns(timestamp), values::pairs(&attributes)));
    }

    /// Asking decides whether the trace is kept: flags and `tracestate` say so from then on.
    /// Making a span the active one asks.
    fn span_context(&self) -> &SpanContext {
        self.context.get_or_init(|| {
            let Some(live) = &self.live else { return SpanContext::NONE };
            let span = live.context();
            let state = self.state.clone().unwrap_or_else(|| (*live.trace().show(state_of)).clone());
            values::span_context(&span, false, state)
        })
    }

    fn is_recording(&self) -> bool {
        self.live.as_ref().is_some_and(LiveSpan::is_recording)
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.change(|data| {
            if let Some(value) = values::attribute(&attribute.value) {
                data.set_attribute(attribute.key.as_str(), value);
            }
        });
    }

    fn set_status(&mut self, status: Status) {
        self.change(|data| data.set_status(values::status(status)));
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        self.change(|data| data.set_name(new_name.into()));
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        self.change(|data| link(data, &span_context, &attributes));
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        if let Some(live) = &mut self.live {
            live.end_at(unix_ns(timestamp));
        }
    }
}

impl Drop for RecordedSpan {
    fn drop(&mut self) {
        if let Some(live) = &mut self.live
            && live.is_recording()
        {
            live.end();
        }
    }
}

pub(super) fn link(data: &mut SpanData, to: &SpanContext, attributes: &[KeyValue]) {
    if !to.is_valid() {
        return;
    }
    let ids = (values::trace_id(to.trace_id()), values::span_id(to.span_id()));
    data.add_link(
        ids,
        link_flags(to.trace_flags().to_u8(), to.is_remote()),
        &to.trace_state().header(),
        values::pairs(attributes),
    );
}
