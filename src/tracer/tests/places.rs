//! Where spans hang.

use super::*;
use crate::interface::{CurrentSpan, RequestInfo};
use crate::propagation::baggage::Baggage;
use crate::propagation::{Extracted, Style, TerminatedLink};
use crate::record::{SPAN_LOCAL_ROOT, SPAN_REMOTE_PARENT, SPAN_TAKES_OVER};
use crate::recorder::memory::PROCESS;
use crate::span::SpanKind;

#[test]
fn what_the_program_does_as_a_whole_hangs_under_its_process_and_requests_do_not() {
    for (is_span, kind, below) in [
        (true, SpanKind::Internal, true),
        (true, SpanKind::Client, true),
        (true, SpanKind::Producer, true),
        (true, SpanKind::Server, false),
        (true, SpanKind::Consumer, false),
        (false, SpanKind::Internal, false),
    ] {
        let bench = Bench::with(&[], is_span);
        bench.tracer.start(Start { kind, ..Start::new("s", Parent::None) }, |_| {});
        let [started] = &bench.records()[..] else { panic!("one start") };
        assert_eq!(started.flags, SPAN_LOCAL_ROOT);
        if below {
            assert_eq!((started.trace, started.parent), PROCESS, "{kind:?}");
            // Children of the process were told so when it began.
            assert_eq!(started.get("_sampling_priority_v1"), Some("1"));
        } else {
            assert!(started.trace != PROCESS.0 && started.parent == SpanId(0), "{kind:?}");
        }
    }
}

#[test]
fn new_trace_ids_have_the_length_that_is_configured() {
    for (setting, high) in [("true", true), ("false", false)] {
        let bench = Bench::with(&[("DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED", setting)], false);
        let id = bench.start("s", Parent::None).trace().trace_id();
        assert_eq!((id.high() != 0, id.high() as u32), (high, 0), "{id}");
    }
}

#[test]
fn a_span_without_a_parent_hangs_under_the_native_one_of_its_thread() {
    let bench = Bench::with(&[], true);
    *bench.memory.native.lock().unwrap() =
        Some(CurrentSpan { trace_id_low: 5, span_id: 6, priority: 2, ..CurrentSpan::default() });
    let mut span = bench.start("s", Parent::None);
    span.end();
    let [started, ended] = &bench.records()[..] else { panic!("start and end") };
    assert_eq!((started.trace, started.parent, started.flags), (TraceId(5), SpanId(6), 0));
    // The native local root tells of the trace.
    assert_eq!((started.get("_sampling_priority_v1"), ended.get("_sampling_priority_v1")), (None, None));
    assert_eq!(injected(&span)["x-datadog-sampling-priority"], "2");
}

/// Native code has begun a span for a request that came in with the context of [`remote`].
fn request(bench: &Bench) -> RequestInfo {
    let context = remote(None).span;
    let request = RequestInfo {
        span: 77,
        trace_id_high: context.trace_id.high(),
        trace_id_low: context.trace_id.low(),
        span_id: 0xdd,
        parent_id: 0xcc,
        ..RequestInfo::default()
    };
    *bench.memory.request.lock().unwrap() = Some(request);
    request
}

#[test]
fn a_request_takes_the_place_of_the_native_span_for_it() {
    let server = |bench: &Bench, parent: Parent<'_>| {
        bench.tracer.start(Start { kind: SpanKind::Server, ..Start::new("s", parent) }, |_| {})
    };
    let bench = Bench::new();
    let (known, context) = (request(&bench), remote(None));
    let span = server(&bench, Parent::Context(&context));
    assert_eq!((span.id(), span.trace().trace_id()), (SpanId(0xdd), context.span.trace_id));
    let [started] = &bench.records()[..] else { panic!("one start") };
    assert_eq!(started.flags, SPAN_LOCAL_ROOT | SPAN_REMOTE_PARENT | SPAN_TAKES_OVER);
    assert_eq!((started.span, started.parent), (SpanId(0xdd), SpanId(known.parent_id)));
    // Native code goes by what is decided here.
    injected(&span);
    let told = bench.memory.decided.lock().unwrap().clone();
    assert_eq!(told.iter().map(|(handle, told)| (*handle, told.is_final)).collect::<Vec<_>>(), [(77, 1)]);
    // It is one request's: the next one has its own.
    assert_ne!(server(&bench, Parent::Context(&context)).id(), SpanId(0xdd));

    request(&bench);
    assert_eq!(server(&bench, Parent::None).id(), SpanId(0xdd), "the API knows of nothing that came in");
    request(&bench);
    let mut other = remote(None);
    other.span.span_id = SpanId(1);
    assert_ne!(server(&bench, Parent::Context(&other)).id(), SpanId(0xdd));
    assert_ne!(bench.start("no request", Parent::Context(&context)).id(), SpanId(0xdd));
    assert_ne!(server(&bench, Parent::Local(span.trace(), span.id())).id(), SpanId(0xdd));
    assert!(bench.memory.request.lock().unwrap().is_some(), "none of them took it");
}

