//! What was decided about a trace, and what that leaves in its context.

use super::hash::{random_value_and_threshold, rate_text};
use crate::context::{Bounded, Mechanism, Priority, TraceContext};

/// What was decided about a trace, and by what: leaves its tags on the first span of each chunk.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Decision {
    /// Whether the trace is kept.
    pub priority: Priority,
    /// Who decided it.
    pub mechanism: Mechanism,
    /// The rate of the rule or of the Agent that was applied, 0 to 1: `_dd.rule_psr` or `_dd.agent_psr`, and `_dd.p.ksr`.
    pub rate: Option<f64>,
    /// The limiter's effective rate, 0 to 1, where it was asked: `_dd.limit_psr`.
    pub limit_rate: Option<f64>,
}

impl Decision {
    /// The value of `_dd.p.dm`: a dash and the mechanism.
    #[must_use]
    pub fn decision_maker(&self) -> Bounded<4> {
        let number = self.mechanism.0;
        let digits = [number / 100, number / 10 % 10, number % 10].map(|digit| b'0'.wrapping_add(digit));
        let skipped = if number >= 100 { 0 } else if number >= 10 { 1 } else { 2 };
        let mut text = Bounded::new();
        // A dash and three digits always fit.
        let _ = text.push(b"-");
        let _ = text.push(digits.get(skipped..).unwrap_or_default());
        text
    }

    /// The rate behind `_dd.p.ksr`: with the mechanisms that decide by [`keeps`](super::keeps).
    #[must_use]
    pub fn knuth_rate(&self) -> Option<f64> {
        match self.mechanism {
            Mechanism::AGENT_RATE
            | Mechanism::LOCAL_RULE
            | Mechanism::REMOTE_RULE
            | Mechanism::DYNAMIC_RULE => self.rate,
            _ => None,
        }
    }

    /// Puts the decision into the context of the trace: the priority, `_dd.p.dm`, `_dd.p.ksr`, and OpenTelemetry's member
    /// of the `tracestate`. Anything there of an earlier decision is replaced.
    ///
    /// The decision maker is there on dropped traces, too, as Datadog's Python tracer has it. A tag that finds no room
    /// among the others is left out.
    pub fn apply(&self, trace: &mut TraceContext) {
        trace.span.priority = Some(self.priority);
        let _ = trace.tags.set(b"_dd.p.dm", self.decision_maker().as_bytes());
        match self.knuth_rate() {
            Some(rate) => {
                let _ = trace.tags.set(b"_dd.p.ksr", rate_text(rate).as_bytes());
            }
            None => trace.tags.remove(b"_dd.p.ksr"),
        }
        if !trace.ot.is_empty() {
            remove_threshold(trace);
        } else if let Some(rate) = self.threshold_rate() {
            let (random, threshold) =
                random_value_and_threshold(trace.span.trace_id, rate, self.priority.keeps());
            let end = threshold.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last.saturating_add(1));
            for part in [b"rv:", &random[..], b";th:", threshold.get(..end).unwrap_or_default()] {
                // The member is empty, and has room for 256 bytes.
                let _ = trace.ot.push(part);
            }
        }
    }

    /// The probability with which such a trace was kept, where that is known.
    fn threshold_rate(&self) -> Option<f64> {
        if self.mechanism == Mechanism::DEFAULT {
            return Some(1.0);
        }
        let refused_by_limiter = self.limit_rate.is_some() && !self.priority.keeps();
        self.knuth_rate().filter(|rate| *rate > 0.0 && !refused_by_limiter)
    }
}

