//! Contexts as APIs have them that know W3C's form alone: ids, flags, and a `tracestate` as text. What Datadog adds to a
//! context travels in the member `dd` of that.

use super::tracecontext::TraceParent;
use super::{Carrier, CarrierMut, NoBaggage, Outgoing, Propagation, Style, Styles};
use crate::context::{Priority, SpanContext, TraceContext};
use crate::ids::SpanId;
use std::string::String;

/// The context that these stand for.
#[must_use]
pub fn read(parent: TraceParent, state: &str, is_remote: bool) -> TraceContext {
    let read = w3c().extract(&Headers { parent, state }, &mut NoBaggage).context;
    TraceContext { is_remote, ..read.unwrap_or_default() }
}

/// The `tracestate` of a context, with Datadog's member unless that would only repeat the flags; empty where there is
/// nothing to say.
#[must_use]
pub fn state_of(context: &TraceContext) -> String {
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
        return String::new();
    }
    let mut state = StateAlone::default();
    // Which span it is does not stand in it, and may not be known yet, but contexts without one are not written.
    let span = SpanContext { span_id: SpanId(u64::MAX), ..context.span };
    let outgoing = Outgoing { span, is_local: false, trace: context, baggage: &NoBaggage };
    let _ = w3c().inject(&outgoing, &mut state);
    state.0
}

fn w3c() -> Propagation {
    let styles: Styles = [Style::TraceContext].into_iter().collect();
    Propagation { inject: styles, extract: styles, ..Propagation::default() }
}

/// The two headers of W3C's form.
struct Headers<'a> {
    parent: TraceParent,
    state: &'a str,
}

impl Carrier for Headers<'_> {
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