#[test]
fn what_native_code_has_told_others_of_a_request_stands() {
    let bench = Bench::new();
    let (known, context) = (request(&bench), remote(None));
    *bench.memory.is_final_there.lock().unwrap() = 1;
    *bench.memory.native.lock().unwrap() = Some(CurrentSpan {
        trace_id_high: known.trace_id_high,
        trace_id_low: known.trace_id_low,
        span_id: known.span_id,
        priority: -1,
        ..CurrentSpan::default()
    });
    let start = Start { kind: SpanKind::Server, ..Start::new("s", Parent::Context(&context)) };
    let mut span = bench.tracer.start(start, |_| {});
    assert!(!span.change(|span| span.set_attribute("manual.keep", AttributeValue::Bool(true))), "it is told already");
    assert_eq!(injected(&span)["x-datadog-sampling-priority"], "-1");
}

#[test]
fn a_context_from_outside_is_continued_with_all_that_it_brought() {
    let bench = Bench::new();
    let mut context = remote(Some(2));
    context.origin.set(b"synthetics").unwrap();
    context.tags.set(b"_dd.p.dm", b"-4").unwrap();
    context.trace_state.set(b"a=b").unwrap();
    context.last_parent = SpanId(0xdd);
    context.error = Some(crate::context::PropagationError::Decoding);
    bench.start("s", Parent::Context(&context));
    let [started] = &bench.records()[..] else { panic!("one start") };
    assert_eq!((started.trace, started.parent), (context.span.trace_id, SpanId(0xcc)));
    assert_eq!((started.flags, started.trace_flags), (SPAN_LOCAL_ROOT | SPAN_REMOTE_PARENT, 1));
    for (name, value) in [
        ("_sampling_priority_v1", "2"),
        ("x-datadog-tags", "_dd.p.dm=-4"),
        ("_dd.origin", "synthetics"),
        ("_dd.parent_id", "00000000000000dd"),
        ("_dd.propagation_error", "decoding_error"),
        ("tracestate", "a=b"),
    ] {
        assert_eq!(started.get(name), Some(value), "{name}");
    }
}

#[test]
fn contexts_that_are_not_continued_are_linked_to_and_baggage_is_shown() {
    let bench = Bench::new();
    let mut incoming = Extracted::default();
    incoming.links[0] = Some(TerminatedLink {
        span: SpanContext { trace_id: TraceId(8), span_id: SpanId(9), priority: None, flags: 1 },
        style: Style::TraceContext,
        reason: "terminated_context",
    });
    incoming.link_trace_state.set(b"dd=s:1,a=b").unwrap();
    let mut baggage = Baggage::default();
    baggage.set("user.id", "7");
    baggage.set("other", "8");
    let start = Start { incoming: Some(&incoming), incoming_baggage: Some(&baggage), ..Start::new("s", Parent::None) };
    let root = bench.tracer.start(start, |_| {});
    bench.tracer.start(Start { incoming: Some(&incoming), ..Start::new("child", child_of(&root)) }, |_| {}).end();
    let [started, child] = &bench.records()[..] else { panic!("a root and its child") };
    let [(trace, span, flags, state, attributes)] = &started.links[..] else { panic!("one link") };
    assert_eq!((*trace, *span, *flags, state.as_str()), (TraceId(8), SpanId(9), 1, "dd=s:1,a=b"));
    let attribute = |name: &str| attributes[name].as_str();
    assert_eq!((attribute("reason"), attribute("context_headers")), ("terminated_context", "tracecontext"));
    assert_eq!((started.get("baggage.user.id"), started.get("baggage.other")), (Some("7"), None));
    assert!(child.links.is_empty());
}