/// The threshold of somebody else's decision is no longer true; all else in the member is.
fn remove_threshold(trace: &mut TraceContext) {
    let before = trace.ot.clone();
    trace.ot.clear();
    for part in before.as_bytes().split(|byte| *byte == b';').filter(|part| !part.starts_with(b"th:")) {
        // It was there before.
        if !trace.ot.is_empty() {
            let _ = trace.ot.push(b";");
        }
        let _ = trace.ot.push(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::SpanContext;
    use crate::ids::{SpanId, TraceId};

    fn context() -> TraceContext {
        let span = SpanContext { trace_id: TraceId(1), span_id: SpanId(7), priority: None, flags: 0 };
        TraceContext { span, ..TraceContext::default() }
    }

    fn decision(priority: Priority, mechanism: Mechanism, rate: Option<f64>, limit_rate: Option<f64>) -> Decision {
        Decision { priority, mechanism, rate, limit_rate }
    }

    #[test]
    fn each_decision_leaves_its_tags() {
        use Mechanism as By;
        const OF_ONE: &str = "rv:f0948a54d43b8e;th:";
        for (decision, tags, ot) in [
            (decision(Priority::AUTO_KEEP, By::DEFAULT, None, None), "_dd.p.dm=-0", Some("0")),
            (decision(Priority::AUTO_KEEP, By::AGENT_RATE, Some(0.5), None), "_dd.p.dm=-1,_dd.p.ksr=0.5", Some("8")),
            (decision(Priority::AUTO_REJECT, By::AGENT_RATE, Some(0.0), None), "_dd.p.dm=-1,_dd.p.ksr=0", None),
            (
                decision(Priority::USER_KEEP, By::LOCAL_RULE, Some(1.0), Some(1.0)),
                "_dd.p.dm=-3,_dd.p.ksr=1",
                Some("0"),
            ),
            (
                decision(Priority::USER_KEEP, By::LOCAL_RULE, Some(0.1), Some(0.5)),
                "_dd.p.dm=-3,_dd.p.ksr=0.1",
                Some("e6666666666668"),
            ),
            // The limiter's refusal is no matter of probability.
            (decision(Priority::USER_REJECT, By::LOCAL_RULE, Some(1.0), Some(0.2)), "_dd.p.dm=-3,_dd.p.ksr=1", None),
            // OpenTelemetry's own arithmetic.
            (decision(Priority::USER_KEEP, By::LOCAL_RULE, None, None), "_dd.p.dm=-3", None),
            (decision(Priority::USER_KEEP, By::MANUAL, None, None), "_dd.p.dm=-4", None),
            (decision(Priority::USER_REJECT, By::MANUAL, None, None), "_dd.p.dm=-4", None),
            (
                decision(Priority::USER_KEEP, By::REMOTE_RULE, Some(0.25), Some(1.0)),
                "_dd.p.dm=-11,_dd.p.ksr=0.25",
                Some("c"),
            ),
            (
                decision(Priority::USER_KEEP, By::DYNAMIC_RULE, Some(0.5), Some(1.0)),
                "_dd.p.dm=-12,_dd.p.ksr=0.5",
                Some("8"),
            ),
            // Of other products; they have no rate, even where one is given.
            (decision(Priority::USER_KEEP, Mechanism(5), Some(0.5), None), "_dd.p.dm=-5", None),
            (decision(Priority::USER_KEEP, Mechanism(255), None, None), "_dd.p.dm=-255", None),
        ] {
            let mut trace = context();
            decision.apply(&mut trace);
            assert_eq!(trace.span.priority, Some(decision.priority));
            assert_eq!(core::str::from_utf8(trace.tags.as_bytes()), Ok(tags));
            let ot = ot.map_or_else(std::string::String::new, |threshold| std::format!("{OF_ONE}{threshold}"));
            assert_eq!(trace.ot.as_str(), ot, "{decision:?}");
        }
    }

    #[test]
    fn what_another_decision_left_is_replaced() {
        for (inherited, left) in [
            ("rv:1234567890abcd", "rv:1234567890abcd"),
            ("rv:65cd67504a538e;th:e6666666666668", "rv:65cd67504a538e"),
            ("rv:65cd67504a538e;th:8;foo:bar", "rv:65cd67504a538e;foo:bar"),
            ("th:8", ""),
            ("foo:th:8", "foo:th:8"),
        ] {
            let mut trace = context();
            trace.ot.set(inherited.as_bytes()).unwrap();
            trace.tags.set(b"_dd.p.ksr", b"0.1").unwrap();
            trace.tags.set(b"_dd.p.dm", b"-1").unwrap();
            trace.tags.set(b"_dd.p.usr.id", b"7").unwrap();
            decision(Priority::USER_KEEP, Mechanism::MANUAL, None, None).apply(&mut trace);
            assert_eq!(trace.tags.as_bytes(), b"_dd.p.dm=-4,_dd.p.usr.id=7");
            assert_eq!(trace.ot.as_str(), left, "{inherited}");
        }
    }

    #[test]
    fn tags_without_room_are_left_out_and_the_priority_stands() {
        let mut trace = context();
        let long = [b'x'; crate::context::MAX_TAGS - "_dd.p.a=".len()];
        trace.tags.set(b"_dd.p.a", &long).unwrap();
        decision(Priority::USER_KEEP, Mechanism::LOCAL_RULE, Some(0.5), Some(1.0)).apply(&mut trace);
        assert_eq!(trace.span.priority, Some(Priority::USER_KEEP));
        assert_eq!(trace.tags.get(b"_dd.p.a").map(<[u8]>::len), Some(long.len()));
        assert_eq!(trace.tags.get(b"_dd.p.dm"), None);
    }
}
