//! Rules, samplers, and what a configuration comes to.

use super::rules::{OwnedRules, parse_json, parse_span_json};
use super::*;
use crate::context::{Mechanism, Priority};
use crate::ids::{SpanId, TraceId};
use proptest::prelude::*;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 1_000 * SECOND;
/// Their `rv` are f0948a…, 65cd67… and 0028d9…: kept from about 0.06, 0.61 and 0.9994 on.
const EARLY: TraceId = TraceId(1);
const MIDDLE: TraceId = TraceId(10);
const LATE: TraceId = TraceId(83);

/// A span of a test.
#[derive(Clone, Copy)]
struct Span<'a> {
    service: &'a str,
    name: &'a str,
    resource: &'a str,
    tags: &'a [(&'a str, TagValue<'a>)],
}

impl Sampled for Span<'_> {
    fn service(&self) -> &[u8] {
        self.service.as_bytes()
    }
    fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }
    fn resource(&self) -> &[u8] {
        self.resource.as_bytes()
    }
    fn tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        self.tags.iter().find(|(present, _)| present.as_bytes() == name).map(|(_, value)| *value)
    }
}

const SHOP: Span<'_> = Span { service: "shop", name: "web.request", resource: "GET /orders/17", tags: &[] };

fn rules(json: &str) -> OwnedRules {
    let (rules, warnings) = parse_json(json);
    assert_eq!(warnings, Vec::<String>::new(), "{json}");
    rules
}

/// The rate of the rule that matches.
fn found(rules: &OwnedRules, span: &Span<'_>) -> Option<f64> {
    rules.as_set().find(span).map(|rule| rule.rate)
}

