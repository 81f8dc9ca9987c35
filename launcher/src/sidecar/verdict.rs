//! Whether a trace is kept, by whom that was decided, and what it carries: what its local root says, or what is decided
//! here.

use std::borrow::Cow;
use std::sync::Arc;

use ddtrace::context::{Mechanism, TraceTags};
use ddtrace::ids::SpanId;
use ddtrace::record::FieldValue;
use ddtrace::sampling::Decision;
use ddtrace::semconv::Key;
use ddtrace::span::{Resource, Span, TraceChunk};

/// What is known about a trace in a process besides its spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// The sampling priority; `None` while nobody has decided.
    pub priority: Option<i32>,
    decision_maker: Cow<'static, str>,
    rule_rate: Option<f64>,
    limit_rate: Option<f64>,
    agent_rate: Option<f64>,
    tags: Vec<(String, String)>,
    origin: String,
    last_parent: Option<SpanId>,
    error: Option<String>,
}

impl Verdict {
    /// Takes a field of a local root's record in, if it is about its trace.
    pub fn take(&mut self, key: Key, value: &FieldValue<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match (key, value) {
            // It is said first, and then what belongs to it: a rule's rate is none of a decision by hand that came later.
            (Key::SamplingPriority, FieldValue::Integer(priority)) => {
                (self.rule_rate, self.limit_rate, self.agent_rate) = (None, None, None);
                self.priority = Some((*priority).clamp(i32::MIN.into(), i32::MAX.into()) as i32);
            }
            (Key::RuleRate, FieldValue::Float(rate)) => self.rule_rate = Some(*rate),
            (Key::LimitRate, FieldValue::Float(rate)) => self.limit_rate = Some(*rate),
            (Key::AgentRate, FieldValue::Float(rate)) => self.agent_rate = Some(*rate),
            (Key::TraceTags, FieldValue::Text(tags)) => self.take_tags(tags),
            (Key::Origin, FieldValue::Text(origin)) => self.origin = text(origin),
            (Key::LastParent, FieldValue::Text(parent)) => self.last_parent = SpanId::from_hex(parent),
            (Key::PropagationError, FieldValue::Text(error)) => self.error = Some(text(error)),
            _ => {}
        }
    }

    /// `name=value` with commas between; later words replace all earlier ones.
    fn take_tags(&mut self, tags: &[u8]) {
        self.tags.clear();
        self.decision_maker = Cow::Borrowed("");
        for tag in String::from_utf8_lossy(tags).split(',') {
            match tag.split_once('=') {
                Some(("_dd.p.dm", value)) => self.decision_maker = mechanism(value),
                Some((name, value)) => {
                    let shown = |text: &str| text.replace(char::from(TraceTags::COMMA), ",");
                    self.tags.push((shown(name), shown(value)));
                }
                None => {}
            }
        }
    }

    /// Takes over a decision.
    pub fn decide(&mut self, decision: &Decision) {
        self.priority = Some(decision.priority.0);
        self.decision_maker = mechanism(decision.decision_maker().as_str());
        self.limit_rate = decision.limit_rate;
        (self.agent_rate, self.rule_rate) =
            if decision.mechanism == Mechanism::AGENT_RATE { (decision.rate, None) } else { (None, decision.rate) };
        self.tags.retain(|(name, _)| name != "_dd.p.ksr");
        if let Some(rate) = decision.knuth_rate() {
            self.tags.push(("_dd.p.ksr".to_owned(), ddtrace::sampling::rate_text(rate).as_str().to_owned()));
        }
    }

    /// Takes over what another local root of the trace says of the decision, which this one is silent about.
    pub fn agree_with(&mut self, other: &Verdict) {
        let (origin, last_parent, error) = (self.origin.clone(), self.last_parent, self.error.clone());
        *self = Verdict { origin, last_parent, error, ..other.clone() };
    }

    /// What another process has of it that the trace was handed on to.
    pub fn handed_on(&self) -> Verdict {
        Verdict { last_parent: None, error: None, ..self.clone() }
    }

    /// Takes over what was decided in a part of the trace that has been sent.
    pub fn follow(&mut self, part: &TraceChunk) {
        self.priority = Some(part.sampling_priority);
        self.decision_maker = part.decision_maker.clone();
        (self.rule_rate, self.limit_rate, self.agent_rate) = (part.rule_rate, part.limit_rate, part.agent_rate);
        self.tags.retain(|(name, _)| name != "_dd.p.ksr");
    }

