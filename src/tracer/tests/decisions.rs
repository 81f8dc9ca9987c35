//! Whether traces are kept: when that is decided, by what, and what it leaves.

use super::*;
use crate::context::FLAG_RANDOM;
use crate::record::DECIDE_AFTER;
use crate::semconv::Key;
use crate::span::SpanKind;

const PRIORITY: &str = "_sampling_priority_v1";

/// Keeps what is called so, drops everything else.
const RULES: (&str, &str) = (
    "DD_TRACE_SAMPLING_RULES",
    r#"[{"resource":"GET /orders","tags":{"tier":"gold"},"sample_rate":1},{"sample_rate":0}]"#,
);

#[test]
fn what_nobody_needs_in_the_process_is_left_to_the_sidecar() {
    let bench = Bench::new();
    let mut root = bench.start("s", Parent::None);
    root.end();
    let [started, ended] = &bench.records()[..] else { panic!("start and end") };
    assert_eq!((started.get(PRIORITY), ended.get(PRIORITY)), (None, None));
    assert_eq!(started.trace_flags, 1);
}

#[test]
fn what_the_program_was_told_is_what_the_sidecar_hears() {
    let bench = Bench::new();
    let mut root = bench.start("s", Parent::None);
    assert!(root.trace().is_kept());
    root.end();
    let [started, ended] = &bench.records()[..] else { panic!("start and end") };
    assert_eq!((started.get(PRIORITY), ended.get(PRIORITY)), (None, Some("1")));
    assert_eq!(ended.get("x-datadog-tags"), Some("_dd.p.dm=-0"));
}

#[test]
fn a_context_that_leaves_is_decided_and_told_at_once_and_for_good() {
    let bench = Bench::new();
    let mut root = bench.start("s", Parent::None);
    let mut child = bench.start("c", child_of(&root));
    bench.records();
    let headers = injected(&child);
    assert_eq!(headers["x-datadog-sampling-priority"], "1");
    assert!(headers["x-datadog-tags"].contains("_dd.p.dm=-0"), "{headers:?}");
    let [told] = &bench.records()[..] else { panic!("the decision") };
    assert_eq!((told.kind, told.span, told.get(PRIORITY)), ("amend", root.id(), Some("1")));
    let late = child.change(|child| child.set_attribute("manual.drop", AttributeValue::Bool(true)));
    assert!(!late, "somebody knows otherwise already");
    assert_eq!(injected(&child), headers);
    child.end();
    root.end();
    let records = bench.records();
    assert!(records.iter().all(|record| record.get(PRIORITY).is_none() && record.get("manual.drop").is_none()));
}

#[test]
fn a_large_trace_is_decided_before_a_part_of_it_is_sent() {
    let bench = Bench::new();
    let mut root = bench.start("s", Parent::None);
    for _ in 1..DECIDE_AFTER {
        bench.start("c", child_of(&root)).end();
    }
    assert!(bench.records().iter().all(|record| record.get(PRIORITY).is_none()));
    bench.start("c", child_of(&root)).end();
    let records = bench.records();
    let told = records.last().expect("the decision");
    assert_eq!((told.kind, told.span, told.get(PRIORITY)), ("amend", root.id(), Some("1")));
    assert!(!root.change(|root| root.set_attribute("manual.drop", AttributeValue::Bool(true))), "it is sent");
}

#[test]
fn rules_see_the_local_root_as_it_is_when_they_are_asked() {
    for (tier, kept) in [("gold", "2"), ("silver", "-1")] {
        let bench = Bench::with(&[RULES], false);
        let start = Start { kind: SpanKind::Server, ..Start::new("whatever", Parent::None) };
        let mut root = bench.tracer.start(start, |root| {
            root.set_attribute("http.request.method", AttributeValue::Text("GET"));
        });
        root.change(|root| {
            root.set_attribute("http.route", AttributeValue::Text("/orders"));
            root.set_attribute("tier", AttributeValue::Text(tier));
        });
        bench.records();
        let child = bench.start("c", child_of(&root));
        assert_eq!(injected(&child)["x-datadog-sampling-priority"], kept, "{tier}");
        let [told] = &bench.records()[..] else { panic!("the decision") };
        assert_eq!(told.get(PRIORITY), Some(kept));
        let rate = if tier == "gold" { "1" } else { "0" };
        assert!(told.get("x-datadog-tags").unwrap().contains(&std::format!("_dd.p.ksr={rate}")), "{told:?}");
        assert_eq!(told.get("_dd.rule_psr"), Some(std::format!("{rate}.0").as_str()));
    }
}