#[test]
fn a_rule_matches_by_all_of_its_conditions() {
    for (conditions, matches) in [
        (r#""#, true),
        (r#","service":"shop""#, true),
        (r#","service":"SHOP""#, true),
        (r#","service":"sh?p","name":"web.*","resource":"*/orders/*""#, true),
        (r#","service":null,"tags":null,"max_per_second":null,"provenance":null"#, true),
        (r#","service":"cart""#, false),
        (r#","service":"shop","name":"db.query""#, false),
        (r#","service":"shop","resource":"GET /orders""#, false),
        (r#","tags":{}"#, true),
        (r#","tags":{"user":"*"}"#, false),
    ] {
        let json = format!(r#"[{{"sample_rate":0.5{conditions}}}]"#);
        assert_eq!(found(&rules(&json), &SHOP), matches.then_some(0.5), "{json}");
    }
}

#[test]
fn tags_of_all_types_are_matched_by_globs() {
    use TagValue::{Bool, Float, Integer, Text};
    for (value, yes, no) in [
        (Text(b"200"), &["200", "2??", "*"][..], &["20", "200.0"][..]),
        (Text(b""), &["*", ""], &["?"]),
        (Integer(200), &["200", "2*", "???", "*"], &["20", "0200"]),
        (Integer(-5), &["-5", "-*"], &["5"]),
        (Integer(0), &["0"], &["", "-0"]),
        (Integer(i64::MIN), &["-9223372036854775808"], &["9223372036854775808"]),
        (Float(200.0), &["200", "2*"], &["200.0"]),
        (Float(-0.0), &["0"], &["-0"]),
        // Only wildcards: every language writes fractions in a way of its own.
        (Float(0.5), &["*", "?", "*?*"], &["0.5", "0*", ""]),
        (Float(1e300), &["*"], &["1*"]),
        // These are sent as texts.
        (Float(f64::NAN), &["*", "nan", "NaN"], &["0"]),
        (Float(f64::INFINITY), &["*", "inf*"], &["-inf", "9223372036854775807"]),
        (Float(f64::NEG_INFINITY), &["-inf"], &["inf"]),
        (Bool(true), &["true", "True", "t*"], &["1"]),
        (Bool(false), &["false", "*"], &["true"]),
    ] {
        let tags = [("t", value)];
        let span = Span { tags: &tags, ..SHOP };
        let matches = |glob: &str| found(&rules(&format!(r#"[{{"sample_rate":1,"tags":{{"t":"{glob}"}}}}]"#)), &span);
        assert!(yes.iter().all(|glob| matches(glob).is_some()), "{value:?} {yes:?}");
        assert!(no.iter().all(|glob| matches(glob).is_none()), "{value:?} {no:?}");
    }
    let both = rules(r#"[{"sample_rate":1,"tags":{"a":"1*","b":2}}]"#);
    let (a, b) = (("a", Text(b"12")), ("b", Integer(2)));
    assert_eq!(found(&both, &Span { tags: &[a, b], ..SHOP }), Some(1.0));
    assert_eq!(found(&both, &Span { tags: &[a], ..SHOP }), None);
    assert_eq!(found(&both, &Span { tags: &[a, ("b", Integer(3))], ..SHOP }), None);
    assert_eq!(found(&both, &Span { tags: &[a, ("B", Integer(2))], ..SHOP }), None, "names are exact");
}

#[test]
fn the_first_match_wins_and_who_made_the_rules_comes_before_their_order() {
    let rules = rules(
        r#"[{"sample_rate":0.1,"service":"nobody"},
            {"sample_rate":0.2,"service":"shop"},
            {"sample_rate":0.3,"service":"shop","provenance":"dynamic"},
            {"sample_rate":0.4,"service":"shop","provenance":"dynamic"},
            {"sample_rate":0.5,"service":"cart","provenance":"customer","max_per_second":7},
            {"sample_rate":0.6,"provenance":"default"}]"#,
    );
    let set = rules.as_set();
    let order: Vec<f64> = (0..set.len()).filter_map(|index| set.get(index)).map(|rule| rule.rate).collect();
    assert_eq!(order, [0.5, 0.3, 0.4, 0.1, 0.2, 0.6]);
    let find = |service| set.find(&Span { service, ..SHOP }).map(|rule| (rule.index, rule.mechanism, rule.max_per_second));
    assert_eq!(find("shop"), Some((1, Mechanism::DYNAMIC_RULE, None)));
    assert_eq!(find("cart"), Some((0, Mechanism::REMOTE_RULE, Some(7.0))));
    assert_eq!(find("other"), Some((5, Mechanism::LOCAL_RULE, None)));
}

#[test]
fn mistakes_are_told_and_what_can_be_used_is() {
    // JSON, rules that are used, what the warning says
    for (json, used, told) in [
        ("", 0, ""),
        ("  ", 0, ""),
        ("[]", 0, ""),
        ("{", 0, "is not JSON (EOF while parsing an object at line 1 column 1); going on without rules"),
        ("[{]", 0, "is not JSON (key must be a string at line 1 column 3); going on without rules"),
        ("{}", 0, "is an object, but must be a JSON list of rules; going on without rules"),
        ("0.5", 0, "is a number, but must be a JSON list of rules; going on without rules"),
        (r#""[]""#, 0, "is text, but must be a JSON list of rules; going on without rules"),
        ("[0.5]", 0, "rule 1 is a number, but must be an object; going on without it"),
        ("[{}]", 0, "rule 1 has no sample_rate; going on without it"),
        (
            r#"[{"sample_rate":"half"},{"sample_rate":1}]"#,
            1,
            "rule 1 has a sample_rate that is text, but must be a number; going on without it",
        ),
        (r#"[{"sample_rate":1.5}]"#, 1, "rule 1 has the sample_rate 1.5, which is not between 0 and 1; using 1"),
        (r#"[{"sample_rate":-2}]"#, 1, "rule 1 has the sample_rate -2, which is not between 0 and 1; using 0"),
        (
            r#"[{"sample_rate":1},{"sample_rate":1,"sevice":"x"}]"#,
            2,
            "rule 2 has \"sevice\", which is none of sample_rate, service, name, resource, tags, provenance, \
             max_per_second; going on without that",
        ),
        (
            r#"[{"sample_rate":1,"service":["a"]}]"#,
            0,
            "rule 1 has a service that is a list, but must be text; going on without it",
        ),
        (
            r#"[{"sample_rate":1,"name":7}]"#,
            0,
            "rule 1 has a name that is a number, but must be text; going on without it",
        ),
        (
            r#"[{"sample_rate":1,"resource":"a\u001eb"}]"#,
            0,
            "rule 1 has a control character in resource; going on without it",
        ),
        (
            r#"[{"sample_rate":1,"tags":["a"]}]"#,
            0,
            "rule 1 has tags that are a list, but must be an object; going on without it",
        ),
        (
            r#"[{"sample_rate":1,"tags":{"a":null}}]"#,
            0,
            "rule 1 has null for the tag \"a\", but that must be text; going on without it",
        ),
        (
            r#"[{"sample_rate":1,"tags":{"a\u001d":"b"}}]"#,
            0,
            "rule 1 has a control character in the tag \"a\\u{1d}\"; going on without it",
        ),
        (
            r#"[{"sample_rate":1,"provenance":"me"}]"#,
            1,
            "rule 1 has the provenance \"me\", which is none of customer, dynamic, default; using default",
        ),
        (
            r#"[{"sample_rate":1,"max_per_second":"5"}]"#,
            1,
            "rule 1 has a max_per_second that is text, but must be a number; going on without a limit",
        ),
    ] {
        let (rules, warnings) = parse_json(json);
        assert_eq!(rules.as_set().len(), used, "{json}");
        assert_eq!(warnings.join("\n"), told, "{json}");
    }
}

#[test]
fn rules_for_single_spans_need_a_service_or_a_name() {
    for (json, used, told) in [
        (r#"[{"service":"shop"},{"name":"web.*","sample_rate":0.5,"max_per_second":2}]"#, 2, ""),
        (r#"[{"sample_rate":0.5}]"#, 0, "rule 1 has neither service nor name; going on without it"),
        (
            r#"[{"name":"*","resource":"x"}]"#,
            1,
            "rule 1 has \"resource\", which is none of sample_rate, service, name, max_per_second; going on without that",
        ),
    ] {
        let (rules, warnings) = parse_span_json(json);
        assert_eq!(rules.as_set().len(), used, "{json}");
        assert_eq!(warnings.join("\n"), told, "{json}");
    }
}

#[test]
fn rules_without_end_are_cut_at_a_whole_one() {
    let one = format!(r#"{{"sample_rate":0.5,"service":"{}"}}"#, "x".repeat(1000));
    let (rules, warnings) = parse_json(&format!("[{}]", vec![one; 65].join(",")));
    assert_eq!(rules.as_set().len(), 63);
    assert_eq!(warnings, ["the rules are longer than 64 KiB together; going on without rule 64, 65"]);
}

/// Any JSON that could be a rule.
fn any_rule() -> impl Strategy<Value = String> {
    let glob = "[a-cA-C*?é ]{0,6}";
    let tags = prop::collection::vec(("[ab]{0,2}", glob), 0..3);
    (0.0..=1.0f64, glob, glob, glob, tags, 0..4u8, prop::option::of(0.0..200.0f64)).prop_map(
        |(rate, service, name, resource, tags, provenance, limit)| {
            let tags: serde_json::Map<String, serde_json::Value> =
                tags.into_iter().map(|(name, glob)| (name, glob.into())).collect();
            let provenance = ["customer", "dynamic", "default", "default"][usize::from(provenance)];
            serde_json::json!({"sample_rate": rate, "service": service, "name": name, "resource": resource,
                "tags": tags, "provenance": provenance, "max_per_second": limit})
            .to_string()
        },
    )
}

proptest! {
    #[test]
    fn the_compact_form_carries_everything(all in prop::collection::vec(any_rule(), 0..6), service in "[a-cé]{0,4}") {
        let rules = rules(&format!("[{}]", all.join(",")));
        let text = rules.to_compact();
        prop_assert!(!text.contains('\0'));
        let mut room = [RuleSpan::EMPTY; 6];
        let set = RuleSet::from_compact(text.as_bytes(), &mut room);
        prop_assert_eq!(set, rules.as_set());
        prop_assert_eq!(set.len(), all.len());
        prop_assert_eq!(RuleSet::room_for(text.as_bytes()), all.len());
        let tags = [("a", TagValue::Text(b"ab")), ("b", TagValue::Integer(1))];
        let span = Span { service: &service, name: "abc", resource: "a b", tags: &tags };
        prop_assert_eq!(set.find(&span), rules.as_set().find(&span));
    }

    #[test]
    fn no_json_and_no_text_is_any_harm(text in "\\PC{0,60}|\\[(\\{\"(sample_rate|service|tags)\":(0|1.5|\"a\"|\\{\\})\\},?){0,4}\\]", bytes: Vec<u8>, room in 0..4usize) {
        let _ = (parse_json(&text), parse_span_json(&text));
        let mut room = vec![RuleSpan::EMPTY; room];
        let _ = RuleSet::from_compact(&bytes, &mut room).find(&SHOP);
        let _ = HandedOn::parse(&bytes);
    }
}

#[test]
fn the_settings_are_handed_on_whole() {
    for base in [Base::Agent, Base::Rate(0.25), Base::Ratio(1.0)] {
        for (rate_limit, respects_parent) in [(100, true), (-1, false), (0, true), (i64::MIN, false)] {
            for json in ["[]", r#"[{"sample_rate":0.5,"service":"shop"},{"sample_rate":0.1,"tags":{"a":"b","c":"d"}}]"#] {
                let span_rules = parse_span_json(r#"[{"name":"x"}]"#).0;
                let service_names = String::from("shop\u{1d}store");
                let config = SamplingConfig { rules: rules(json), rate_limit, base, respects_parent, span_rules, service_names };
                let text = config.to_compact();
                let read = HandedOn::parse(text.as_bytes()).unwrap();
                assert_eq!((read.base, read.rate_limit, read.respects_parent), (base, rate_limit, respects_parent));
                let mut room = [RuleSpan::EMPTY; 4];
                assert_eq!(RuleSet::from_compact(read.rules, &mut room), config.rules.as_set());
                assert_eq!(read.service_names.get(b"shop"), Some(&b"store"[..]));
                assert_eq!(read.span_rules, config.span_rules.to_compact().as_bytes());
                assert_eq!(SamplingConfig::from_compact(&text).as_ref(), Some(&config));
                for (position, _) in text.match_indices('\u{1c}') {
                    assert_eq!(HandedOn::parse(&text.as_bytes()[..position]), None, "cut");
                }
            }
        }
    }
}

/// What a sampler of these settings decides about the ids.
fn decided(config: SamplingConfig, ids: &[TraceId], rates: &dyn AgentRates) -> Vec<Decision> {
    let owned = OwnedSampler::new(config);
    ids.iter().map(|id| owned.sampler().decide(*id, &SHOP, b"prod", rates, NOW)).collect()
}

fn decision(priority: i32, mechanism: Mechanism, rate: Option<f64>, limit_rate: Option<f64>) -> Decision {
    Decision { priority: Priority(priority), mechanism, rate, limit_rate }
}

#[test]
fn each_way_to_decide_has_its_priorities() {
    let mut table = AgentRateTable::default();
    table.update(br#"{"rate_by_service":{"service:shop,env:prod":0.5,"service:,env:":0.01}}"#, None);
    let with_rules = |json| SamplingConfig { rules: rules(json), ..SamplingConfig::default() };
    let with_base = |base| SamplingConfig { base, ..SamplingConfig::default() };
    let by = Mechanism::LOCAL_RULE;
    for (what, config, rates, expected) in [
        ("nothing", SamplingConfig::default(), &NoRates as &dyn AgentRates, [(1, Mechanism::DEFAULT, None, None); 3]),
        (
            "the Agent's rate",
            SamplingConfig::default(),
            &table,
            [(1, 0.5), (0, 0.5), (0, 0.5)].map(|(priority, rate)| (priority, Mechanism::AGENT_RATE, Some(rate), None)),
        ),
        (
            "a rule",
            with_rules(r#"[{"sample_rate":0.5,"service":"shop"}]"#),
            &table,
            [(2, by, Some(0.5), Some(1.0)), (-1, by, Some(0.5), None), (-1, by, Some(0.5), None)],
        ),
        (
            "a rule that does not match",
            with_rules(r#"[{"sample_rate":0.5,"service":"cart"}]"#),
            &NoRates,
            [(1, Mechanism::DEFAULT, None, None); 3],
        ),
        (
            "a customer's rule",
            with_rules(r#"[{"sample_rate":0,"provenance":"customer"}]"#),
            &table,
            [(-1, Mechanism::REMOTE_RULE, Some(0.0), None); 3],
        ),
        (
            "a dynamic rule",
            with_rules(r#"[{"sample_rate":1,"provenance":"dynamic"}]"#),
            &table,
            [(2, Mechanism::DYNAMIC_RULE, Some(1.0), Some(1.0)); 3],
        ),
        ("a fixed rate", with_base(Base::Rate(0.5)), &table, [2, -1, -1].map(|kept| (kept, by, Some(0.5), None))),
        // All three ids are low.
        ("OpenTelemetry's ratio", with_base(Base::Ratio(0.5)), &table, [(2, by, None, None); 3]),
    ] {
        let expected = expected.map(|(kept, by, rate, limit)| decision(kept, by, rate, limit));
        assert_eq!(decided(config, &[EARLY, MIDDLE, LATE], rates), expected, "{what}");
    }
    assert_eq!(Sampler::manual(true), decision(2, Mechanism::MANUAL, None, None));
    assert_eq!(Sampler::manual(false), decision(-1, Mechanism::MANUAL, None, None));
}

#[test]
fn only_what_a_rule_keeps_meets_the_limit() {
    let by = Mechanism::LOCAL_RULE;
    let limited = SamplingConfig { rules: rules(r#"[{"sample_rate":0.5}]"#), rate_limit: 1, ..SamplingConfig::default() };
    let expected = [
        decision(2, by, Some(0.5), Some(1.0)),
        // Not kept by the rule, so it takes nothing away.
        decision(-1, by, Some(0.5), None),
        decision(-1, by, Some(0.5), Some(0.5)),
    ];
    assert_eq!(decided(limited, &[EARLY, LATE, EARLY], &NoRates), expected);
    let none = SamplingConfig { rules: rules(r#"[{"sample_rate":1}]"#), rate_limit: 0, ..SamplingConfig::default() };
    assert_eq!(decided(none, &[EARLY], &NoRates), [decision(-1, by, Some(1.0), Some(0.0))]);
    let base = SamplingConfig { base: Base::Rate(1.0), rate_limit: 0, ..SamplingConfig::default() };
    assert_eq!(decided(base, &[EARLY], &NoRates), [decision(2, by, Some(1.0), None)]);
}

#[test]
fn a_rules_own_limit_comes_before_the_general_one() {
    let json = r#"[{"sample_rate":1,"service":"shop","max_per_second":2},{"sample_rate":1}]"#;
    let owned = OwnedSampler::new(SamplingConfig { rules: rules(json), rate_limit: 3, ..SamplingConfig::default() });
    let kept = |service, now| {
        owned.sampler().decide(EARLY, &Span { service, ..SHOP }, b"", &NoRates, now).priority.keeps()
    };
    assert_eq!([kept("shop", NOW), kept("shop", NOW), kept("shop", NOW)], [true, true, false]);
    // The third took nothing of the general limit.
    assert_eq!([kept("cart", NOW), kept("cart", NOW)], [true, false]);
    assert!(kept("shop", NOW + SECOND));
}

#[test]
fn the_environment_and_the_service_choose_the_agents_rate() {
    let mut table = AgentRateTable::default();
    table.update(br#"{"rate_by_service":{"service:shop,env:prod":0.1,"service:shop,env:":0.2,"service:,env:":0.3}}"#, None);
    let sampler = OwnedSampler::new(SamplingConfig::default());
    for (service, env, rate) in [("shop", "prod", 0.1), ("shop", "", 0.2), ("shop", "dev", 0.3), ("Shop", "prod", 0.3)] {
        let span = Span { service, ..SHOP };
        let decided = sampler.sampler().decide(EARLY, &span, env.as_bytes(), &table, NOW);
        assert_eq!(decided.rate, Some(rate), "{service} {env}");
    }
}

#[test]
fn services_are_known_by_the_name_that_they_are_sent_under() {
    let mut table = AgentRateTable::default();
    table.update(br#"{"rate_by_service":{"service:store,env:prod":0.1,"service:,env:":1}}"#, None);
    let with = |json| SamplingConfig {
        rules: rules(json),
        span_rules: parse_span_json(r#"[{"service":"store","sample_rate":1}]"#).0,
        service_names: String::from("shop\u{1d}store"),
        ..SamplingConfig::default()
    };
    let by_agent = OwnedSampler::new(with("[]"));
    let by_rule = OwnedSampler::new(with(r#"[{"service":"shop","sample_rate":0.2},{"service":"store","sample_rate":0.3}]"#));
    for (service, agent, rule) in [("shop", 0.1, 0.3), ("store", 0.1, 0.3), ("other", 1.0, 1.0)] {
        let span = Span { service, ..SHOP };
        let rate = |owned: &OwnedSampler| owned.sampler().decide(EARLY, &span, b"prod", &table, NOW).rate;
        assert_eq!((rate(&by_agent), rate(&by_rule)), (Some(agent), Some(rule)), "{service}");
        let single = by_agent.span_sampler().decide(SpanId(1), &span, by_agent.span_limiters(), NOW);
        assert_eq!(single.is_some(), service != "other", "{service}");
    }
}

#[test]
fn single_spans_are_kept_by_their_own_rules() {
    let json = r#"[{"service":"shop","name":"web.*","sample_rate":0.5},{"name":"db.*","max_per_second":1}]"#;
    let config = SamplingConfig { span_rules: parse_span_json(json).0, ..SamplingConfig::default() };
    let owned = OwnedSampler::new(config);
    let decide = |id, name| {
        owned.span_sampler().decide(SpanId(id), &Span { name, ..SHOP }, owned.span_limiters(), NOW)
    };
    assert_eq!(decide(1, "web.request"), Some(SpanDecision { rule_rate: 0.5, max_per_second: None }));
    assert_eq!(decide(10, "web.request"), None, "by its id");
    assert_eq!(decide(1, "cache.get"), None, "no rule");
    assert_eq!(decide(83, "db.query"), Some(SpanDecision { rule_rate: 1.0, max_per_second: Some(1.0) }));
    assert_eq!(decide(83, "db.query"), None, "the limit of a second");
}
