//! Spans of native code: as parents, and those of requests, which are taken over.

use crate::context::{Priority, SpanContext, TraceContext};
use crate::ids::{SpanId, TraceId};
use crate::interface::{
    CURRENT_IS_CONTEXT, CurrentSpan, LEFT_REQUESTS, REQUEST_BRINGS_CONTEXT, RequestInfo, UNDECIDED,
};
use crate::propagation::baggage::Baggage;
use crate::propagation::{Carrier, CarrierMut, Propagation};
use crate::recorder::Recorder;
use core::net::{IpAddr, SocketAddr};
use std::string::String;
use std::vec::Vec;

/// Which request of native code a span without a parent may belong to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NativeRequest {
    /// The one that the thread serves.
    #[default]
    OfThread,
    /// The one with this handle.
    Known(u64),
    /// That is not certain.
    Unknown,
}

/// Who has made a request, where attributes tell it: of the conventions that servers' spans are made by, the newest first.
#[must_use]
pub fn peer(text: impl Fn(&str) -> Option<String>) -> Option<SocketAddr> {
    const NAMES: [(&str, &str); 4] = [
        ("network.peer.address", "network.peer.port"),
        ("client.address", "client.port"),
        ("net.sock.peer.addr", "net.sock.peer.port"),
        ("net.peer.ip", "net.peer.port"),
    ];
    NAMES.iter().find_map(|(address, port)| {
        let address: IpAddr = text(address)?.parse().ok()?;
        Some(SocketAddr::new(address, text(port)?.parse().ok()?))
    })
}

/// The handle of what a span without a parent belongs under; 0 for nothing.
pub(super) fn surroundings(recorder: &Recorder, request: NativeRequest) -> u64 {
    match request {
        NativeRequest::OfThread => recorder.native_surroundings(),
        NativeRequest::Known(number) => number,
        NativeRequest::Unknown => 0,
    }
}

/// A request that has been taken over.
pub(super) struct Taken {
    /// The handle of its trace.
    pub(super) anchor: u64,
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent_id: SpanId,
    /// What came in with it.
    pub(super) context: Option<(TraceContext, Baggage)>,
}

/// Takes over the span of a request that is nobody's yet, and that `is_it`: trace and parent.
pub(super) fn take_over(
    recorder: &Recorder,
    request: NativeRequest,
    is_it: impl FnOnce(TraceId, SpanId) -> bool,
) -> Option<Taken> {
    let number = match request {
        NativeRequest::OfThread => Some(0),
        NativeRequest::Known(number) => Some(number),
        NativeRequest::Unknown => None,
    };
    let Some(found) = number.and_then(|number| recorder.native_request(number)) else {
        // Which one it is cannot be told: connections would tell of it as another one.
        recorder.leave_natively(LEFT_REQUESTS);
        return None;
    };
    let RequestInfo { flags, span, trace_id_high, trace_id_low, span_id, parent_id, .. } = found;
    let trace_id = TraceId((u128::from(trace_id_high) << 64) | u128::from(trace_id_low));
    let parent_id = SpanId(parent_id);
    if !is_it(trace_id, parent_id) {
        return None;
    }
    let anchor = recorder.take_over_native(span);
    if anchor == 0 {
        return None;
    }
    let mut context = if flags & REQUEST_BRINGS_CONTEXT != 0 { context(recorder, anchor) } else { None };
    if let Some((context, _)) = &mut context {
        (context.span.span_id, context.is_remote) = (parent_id, true);
    }
    Some(Taken { anchor, trace_id, span_id: SpanId(span_id), parent_id, context })
}

/// The context of a native span and the baggage of its trace; `None` where there is none.
///
/// All that a trace carries beyond ids comes in headers, in the one form that tracers of a process have between them.
pub(super) fn context(recorder: &Recorder, number: u64) -> Option<(TraceContext, Baggage)> {
    if number == 0 {
        return None;
    }
    let mut headers = Headers::default();
    recorder.hand_over_native(number, &mut headers);
    let native = recorder.describe_native(number)?;
    let mut baggage = Baggage::default();
    let span = span_of(&native);
    let sent = Propagation::between_tracers().extract(&headers, &mut baggage).context;
    let mut context = sent.filter(|sent| sent.span.trace_id == span.trace_id).unwrap_or_default();
    (context.span, context.is_remote) = (span, native.flags & CURRENT_IS_CONTEXT != 0);
    if !context.is_remote {
        // The native span is of this process, and tells of its own parent.
        (context.last_parent, context.error) = (SpanId(0), None);
    }
    Some((context, baggage))
}

pub(super) fn span_of(native: &CurrentSpan) -> SpanContext {
    SpanContext {
        trace_id: TraceId((u128::from(native.trace_id_high) << 64) | u128::from(native.trace_id_low)),
        span_id: SpanId(native.span_id),
        priority: Some(native.priority).filter(|priority| *priority != UNDECIDED).map(Priority),
        flags: native.trace_flags as u8,
    }
}

/// Headers that stay in the process.
#[derive(Default)]
pub(super) struct Headers(pub(super) Vec<(String, Vec<u8>)>);

impl CarrierMut for Headers {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.into(), value.into()));
    }
}

impl Carrier for Headers {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.0.iter().filter(|(present, _)| present.eq_ignore_ascii_case(name)).for_each(|(_, value)| each(value));
    }

    fn with_prefix(&self, prefix: &str, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.0 {
            if let Some((start, rest)) = name.split_at_checked(prefix.len())
                && start.eq_ignore_ascii_case(prefix)
            {
                each(rest.as_bytes(), value);
            }
        }
    }
}