#[test]
fn rules_see_spans_of_datadogs_apis_as_those_name_them() {
    for (rule, kept) in [(r#""resource":"mine","name":"job","service":"worker""#, "-1"), (r#""resource":"tag""#, "1")] {
        let rules = std::format!(r#"[{{{rule},"sample_rate":0}},{{"sample_rate":1}}]"#);
        let bench = Bench::with(&[("DD_TRACE_SAMPLING_RULES", &rules)], false);
        let root = bench.tracer.start(Start::new("mine", Parent::None), |root| {
            root.set_has_datadog_tags();
            root.set_text(Key::OperationName, "job");
            root.set_text(Key::ResourceName, "mine");
            root.set_text(Key::Service, "worker");
            for name in ["resource.name", "operation.name", "datadog.service"] {
                root.set_attribute(name, AttributeValue::Text("tag"));
            }
        });
        let child = bench.start("c", child_of(&root));
        let said = injected(&child).remove("x-datadog-sampling-priority").unwrap();
        assert_eq!(said.starts_with('-'), kept == "-1", "{rule}: {said}");
    }
}

#[test]
fn the_agents_rate_decides_where_no_rule_does() {
    let bench = Bench::with(&[("DD_SERVICE", "shop")], false);
    *bench.memory.rate.lock().unwrap() = Some(0.0);
    let root = bench.start("s", Parent::None);
    bench.records();
    let headers = injected(&root);
    assert_eq!(headers["x-datadog-sampling-priority"], "0");
    assert!(headers["x-datadog-tags"].contains("_dd.p.dm=-1"), "{headers:?}");
    let [told] = &bench.records()[..] else { panic!("the decision") };
    assert_eq!((told.get(PRIORITY), told.get("_dd.agent_psr")), (Some("0"), Some("0.0")));
}

#[test]
fn a_rule_decides_at_the_end_if_nobody_asked_before() {
    let bench = Bench::with(&[RULES], false);
    let mut root = bench.start("s", Parent::None);
    root.end();
    let [started, ended] = &bench.records()[..] else { panic!("start and end") };
    assert_eq!((started.get(PRIORITY), ended.get(PRIORITY)), (None, Some("-1")));
}

#[test]
fn an_inherited_decision_stands() {
    for priority in [-1, 0, 1, 2, 7] {
        let bench = Bench::with(&[RULES], false);
        let mut root = bench.start("s", Parent::Context(&remote(Some(priority))));
        assert_eq!(injected(&root)["x-datadog-sampling-priority"], std::format!("{priority}"));
        assert_eq!(root.trace().is_kept(), priority > 0);
        root.end();
        let [started, ended] = &bench.records()[..] else { panic!("start and end") };
        assert_eq!(started.get(PRIORITY), Some(std::format!("{priority}").as_str()));
        assert_eq!(ended.get(PRIORITY), None);
    }
}

#[test]
fn a_trace_that_comes_in_undecided_twice_is_decided_once() {
    let bench = Bench::with(&[RULES], false);
    let keep = |root: &mut SpanData| {
        root.set_text(crate::semconv::Key::ResourceName, "GET /orders");
        root.set_attribute("tier", AttributeValue::Text("gold"));
    };
    let mut one = bench.tracer.start(Start::new("one", Parent::Context(&remote(None))), keep);
    let headers = injected(&one);
    assert_eq!(headers["x-datadog-sampling-priority"], "2");
    one.end();
    drop(one);
    bench.records();
    let mut two = bench.start("a rule would drop it", Parent::Context(&remote(None)));
    assert_eq!(injected(&two)["x-datadog-tags"], headers["x-datadog-tags"]);
    assert!(!two.change(|span| span.set_attribute("manual.drop", AttributeValue::Bool(true))), "somebody knows");
    let [started] = &bench.records()[..] else { panic!("one start") };
    assert_eq!(started.get(PRIORITY), Some("2"));
}

#[test]
fn each_of_several_requests_hands_on_the_flag_that_came_with_it() {
    let bench = Bench::new();
    let plain = remote(Some(1));
    let mut random = plain.clone();
    random.span.flags |= FLAG_RANDOM;
    let (one, two) = (bench.start("one", Parent::Context(&plain)), bench.start("two", Parent::Context(&random)));
    let flags = |span: &LiveSpan| injected(span)["traceparent"].rsplit_once('-').map(|(_, flags)| String::from(flags));
    assert_eq!((flags(&one).as_deref(), flags(&two).as_deref()), (Some("01"), Some("03")));
}

#[test]
fn what_one_of_several_requests_decides_each_of_them_tells() {
    for priority in [Some(1), None] {
        let bench = Bench::new();
        let context = remote(priority);
        let start = |name| bench.start(name, Parent::Context(&context));
        let (mut one, mut two, mut over) = (start("one"), start("two"), start("over"));
        over.end();
        bench.records();
        assert!(two.change(|two| two.set_attribute("manual.drop", AttributeValue::Bool(true))));
        assert_eq!(injected(&two)["x-datadog-sampling-priority"], "-1");
        let told: BTreeMap<_, _> = bench.records().into_iter().map(|told| (told.span.0, told.fields)).collect();
        // What has ended tells, too: it may not have been sent.
        assert!([&one, &two, &over].iter().all(|span| told.contains_key(&span.id().0)) && told.len() == 3, "{told:?}");
        assert!(
            told.values().all(|told| told[PRIORITY] == "-1" && told["x-datadog-tags"] == "_dd.p.dm=-4"),
            "{told:?}"
        );
        two.end();
        one.end();
        assert!(bench.records().iter().all(|record| record.get(PRIORITY).is_none()), "it is told already");
    }
}

#[test]
fn what_is_decided_below_a_local_root_that_has_ended_is_told() {
    let bench = Bench::new();
    let mut root = bench.start("root", Parent::None);
    let mut children = ["tells", "is silent"].map(|name| bench.start(name, child_of(&root)));
    root.end();
    assert!(bench.records().iter().all(|record| record.get(PRIORITY).is_none()), "nobody has decided");
    assert!(children[0].change(|child| child.set_attribute("manual.keep", AttributeValue::Bool(true))));
    for child in &mut children {
        child.end();
    }
    let told: Vec<_> = bench.records().into_iter().filter(|record| record.get(PRIORITY).is_some()).collect();
    let [told] = &told[..] else { panic!("once: {told:?}") };
    assert_eq!((told.span, told.get(PRIORITY)), (root.id(), Some("2")));
}

#[test]
fn whichever_of_several_requests_ends_first_leaves_no_decision_untold() {
    for (first, second) in [(0, 1), (1, 0)] {
        let bench = Bench::new();
        let context = remote(Some(1));
        let mut spans = ["one", "two"].map(|name| bench.start(name, Parent::Context(&context)));
        assert!(spans[1].change(|two| two.set_attribute("manual.keep", AttributeValue::Bool(true))));
        bench.records();
        spans[first].end();
        let records = bench.records();
        for span in &spans {
            let said = |record: &&Recorded| record.span == span.id() && record.get(PRIORITY) == Some("2");
            assert!(records.iter().any(|record| said(&record)), "{first}: {records:?}");
        }
        spans[second].end();
    }
}

#[test]
fn a_trace_that_comes_in_decided_is_decided_where_it_comes_in_undecided() {
    let priority = |span: &LiveSpan| injected(span)["x-datadog-sampling-priority"].clone();
    let undecided = |bench: &Bench| bench.start("undecided", Parent::Context(&remote(None)));
    let decided = |bench: &Bench| bench.start("decided", Parent::Context(&remote(Some(1))));
    // Rules would drop it.
    for order in ["decided first", "undecided first", "over", "overridden"] {
        let bench = Bench::with(&[RULES], false);
        let before = (order == "undecided first").then(|| undecided(&bench));
        let mut known = decided(&bench);
        let mut expected = "1";
        if order == "overridden" {
            assert!(known.change(|span| span.set_attribute("manual.keep", AttributeValue::Bool(true))));
            expected = "2";
        }
        if order == "over" || order == "overridden" {
            known.end();
            drop(known);
        }
        let asked = before.unwrap_or_else(|| undecided(&bench));
        assert_eq!(priority(&asked), expected, "{order}");
    }
}

#[test]
fn rules_see_the_resource_and_the_role_that_are_sent() {
    for (rule, seen) in [
        (r#""resource":"said last""#, true),
        (r#""tags":{"resource.name":"*"}"#, false),
        (r#""name":"server.request","tags":{"span.kind":"server"}"#, true),
    ] {
        let rules = std::format!(r#"[{{{rule},"sample_rate":0}}]"#);
        let bench = Bench::with(&[("DD_TRACE_SAMPLING_RULES", &rules)], false);
        let root = bench.tracer.start(Start::new("whatever", Parent::None), |root| {
            root.set_attribute("resource.name", AttributeValue::Text("said first"));
            root.set_attribute("span.kind", AttributeValue::Text("server"));
            root.set_text(Key::ResourceName, "said last");
        });
        let child = bench.start("c", child_of(&root));
        assert_eq!(injected(&child)["x-datadog-sampling-priority"].starts_with('-'), seen, "{rule}");
    }
}

#[test]
fn opentelemetrys_bare_samplers_decide_anew_in_every_service() {
    let bench = Bench::with(&[("OTEL_TRACES_SAMPLER", "always_off")], false);
    let root = bench.start("s", Parent::Context(&remote(Some(1))));
    assert!(!root.trace().is_kept());
    assert_eq!(injected(&root)["x-datadog-sampling-priority"], "-1");
}

#[test]
fn the_application_overrides_everything_until_somebody_outside_knows() {
    for (name, expected) in [("manual.keep", "2"), ("manual.drop", "-1")] {
        let bench = Bench::with(&[RULES], false);
        let mut root = bench.start("s", Parent::Context(&remote(Some(1))));
        let mut child = bench.start("c", child_of(&root));
        assert!(child.trace().is_kept(), "and somebody has asked");
        bench.records();
        assert!(child.change(|child| child.set_attribute(name, AttributeValue::Bool(false))));
        let headers = injected(&child);
        assert_eq!(headers["x-datadog-sampling-priority"], expected);
        assert!(headers["x-datadog-tags"].contains("_dd.p.dm=-4"), "{headers:?}");
        root.end();
        let records = bench.records();
        let told: Vec<_> = records.iter().filter_map(|record| record.get(PRIORITY)).collect();
        assert_eq!(told, [expected], "{records:?}");
    }
}

#[test]
fn the_application_can_decide_when_a_span_starts() {
    let bench = Bench::new();
    let root = bench.tracer.start(Start::new("s", Parent::None), |root| {
        root.set_attribute("manual.drop", AttributeValue::Bool(true));
    });
    let [started] = &bench.records()[..] else { panic!("one start") };
    assert_eq!((started.get(PRIORITY), started.trace_flags), (Some("-1"), 0));
    let other = bench.start("t", Parent::None);
    bench.tracer.start(Start::new("c", child_of(&other)), |child| {
        child.set_attribute("manual.keep", AttributeValue::Bool(true));
    });
    assert_eq!(
        (
            injected(&root)["x-datadog-sampling-priority"].as_str(),
            injected(&other)["x-datadog-sampling-priority"].as_str()
        ),
        ("-1", "2")
    );
}

#[test]
fn every_thread_sees_one_decision() {
    // Only one of many passes the limiter, so that two decisions could differ.
    let env = [("DD_TRACE_SAMPLING_RULES", r#"[{"sample_rate":1}]"#), ("DD_TRACE_RATE_LIMIT", "1")];
    let bench = Bench::with(&env, false);
    injected(&bench.start("takes the token", Parent::None));
    for _ in 0..50 {
        let root = bench.start("s", Parent::None);
        let seen: Vec<_> = std::thread::scope(|scope| {
            let ask = || injected(&root)["x-datadog-sampling-priority"].clone();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(seen.iter().all(|priority| *priority == seen[0]), "{seen:?}");
        bench.records();
    }
}

#[test]
fn tags_that_are_too_long_to_leave_are_told_of() {
    let mut settings = Settings::of(&config(&[]), "rust");
    settings.propagation.tags_max_length = 8;
    let bench = Bench::of(settings, false);
    let mut context = remote(Some(1));
    context.tags.set(b"_dd.p.usr.id", b"somebody").unwrap();
    let root = bench.start("s", Parent::Context(&context));
    bench.records();
    assert_eq!(injected(&root).get("x-datadog-tags"), None);
    let [told] = &bench.records()[..] else { panic!("the error") };
    assert_eq!((told.kind, told.get("_dd.propagation_error")), ("amend", Some("inject_max_size")));
    injected(&root);
    assert!(bench.records().is_empty(), "once is enough");
}