#[test]
fn a_trace_that_comes_in_without_a_span_goes_on_with_its_first_one_here() {
    let bench = Bench::with(&[], true);
    let mut context = remote(Some(-1));
    context.span.span_id = SpanId(0);
    let incoming = Extracted { context: Some(context.clone()), ..Extracted::default() };
    bench.tracer.start(Start { incoming: Some(&incoming), ..Start::new("s", Parent::None) }, |_| {});
    let [started] = &bench.records()[..] else { panic!("one start") };
    assert_eq!((started.trace, started.parent), (context.span.trace_id, SpanId(0)));
    assert_eq!(started.get("_sampling_priority_v1"), Some("-1"));
}

#[test]
fn a_trace_that_comes_in_twice_is_one() {
    let bench = Bench::new();
    let context = remote(Some(1));
    let mut one = bench.start("one", Parent::Context(&context));
    let mut two = bench.start("two", Parent::Context(&context));
    assert!(Arc::ptr_eq(one.trace(), two.trace()));
    one.end();
    drop(one);
    assert!(bench.tracer.active(context.span.trace_id).is_some(), "its second span is still there");
    two.end();
    drop(two);
    assert!(bench.tracer.active(context.span.trace_id).is_none());
    let records = bench.records();
    let kinds: Vec<_> = records.iter().map(|record| record.kind).collect();
    assert_eq!(kinds, ["start", "start", "end", "end"]);
    assert!(records[..2].iter().all(|start| start.get("_sampling_priority_v1") == Some("1")));
}

#[test]
fn a_trace_that_comes_in_with_another_decision_is_another() {
    let bench = Bench::new();
    let one = bench.start("one", Parent::Context(&remote(Some(1))));
    let two = bench.start("two", Parent::Context(&remote(Some(-1))));
    assert!(one.trace().is_kept() && !two.trace().is_kept());
}

#[test]
fn a_span_under_a_native_one_carries_on_what_that_does_and_leaves_its_decision_alone() {
    let bench = Bench::new();
    *bench.memory.native.lock().unwrap() =
        Some(CurrentSpan { trace_id_low: 5, span_id: 6, priority: 2, ..CurrentSpan::default() });
    *bench.memory.native_headers.lock().unwrap() = Vec::from([
        ("traceparent", "00-00000000000000000000000000000005-0000000000000006-01"),
        ("tracestate", "dd=p:0000000000000006;s:2;o:rum;t.dm:-4;t.usr.id:u1,foo=1"),
        ("baggage", "user.id=7"),
    ]);
    let mut span = bench.start("s", Parent::None);
    assert!(!span.change(|span| span.set_attribute("manual.drop", AttributeValue::Bool(true))), "it is not ours");
    let headers = injected(&span);
    assert_eq!(headers["x-datadog-sampling-priority"], "2");
    assert_eq!((headers["x-datadog-origin"].as_str(), headers["baggage"].as_str()), ("rum", "user.id=7"));
    assert!(headers["x-datadog-tags"].contains("_dd.p.usr.id=u1"), "{headers:?}");
    assert!(headers["tracestate"].ends_with(",foo=1"), "{headers:?}");
    let [started] = &bench.records()[..] else { panic!("one start") };
    assert_eq!((started.flags, started.get("_dd.origin"), started.get("_dd.parent_id")), (0, None, None));
}

#[test]
fn baggage_of_the_environment_goes_on_below_the_process() {
    let memory = Memory::default();
    let environment = crate::propagation::environment::EnvironmentCarrier(|name: &[u8]| {
        (name == b"BAGGAGE").then_some(&b"user.id=7,shop=a"[..])
    });
    let settings = Settings::of(&config(&[]), "rust");
    let tracer = Tracer::started_in(memory.recorder(true), settings, &environment);
    let bench = Bench { tracer, memory };
    let span = bench.start("s", Parent::None);
    assert_eq!(injected(&span)["baggage"], "user.id=7,shop=a");
    let mut given = Baggage::default();
    given.set("user.id", "8");
    let mut headers = Headers::default();
    span.trace().inject(span.id(), &given, &mut headers);
    assert_eq!(headers.0["baggage"], "user.id=8,shop=a", "what the API gives counts");
    let request = Start { kind: SpanKind::Server, ..Start::new("request", Parent::None) };
    let request = bench.tracer.start(request, |_| {});
    assert!(!injected(&request).contains_key("baggage"));
}

