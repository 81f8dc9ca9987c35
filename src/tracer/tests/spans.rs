//! What spans hold and when it is recorded.

use super::*;
use crate::ring::layout::MAX_RECORD;
use crate::span::{SpanKind, SpanLimits, Status};
use std::format;
use std::string::ToString;

#[test]
fn a_local_root_is_recorded_when_it_starts_and_others_when_they_end() {
    let bench = Bench::new();
    let start = Start { kind: SpanKind::Server, start_unix_ns: Some(10), ..Start::new("GET /", Parent::None) };
    let mut root = bench.tracer.start(start, |root| root.set_attribute("early", AttributeValue::Integer(1)));
    let mut child = bench.start("query", child_of(&root));
    let [started] = &bench.records()[..] else { panic!("the root alone") };
    assert_eq!((started.kind, started.span, started.start), ("start", root.id(), 10));
    assert_eq!((started.flags, started.parent), (crate::record::SPAN_LOCAL_ROOT, SpanId(0)));
    assert_eq!((started.get("name"), started.get("early")), (Some("GET /"), Some("1")));
    child.change(|child| {
        child.set_attribute("rows", AttributeValue::Float(0.5));
        child.set_status(Status::Error("lost".into()));
    });
    child.end_at(50);
    root.change(|root| root.set_attribute("late", AttributeValue::Bool(true)));
    root.end_at(60);
    let [query, ended] = &bench.records()[..] else { panic!("the child, and the root's end") };
    assert_eq!((query.kind, query.span, query.parent, query.trace), ("span", child.id(), root.id(), started.trace));
    assert_eq!((query.status, query.get("status.message"), query.get("rows")), (2, Some("lost"), Some("0.5")));
    assert_eq!((ended.kind, ended.span, ended.end), ("end", root.id(), 60));
    assert_eq!((ended.get("early"), ended.get("late"), ended.get("name")), (None, Some("Bool(true)"), None));
}

#[test]
fn what_ends_is_ended_once_and_not_before_it_began() {
    let bench = Bench::new();
    let start = Start { start_unix_ns: Some(100), ..Start::new("s", Parent::None) };
    let mut span = bench.tracer.start(start, |_| {});
    bench.records();
    span.end_at(50);
    span.end_at(500);
    assert!(!span.is_recording() && !span.change(|span| span.set_name("other".into())));
    let [ended] = &bench.records()[..] else { panic!("one end") };
    assert_eq!(ended.end, 100);
}

#[test]
fn an_attribute_that_is_set_again_replaces_the_earlier_one() {
    let bench = Bench::new();
    let mut root = bench.tracer.start(Start::new("s", Parent::None), |span| {
        span.set_attribute("a", AttributeValue::Integer(1));
        span.set_attribute("gone", AttributeValue::Integer(1));
        span.set_attribute("b", AttributeValue::Text("x"));
    });
    bench.records();
    root.change(|span| {
        span.set_attribute("a", AttributeValue::Text("two"));
        span.remove_attribute("gone");
        assert_eq!(span.attribute("b"), Some(crate::record::FieldValue::Text(b"x")));
        span.set_name("new name".into());
    });
    root.end();
    let [ended] = &bench.records()[..] else { panic!("one end") };
    assert_eq!((ended.get("a"), ended.get("gone"), ended.get("b")), (Some("two"), Some("Removed"), None));
    assert_eq!(ended.get("name"), Some("new name"));
}

#[test]
fn limits_keep_what_is_there_and_count_what_is_not() {
    let limits = SpanLimits {
        attributes: 2,
        attribute_length: Some(3),
        events: 1,
        links: 1,
        event_attributes: 1,
        link_attributes: 0,
        nested_attribute_length: None,
    };
    let bench = Bench::of(Settings { limits, ..Settings::of(&config(&[]), "rust") }, false);
    let root = bench.start("root", Parent::None);
    let mut span = bench.start("s", child_of(&root));
    span.change(|span| {
        for name in ["a", "b", "c", "a"] {
            span.set_attribute(name, AttributeValue::Text("äöüß"));
        }
        let pairs = [("k", AttributeValue::Integer(1)), ("l", AttributeValue::Integer(2))];
        span.add_event("one", 1, pairs.clone().into_iter());
        span.add_event("two", 2, [].into_iter());
        span.add_link((TraceId(1), SpanId(2)), 1u8, "x=y", pairs.into_iter());
        span.add_link((TraceId(3), SpanId(4)), 0u8, "", [].into_iter());
    });
    bench.records();
    span.end();
    let [span] = &bench.records()[..] else { panic!("one span") };
    // Texts are cut after what is secret in them was found.
    assert_eq!((span.get("a"), span.get("b"), span.get("c")), (Some("äöüß"), Some("äöüß"), None));
    let dropped = |what: &str| span.get(&format!("otel.dropped_{what}_count")).map(ToString::to_string);
    assert_eq!([dropped("attributes"), dropped("events"), dropped("links")], [1, 1, 1].map(|n| Some(n.to_string())));
    let [(name, fields)] = &span.events[..] else { panic!("one event") };
    assert_eq!(
        (name.as_str(), fields["k"].as_str(), fields["otel.dropped_attributes_count"].as_str()),
        ("one", "1", "1")
    );
    let [(trace, id, flags, state, fields)] = &span.links[..] else { panic!("one link") };
    assert_eq!((*trace, *id, *flags, state.as_str()), (TraceId(1), SpanId(2), 1, "x=y"));
    assert_eq!(fields["otel.dropped_attributes_count"], "2");
}

