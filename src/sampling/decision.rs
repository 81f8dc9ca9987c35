//! What was decided about a trace, and what that leaves in its context.

use super::hash::{random_value, rate_text, threshold};
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
        } else if let (Some(rate), false) = (self.threshold_rate(), trace.is_remote) {
            let threshold = threshold(rate);
            let end = threshold.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last.saturating_add(1));
            let parts =
                [b"rv:", &random_value(trace.span.trace_id)[..], b";th:", threshold.get(..end).unwrap_or_default()];
            for part in parts {
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
