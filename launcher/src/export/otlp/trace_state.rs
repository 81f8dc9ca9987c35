//! The `tracestate` of exported spans: what came in, and OpenTelemetry's member for what was decided in this process, from
//! which receivers see how many traces each span stands for. Datadog's own tags are not sent over OTLP, and neither is its
//! member for them.

use ddtrace::context::{Mechanism, Priority, SpanContext, TraceContext};
use ddtrace::sampling::Decision;
use ddtrace::span::{Span, TraceChunk};
use std::iter;

/// What the spans of a chunk have in common.
pub struct ChunkState<'a> {
    /// What came in with the local root.
    incoming: &'a str,
    has_root: bool,
    /// `ot=…`, or empty.
    own: String,
}

impl<'a> ChunkState<'a> {
    /// Of a chunk, by what it says of its trace.
    pub fn of(chunk: &'a TraceChunk) -> ChunkState<'a> {
        let root = chunk.spans.first().filter(|_| chunk.has_local_root);
        let incoming = root.map_or("", |root| root.trace_state.as_str());
        ChunkState { incoming, has_root: root.is_some(), own: own_member(chunk, root).unwrap_or_default() }
    }

    /// For one of the spans.
    pub fn for_span(&self, span: &Span) -> String {
        let incoming = if span.trace_state.is_empty() { self.incoming } else { &span.trace_state };
        let is_rate = |member: &&str| member.trim_start().starts_with("ot=");
        // The local root knows best: what came in may have been overruled after another span began with it.
        let from = if self.has_root { self.incoming } else { incoming };
        let rate = from.split(',').find(is_rate).unwrap_or(&self.own);
        let others = incoming.split(',').filter(|member| !is_rate(member));
        let members: Vec<&str> = iter::once(rate).chain(others).filter(|member| !member.is_empty()).collect();
        members.join(",")
    }
}

/// The member of a decision that was taken here; of one that came in nothing is known but its outcome.
fn own_member(chunk: &TraceChunk, root: Option<&Span>) -> Option<String> {
    let mechanism = Mechanism(chunk.decision_maker.strip_prefix('-')?.parse().ok()?);
    let rate = chunk.agent_rate.or(chunk.rule_rate);
    let begins_here = root.is_some_and(|root| !root.parent_is_remote);
    if rate.is_none() && !(mechanism == Mechanism::DEFAULT && begins_here) {
        return None;
    }
    let decision =
        Decision { priority: Priority(chunk.sampling_priority), mechanism, rate, limit_rate: chunk.limit_rate };
    let trace_id = chunk.spans.first()?.trace_id;
    let span = SpanContext { trace_id, ..SpanContext::default() };
    let mut context = TraceContext { span, ..TraceContext::default() };
    decision.apply(&mut context);
    (!context.ot.is_empty()).then(|| format!("ot={}", context.ot.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{chunk, resource, span};

    fn states(edit: impl FnOnce(&mut TraceChunk)) -> Vec<String> {
        let mut chunk = chunk(resource("shop"), vec![span(1), span(2)]);
        chunk.has_local_root = true;
        edit(&mut chunk);
        let state = ChunkState::of(&chunk);
        chunk.spans.iter().map(|span| state.for_span(span)).collect()
    }

    #[test]
    fn a_decision_of_this_process_is_told_in_opentelemetrys_words() {
        let by_rule = states(|chunk| {
            chunk.decision_maker = "-3".into();
            chunk.rule_rate = Some(0.5);
        });
        assert!(by_rule[0].starts_with("ot=rv:") && by_rule[0].ends_with(";th:8"), "{by_rule:?}");
        assert_eq!(by_rule[0], by_rule[1]);
        let default = states(|chunk| chunk.decision_maker = "-0".into());
        assert!(default[0].ends_with(";th:0"), "{default:?}");
        assert_eq!(states(|chunk| chunk.decision_maker = "-4".into()), ["", ""], "nobody knows of how many");
    }

    #[test]
    fn what_came_in_goes_on_and_stands() {
        let incoming = states(|chunk| {
            chunk.decision_maker = "-0".into();
            chunk.spans[0].parent_is_remote = true;
            chunk.spans[0].trace_state = "ot=th:8,foo=1".into();
        });
        assert_eq!(incoming, ["ot=th:8,foo=1", "ot=th:8,foo=1"]);
        let overruled = states(|chunk| {
            chunk.decision_maker = "-4".into();
            chunk.spans[0].trace_state = "ot=rv:1,foo=1".into();
            // It began before that.
            chunk.spans[1].trace_state = "ot=rv:1;th:8,foo=1".into();
        });
        assert_eq!(overruled, ["ot=rv:1,foo=1", "ot=rv:1,foo=1"]);
        let decided = states(|chunk| {
            chunk.decision_maker = "-3".into();
            chunk.rule_rate = Some(1.0);
            chunk.spans[0].trace_state = "foo=1".into();
        });
        assert!(decided[0].starts_with("ot=rv:") && decided[0].ends_with(";th:0,foo=1"), "{decided:?}");
    }
}
