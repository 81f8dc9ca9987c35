//! Sampling.

use crate::{any, bytes, probes, used};
use ddtrace::context::{Mechanism, Priority, TraceContext};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::sampling::{
    self, AgentRates, Base, Decision, HandedOn, Limiter, NoRates, Pairs, RuleSet, RuleSpan, Sampled, Sampler,
    SpanSampler, TagValue,
};

/// A span of which nothing is known.
struct Unknown;

impl Sampled for Unknown {
    fn service(&self) -> &[u8] {
        bytes()
    }
    fn name(&self) -> &[u8] {
        bytes()
    }
    fn resource(&self) -> &[u8] {
        bytes()
    }
    fn tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        used(name);
        let value = any(0u8);
        any(Some(match value {
            0 => TagValue::Text(bytes()),
            1 => TagValue::Integer(any(0)),
            2 => TagValue::Float(any(0.0)),
            _ => TagValue::Bool(any(false)),
        }))
    }
    fn main_service(&self) -> &[u8] {
        bytes()
    }
    fn shared_tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        self.tag(name)
    }
}

/// Rates that may be anything.
struct AnyRates;

impl AgentRates for AnyRates {
    fn rate(&self, _service: &[u8], _env: &[u8]) -> Option<f64> {
        any(Some(0.0))
    }
}

probes! {
    rates {
        used((sampling::keeps(any(TraceId(0)), any(0.0)), sampling::keeps_span(any(SpanId(0)), any(0.0))));
        used(sampling::keeps_ratio(any(TraceId(0)), any(0.0)));
        used(sampling::rate_text(any(0.0)));
    }

    limiter {
        used(any(Limiter::new(any(0))).allow(any(0)));
        used(any(Limiter::with_rate(any(0.0))).allow(any(0)));
    }

    rules {
        let mut room = [RuleSpan::EMPTY; 4];
        used(RuleSet::room_for(bytes()));
        let rules = RuleSet::from_compact(bytes(), any(&mut room[..]));
        used((rules.len(), rules.is_empty(), rules.get(any(0)), rules.find(&Unknown)));
        used(HandedOn::parse(bytes()));
    }

    sampler {
        let mut room = [RuleSpan::EMPTY; 4];
        let rules = RuleSet::from_compact(bytes(), any(&mut room[..]));
        let two = [const { Limiter::new(1) }; 2];
        let limiters = any(&two[..]);
        let limiter = any(Limiter::new(1));
        let base = if any(false) { Base::Agent } else if any(false) { Base::Rate(any(0.0)) } else { Base::Ratio(any(0.0)) };
        let service_names = Pairs::of_text(bytes());
        used((service_names.get(bytes()), service_names.is_empty(), service_names.as_text()));
        let sampler = Sampler { rules, rule_limiters: limiters, limiter: &limiter, base, respects_parent: any(true), service_names };
        used(Sampler::decide(&sampler, any(TraceId(0)), &Unknown, bytes(), &AnyRates, any(0)));
        used(Sampler::decide(&sampler, any(TraceId(0)), &Unknown, bytes(), &NoRates, any(0)));
        used(Sampler::manual(any(true)));
        let spans = SpanSampler { rules, service_names };
        used(SpanSampler::decide(&spans, any(SpanId(0)), &Unknown, limiters, any(0)));
    }

    decision {
        let decision = Decision {
            priority: any(Priority(0)),
            mechanism: any(Mechanism(0)),
            rate: any(Some(0.0)),
            limit_rate: any(Some(0.0)),
        };
        used((decision.decision_maker(), decision.knuth_rate()));
        let mut context = any(TraceContext::default());
        decision.apply(&mut context);
        used(&context);
    }
}
