//! The span that native code has active on this thread, as a parent.

use crate::context::{Priority, SpanContext, TraceContext};
use crate::ids::{SpanId, TraceId};
use crate::interface::{CURRENT_IS_CONTEXT, CurrentSpan, UNDECIDED};
use crate::propagation::baggage::Baggage;
use crate::propagation::{Carrier, CarrierMut, Propagation};
use crate::recorder::Recorder;
use std::string::String;
use std::vec::Vec;

/// The context of the native span of this thread and the baggage of its trace; `None` where there is none.
///
/// All that a trace carries beyond ids comes in headers, in the one form that tracers of a process have between them.
pub(super) fn context(recorder: &Recorder) -> Option<(TraceContext, Baggage)> {
    let native = recorder.native_span()?;
    let mut headers = Headers::default();
    recorder.hand_over_native(&mut headers);
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

fn span_of(native: &CurrentSpan) -> SpanContext {
    SpanContext {
        trace_id: TraceId((u128::from(native.trace_id_high) << 64) | u128::from(native.trace_id_low)),
        span_id: SpanId(native.span_id),
        priority: Some(native.priority).filter(|priority| *priority != UNDECIDED).map(Priority),
        flags: native.trace_flags as u8,
    }
}

/// Headers that stay in the process.
#[derive(Default)]
struct Headers(Vec<(String, Vec<u8>)>);

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