#[test]
fn what_is_too_long_for_one_record_goes_into_several() {
    let bench = Bench::new();
    let root = bench.start("root", Parent::None);
    let long = "ä".repeat(3 * MAX_RECORD / 2);
    let mut span = bench.start("s", child_of(&root));
    span.change(|span| {
        span.set_attribute("first", AttributeValue::Integer(1));
        span.set_attribute("long", AttributeValue::Text(&long));
        span.set_attribute("last", AttributeValue::Integer(2));
    });
    bench.records();
    span.end_at(u64::MAX);
    let records = bench.records();
    let kinds: Vec<_> = records.iter().map(|record| record.kind).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("start", "end"), "{kinds:?}");
    let first = records.iter().filter_map(|record| record.get("long"));
    let more = records.iter().flat_map(|record| &record.continued).map(|(name, text)| {
        assert_eq!(name, "long");
        text.as_str()
    });
    assert_eq!(first.chain(more).collect::<String>(), long);
    for name in ["first", "last", "name"] {
        assert_eq!(records.iter().filter(|record| record.get(name).is_some()).count(), 1, "{name}");
    }
    assert!(records.iter().all(|record| record.span == span.id()));
}

#[test]
fn the_texts_of_an_event_are_cut_to_what_a_record_carries() {
    let bench = Bench::new();
    let mut root = bench.start("root", Parent::None);
    bench.records();
    // Whatever room is left, it is not cut within a character.
    let long = "😀".repeat(MAX_RECORD);
    root.change(|root| {
        let pairs = [
            ("exception.type", AttributeValue::Text("E")),
            ("exception.message", AttributeValue::Text(&long[..20_000])),
            ("exception.stacktrace", AttributeValue::Text(&long)),
            ("after", AttributeValue::Text("a")),
            ("number", AttributeValue::Integer(7)),
        ];
        root.add_event("exception", 1, pairs.into_iter());
    });
    root.end();
    let records = bench.records();
    let (_, fields) = records.iter().flat_map(|record| &record.events).next().expect("the event");
    for long in ["exception.message", "exception.stacktrace"] {
        assert!(fields[long].len() > MAX_RECORD / 3, "{long}: {}", fields[long].len());
    }
    assert_eq!((&*fields["exception.type"], &*fields["after"], &*fields["number"]), ("E", "a", "7"));
    assert!(!fields.contains_key("otel.dropped_attributes_count"));
}

#[test]
fn the_process_tells_once_what_it_is() {
    let env = [("DD_SERVICE", "shop"), ("DD_ENV", "test"), ("DD_VERSION", "1"), ("DD_TAGS", "team:core")];
    let bench = Bench::with(&env, false);
    let resources = |bench: &Bench| {
        let bytes = core::mem::take(&mut *bench.memory.bytes.lock().unwrap());
        read(&bytes).into_iter().filter(|record| record.kind == "resource").collect::<Vec<_>>()
    };
    bench.start("one", Parent::None);
    bench.start("two", Parent::None);
    let [resource] = &resources(&bench)[..] else { panic!("one resource") };
    for (name, value) in [
        ("service.name", "shop"),
        ("deployment.environment.name", "test"),
        ("service.version", "1"),
        ("team", "core"),
        ("telemetry.sdk.language", "rust"),
    ] {
        assert_eq!(resource.get(name), Some(value), "{name}");
    }
    let id = resource.get("runtime-id").unwrap().to_string();
    assert!(id.len() == 32 && id.as_bytes()[12] == b'4', "{id}");
    bench.tracer.recorder.fork();
    bench.start("three", Parent::None);
    let [forked] = &resources(&bench)[..] else { panic!("the child tells of itself") };
    assert_ne!(forked.get("runtime-id"), Some(id.as_str()));
}

#[test]
fn what_is_withdrawn_is_told_to_those_who_know_of_it() {
    let bench = Bench::new();
    let mut root = bench.start("root", Parent::None);
    let mut child = bench.start("child", child_of(&root));
    let told = root.trace().is_kept();
    bench.records();
    child.withdraw();
    root.withdraw();
    assert!(!child.is_recording() && !root.is_recording());
    child.end();
    root.end();
    let [gone] = &bench.records()[..] else { panic!("the root's end") };
    assert_eq!((gone.kind, gone.span, gone.get("withdrawn")), ("end", root.id(), Some("Bool(true)")));
    assert!(told && gone.get("_sampling_priority_v1").is_some(), "{gone:?}");
}

#[test]
fn a_start_can_be_corrected() {
    let bench = Bench::new();
    let mut root = bench.start("root", Parent::None);
    let mut child = bench.start("child", child_of(&root));
    bench.records();
    for start_ns in [7, 5] {
        child.change(|child| child.set_start_unix_ns(start_ns));
        root.change(|root| root.set_start_unix_ns(start_ns));
    }
    child.end();
    root.end();
    let [child, root] = &bench.records()[..] else { panic!("two ends") };
    assert_eq!((child.start, child.get("start_time")), (5, None));
    assert_eq!(root.get("start_time"), Some("5"));
}