    /// Whether the trace is kept; what is undecided is.
    pub fn keeps(&self) -> bool {
        self.priority.is_none_or(|priority| priority > 0)
    }

    /// The spans of such a trace, as they are exported.
    pub fn chunk(&self, resource: &Arc<Resource>, spans: Vec<Span>, has_local_root: bool) -> TraceChunk {
        TraceChunk {
            resource: Arc::clone(resource),
            spans,
            sampling_priority: self.priority.unwrap_or(1),
            decision_maker: self.decision_maker.clone(),
            rule_rate: self.rule_rate,
            limit_rate: self.limit_rate,
            agent_rate: self.agent_rate,
            propagated_tags: self.tags.clone(),
            origin: self.origin.clone(),
            propagation_error: self.error.clone(),
            last_parent: self.last_parent,
            baggage_tags: Vec::new(),
            has_local_root,
        }
    }
}

/// A decision maker's text, which need not be kept for each trace where it is one of the usual.
fn mechanism(text: &str) -> Cow<'static, str> {
    const USUAL: [&str; 9] = ["-0", "-1", "-2", "-3", "-4", "-5", "-8", "-11", "-12"];
    let usual = USUAL.into_iter().find(|usual| *usual == text);
    usual.map_or_else(|| Cow::Owned(text.to_owned()), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace::context::Priority;

    #[test]
    fn what_the_local_root_says_is_on_the_chunk() {
        let mut verdict = Verdict::default();
        assert!(verdict.keeps());
        for (key, value) in [
            (Key::SamplingPriority, FieldValue::Integer(-1)),
            (Key::TraceTags, FieldValue::Text(b"_dd.p.dm=-3,_dd.p.ksr=0.5,_dd.p.usr.id=a=b")),
            (Key::RuleRate, FieldValue::Float(0.5)),
            (Key::Origin, FieldValue::Text(b"rum")),
            (Key::LastParent, FieldValue::Text(b"00f067aa0ba902b7")),
            (Key::PropagationError, FieldValue::Text(b"decoding_error")),
            (Key::ExecutablePath, FieldValue::Text(b"/bin/sh")),
        ] {
            verdict.take(key, &value);
        }
        assert!(!verdict.keeps());
        let chunk = verdict.chunk(&Arc::default(), vec![Span::default()], true);
        assert_eq!((chunk.sampling_priority, chunk.decision_maker.as_ref()), (-1, "-3"));
        assert_eq!(chunk.propagated_tags.len(), 2);
        assert_eq!(chunk.propagated_tags[1], ("_dd.p.usr.id".to_owned(), "a=b".to_owned()));
        assert_eq!((chunk.rule_rate, chunk.origin.as_str()), (Some(0.5), "rum"));
        assert_eq!(chunk.last_parent, Some(SpanId(0x00f0_67aa_0ba9_02b7)));
    }

    #[test]
    fn a_later_word_leaves_no_rate_of_an_earlier_one() {
        let mut verdict = Verdict::default();
        for (key, value) in [
            (Key::SamplingPriority, FieldValue::Integer(2)),
            (Key::RuleRate, FieldValue::Float(0.5)),
            (Key::LimitRate, FieldValue::Float(1.0)),
            (Key::SamplingPriority, FieldValue::Integer(-1)),
            (Key::TraceTags, FieldValue::Text(b"_dd.p.dm=-4")),
        ] {
            verdict.take(key, &value);
        }
        let chunk = verdict.chunk(&Arc::default(), Vec::new(), false);
        assert_eq!((chunk.sampling_priority, chunk.decision_maker.as_ref()), (-1, "-4"));
        assert_eq!((chunk.rule_rate, chunk.limit_rate, chunk.agent_rate), (None, None, None));
    }

    #[test]
    fn a_decision_replaces_what_was_there() {
        let mut verdict = Verdict::default();
        verdict.take(Key::TraceTags, &FieldValue::Text(b"_dd.p.usr.id=7"));
        let decision =
            Decision { priority: Priority(0), mechanism: Mechanism::AGENT_RATE, rate: Some(0.25), limit_rate: None };
        verdict.decide(&decision);
        let chunk = verdict.chunk(&Arc::default(), Vec::new(), false);
        assert_eq!((chunk.agent_rate, chunk.rule_rate), (Some(0.25), None));
        assert_eq!((chunk.sampling_priority, chunk.decision_maker.as_ref()), (0, "-1"));
        assert_eq!(chunk.propagated_tags[1], ("_dd.p.ksr".to_owned(), "0.25".to_owned()));
    }
}