#[test]
fn one_trace_that_came_in_with_two_decisions_keeps_them_apart() {
    let bench = Bench::new();
    let one = bench.start("one", Parent::Context(&remote(Some(2))));
    let two = bench.start("two", Parent::Context(&remote(Some(-1))));
    let trace_id = one.trace().trace_id();
    let of = |id, priority: i32| bench.tracer.active_of(trace_id, id, || remote(Some(priority))).unwrap();
    assert!(Arc::ptr_eq(&of(one.id(), -1), one.trace()) && Arc::ptr_eq(&of(two.id(), 2), two.trace()));
    assert!(Arc::ptr_eq(&of(SpanId(1), 2), one.trace()) && Arc::ptr_eq(&of(SpanId(1), -1), two.trace()));
    drop(two);
    assert!(Arc::ptr_eq(&bench.tracer.active(trace_id).unwrap(), one.trace()));
    drop(one);
    assert!(bench.tracer.active(trace_id).is_none());
}

#[test]
fn one_trace_that_came_in_with_different_things_to_hand_on_keeps_them_apart_under_one_decision() {
    for priority in [Some(1), None] {
        let config = config(&[("DD_TRACE_SAMPLING_RULES", r#"[{"resource":"one","sample_rate":0}]"#)]);
        let bench = Bench::of(Settings::of(&config, "rust"), false);
        let with = |user: &[u8], state: &[u8]| {
            let mut context = remote(priority);
            context.tags.set(b"_dd.p.usr.id", user).unwrap();
            context.trace_state.set(state).unwrap();
            context
        };
        let (alice, bob) = (with(b"alice", b"foo=1"), with(b"bob", b"bar=2"));
        let one = bench.start("one", Parent::Context(&alice));
        let two = bench.start("two", Parent::Context(&bob));
        let again = bench.start("two", Parent::Context(&bob));
        assert!(!Arc::ptr_eq(one.trace(), two.trace()) && Arc::ptr_eq(two.trace(), again.trace()));
        let (first, second) = (injected(&one), injected(&two));
        assert!(first["x-datadog-tags"].contains("_dd.p.usr.id=alice") && first["tracestate"].ends_with("foo=1"));
        assert!(second["x-datadog-tags"].contains("_dd.p.usr.id=bob") && second["tracestate"].ends_with("bar=2"));
        let decided = if priority.is_some() { "1" } else { "-1" };
        for headers in [&first, &second] {
            assert_eq!(headers["x-datadog-sampling-priority"], decided, "{headers:?}");
        }
        // Where the ids are the same, what a span was told tells whose it is.
        let of = |context: &TraceContext| bench.tracer.active_of(one.trace().trace_id(), SpanId(1), || context.clone());
        let told = |context: TraceContext, live: &LiveSpan| {
            let context = TraceContext { span: live.trace().context_so_far(SpanId(1)).span, ..context };
            Arc::ptr_eq(&of(&context).unwrap(), live.trace())
        };
        assert!(told(alice.clone(), &one) && told(bob.clone(), &two));
    }
}

#[test]
fn in_a_forked_child_the_parents_spans_are_a_parent_and_nothing_else() {
    let bench = Bench::new();
    let mut parents = bench.start("parent's", Parent::None);
    let before = injected(&parents);
    bench.records();
    bench.tracer.recorder.fork();
    parents.change(|span| span.set_name("changed".into()));
    parents.end();
    assert!(bench.records().is_empty() && !parents.is_recording());
    let childs = bench.start("child's", child_of(&parents));
    let [started] = &bench.records()[..] else { panic!("one start") };
    assert_eq!((started.trace, started.parent), (parents.trace().trace_id(), parents.id()));
    assert_eq!(started.flags, SPAN_LOCAL_ROOT | SPAN_REMOTE_PARENT);
    assert_eq!(injected(&childs)["x-datadog-tags"], before["x-datadog-tags"], "the decision goes along");
    assert!(!Arc::ptr_eq(childs.trace(), parents.trace()));
}
