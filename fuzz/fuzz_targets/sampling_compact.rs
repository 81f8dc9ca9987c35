//! Sampling settings as the tracer inside of a program finds them in its environment.
#![no_main]

use ddtrace::context::TraceContext;
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::sampling::{HandedOn, Limiter, NoRates, Pairs, RuleSet, RuleSpan, Sampler, SpanSampler};
use ddtrace_fuzz::AnySpan;
use libfuzzer_sys::fuzz_target;

// The first byte is how many rules there is room for. What stands before the first line end is the span that the rules
// see; the rest are the settings, or, where they are none, rules.
fuzz_target!(|data: &[u8]| {
    let Some((room, data)) = data.split_first() else { return };
    let (span, text) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    let text = text.strip_prefix(b"\n").unwrap_or(text);
    let span = AnySpan(span);
    let settings = HandedOn::parse(text);
    let rules = settings.map_or(text, |settings| settings.rules);
    let mut room = vec![RuleSpan::EMPTY; usize::from(*room)];
    let most = room.len().min(RuleSet::room_for(rules));
    let rules = RuleSet::from_compact(rules, &mut room);
    assert!(rules.len() <= most, "more rules than there is room for");
    let limiters: Vec<Limiter> = (0..rules.len() as i64).map(Limiter::new).collect();
    let limiter = Limiter::new(settings.map_or(1, |settings| settings.rate_limit));
    let service_names = settings.map_or(Pairs::of_text(text), |settings| settings.service_names);
    let sampler = Sampler {
        rules,
        rule_limiters: &limiters,
        limiter: &limiter,
        base: settings.map_or_else(Default::default, |settings| settings.base),
        respects_parent: true,
        service_names,
    };
    for now in [0, 1, u64::MAX] {
        let decision = sampler.decide(TraceId(u128::from(now)), &span, b"", &NoRates, now);
        for rate in [decision.rate, decision.limit_rate].into_iter().flatten() {
            assert!((0.0..=1.0).contains(&rate), "{decision:?}");
        }
        let mut context = TraceContext::default();
        decision.apply(&mut context);
        assert_eq!(context.span.priority, Some(decision.priority));
        let _ = SpanSampler { rules, service_names }.decide(SpanId(now), &span, &limiters, now);
    }
});
