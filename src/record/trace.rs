//! What a local root's records say of its trace: whether it is kept, by whom that was decided, and what came in with it.

use super::{Name, RecordWriter, SpanFields};
use crate::context::{Bounded, MAX_MALFORMED_TID, MAX_OT_MEMBER, MAX_TRACE_STATE, Mechanism, PropagationError, TraceContext, link_flags};
use crate::propagation::{Extracted, Style};
use crate::sampling::Decision;
use crate::semconv::Key;

impl RecordWriter {
    /// Whether the trace is kept, if that is decided, and the tags it carries; `decision` is how, where this process
    /// decided: then what the `tracestate` says of a rate is told as well. Later words replace earlier ones.
    pub fn verdict(&mut self, context: &TraceContext, decision: Option<&Decision>) {
        if let Some(priority) = context.span.priority {
            self.integer(Key::SamplingPriority, priority.0.into());
        }
        if !context.tags.is_empty() {
            self.text(Key::TraceTags, context.tags.as_bytes());
        }
        if let Some(decision) = decision {
            // What came in of the rate of others may not be true any more.
            if context.is_remote {
                self.trace_state(context);
            }
            let key = if decision.mechanism == Mechanism::AGENT_RATE { Key::AgentRate } else { Key::RuleRate };
            if let Some(rate) = decision.rate {
                self.float(key, rate);
            }
            if let Some(rate) = decision.limit_rate {
                self.float(Key::LimitRate, rate);
            }
        }
    }

    /// The `tracestate` of the trace without Datadog's member.
    pub fn trace_state(&mut self, context: &TraceContext) {
        let mut state = Bounded::<{ 4 + MAX_OT_MEMBER + MAX_TRACE_STATE }>::new();
        let comma: &[u8] = if context.trace_state.is_empty() { b"" } else { b"," };
        // All of it fits by its size.
        if !context.ot.is_empty() {
            let _ = state.push(b"ot=").and(state.push(context.ot.as_bytes())).and(state.push(comma));
        }
        let _ = state.push(context.trace_state.as_bytes());
        if !state.is_empty() {
            self.text(Key::TraceState, state.as_bytes());
        }
    }

    /// What came in with the context of a trace and is not a part of the verdict.
    pub fn incoming(&mut self, context: &TraceContext) {
        if !context.origin.is_empty() {
            self.text(Key::Origin, context.origin.as_bytes());
        }
        if context.last_parent.is_valid() {
            self.text(Key::LastParent, &context.last_parent.to_hex());
        }
        if let Some(error) = context.error {
            self.propagation_error(error);
        }
    }

    /// Links to the spans of other traces that were handed in and are not continued.
    pub fn terminated_links(&mut self, extracted: &Extracted) {
        for link in extracted.links.iter().flatten() {
            let state = match link.style {
                Style::TraceContext => extracted.link_trace_state.as_bytes(),
                _ => &[],
            };
            self.link(link.span.trace_id, link.span.span_id, link_flags(link.span.flags, true), state, |attributes| {
                attributes.attribute_text(Name(b"reason"), link.reason.as_bytes());
                attributes.attribute_text(Name(b"context_headers"), link.style.name().as_bytes());
            });
        }
    }

    /// What of a context could not be read or written: the value of `_dd.propagation_error`.
    pub fn propagation_error(&mut self, error: PropagationError) {
        // The longest name and a blank are 17 bytes.
        let mut text = [b' '; MAX_MALFORMED_TID + 24];
        let name = error.name().as_bytes();
        let tid = match &error {
            PropagationError::MalformedTid(tid) => tid.split(|byte| *byte == 0).next().unwrap_or_default(),
            _ => &[],
        };
        let gap: &[u8] = if tid.is_empty() { b"" } else { b" " };
        let parts = name.iter().chain(gap).chain(tid);
        let mut length = 0usize;
        for (to, from) in text.iter_mut().zip(parts) {
            *to = *from;
            length = length.wrapping_add(1);
        }
        self.text(Key::PropagationError, text.get(..length).unwrap_or_default());
    }
}
