//! Several styles at once, and what becomes of an incoming context.

use super::*;
use crate::propagation::environment::{EnvironmentCarrier, EnvironmentWriter};
use crate::propagation::{ExtractBehaviour, TerminatedLink};

const D: [(&str, &str); 4] = [
    ("x-datadog-trace-id", "12379814468735227512"),
    ("x-datadog-parent-id", "56"),
    ("x-datadog-sampling-priority", "2"),
    ("x-datadog-tags", "_dd.p.tid=640cfd8d00000000"),
];
const T: (&str, &str) = ("traceparent", "00-640cfd8d00000000abcdefab12345678-00f067aa0ba902b7-01");

fn links(found: &Extracted) -> Vec<TerminatedLink> {
    found.links.iter().flatten().cloned().collect()
}

#[test]
fn the_vectors_of_the_reference() {
    let state = |text| [T, ("tracestate", text)];
    let found = read(Propagation::default(), &state("dd=s:2;o:rum~x;p:0000000000000007;t.dm:-4")).context.unwrap();
    assert_eq!(ids(&found), (TRACE, SPAN, Some(2)));
    assert_eq!((found.origin.as_str(), found.last_parent), ("rum=x", SpanId(7)));

    for (text, last_parent) in [("foo=1", 56), ("dd=s:1;p:00000000000000aa", 0xaa)] {
        let found = Propagation::default().extract(&Headers::of(&D).and(&state(text)), &mut NoBaggage);
        assert!(links(&found).is_empty());
        let found = found.context.unwrap();
        assert_eq!(ids(&found), (TRACE, SPAN, Some(2)), "priority of the first, span of the second");
        assert_eq!(found.last_parent, SpanId(last_parent));
        assert_eq!(found.trace_state.as_str(), if text == "foo=1" { text } else { "" });
    }

    let other = [("x-datadog-trace-id", "1234"), D[1], D[2]];
    let headers = Headers::of(&other).and(&state("dd=s:1,foo=1"));
    let found = Propagation::default().extract(&headers, &mut NoBaggage);
    assert_eq!(found.context.as_ref().map(ids), Some((0x4d2, 56, Some(2))));
    let mut linked = span(TRACE, SPAN, Some(1));
    linked.flags = 1;
    let expected = TerminatedLink { span: linked, style: Style::TraceContext, reason: "terminated_context" };
    assert_eq!(links(&found), [expected]);
    assert_eq!(found.link_trace_state.as_str(), "dd=s:1,foo=1");
    assert!(found.context.unwrap().trace_state.is_empty());
}

#[test]
fn the_same_span_in_both_adds_only_the_state() {
    let same = [D[0], ("x-datadog-parent-id", "67667974448284343"), D[2], D[3], ("x-datadog-origin", "rum")];
    let traceparent = ("traceparent", "00-640cfd8d00000000abcdefab12345678-00f067aa0ba902b7-02");
    let headers = Headers::of(&same).and(&[traceparent, ("tracestate", "dd=s:0;o:x;p:00000000000000aa,ot=th:8,foo=1")]);
    let found = Propagation::default().extract(&headers, &mut NoBaggage).context.unwrap();
    assert_eq!(ids(&found), (TRACE, SPAN, Some(2)));
    assert_eq!((found.origin.as_str(), found.last_parent), ("rum", SpanId(0)));
    assert_eq!((found.trace_state.as_str(), found.ot.as_str()), ("foo=1", "th:8"));
    assert_eq!(found.span.trace_flags(), 3, "kept by the priority, random by the traceparent");
}

#[test]
fn the_datadog_parent_is_known_wherever_it_stands() {
    let b3 = ("b3", "640cfd8d00000000abcdefab12345678-0000000000000001-1");
    let headers = Headers::of(&D).and(&[b3, T]);
    let found = styles(&[Style::B3, Style::Datadog, Style::TraceContext]).extract(&headers, &mut NoBaggage);
    let found = found.context.unwrap();
    assert_eq!((ids(&found), found.last_parent), ((TRACE, SPAN, Some(1)), SpanId(56)));
    // Of a trace that tracecontext began nothing is replaced.
    let found = styles(&[Style::TraceContext, Style::Datadog]).extract(&headers, &mut NoBaggage);
    assert_eq!(found.context.as_ref().map(ids), Some((TRACE, SPAN, Some(1))));
    assert!(links(&found).is_empty());
}

/// A header set for each style, each with a trace of its own.
fn each_its_own() -> Headers {
    Headers::of(&[
        ("x-datadog-trace-id", "1"),
        ("x-datadog-parent-id", "1"),
        ("traceparent", "00-00000000000000000000000000000002-0000000000000002-00"),
        ("b3", "0000000000000003-0000000000000003-1"),
        ("x-b3-traceid", "0000000000000004"),
        ("x-b3-spanid", "0000000000000004"),
        ("uber-trace-id", "5:5:0:1"),
        ("x-amzn-trace-id", "Root=1-00000000-000000000000000000000006;Parent=0000000000000006;Sampled=1"),
        ("ot-tracer-traceid", "7"),
        ("ot-tracer-spanid", "7"),
        ("baggage", "k=v"),
    ])
}

const TRACES: [Style; 7] = [
    Style::Datadog,
    Style::TraceContext,
    Style::B3,
    Style::B3Multi,
    Style::Jaeger,
    Style::XRay,
    Style::OtTrace,
];

#[test]
fn datadog_takes_the_first_and_links_to_the_others() {
    for first in 0..TRACES.len() {
        let mut order = TRACES;
        order.rotate_left(first);
        let found = styles(&order).extract(&each_its_own(), &mut NoBaggage);
        assert_eq!(found.context.unwrap().span.trace_id.0, first as u128 + 1);
        let seen: Vec<(Style, u128, u8)> =
            found.links.iter().flatten().map(|link| (link.style, link.span.trace_id.0, link.span.flags)).collect();
        let expected: Vec<(Style, u128, u8)> = (1..7)
            .map(|place| (first + place) % 7)
            .map(|number| (TRACES[number], number as u128 + 1, u8::from([2, 4, 5].contains(&number))))
            .collect();
        assert_eq!(seen, expected);
    }
}

#[test]
fn opentelemetry_takes_the_last_valid_one() {
    for (last, style) in TRACES.into_iter().enumerate() {
        let mut order = TRACES;
        order.rotate_left(last + 1);
        let found = of_otel(&order).extract(&each_its_own(), &mut NoBaggage);
        // Of the two forms of B3 the single header goes before, whichever is named.
        let expected = if style == Style::B3Multi { 3 } else { last as u128 + 1 };
        assert_eq!(found.context.unwrap().span.trace_id.0, expected);
        assert!(found.links.iter().all(Option::is_none));
    }
    let broken = Headers::of(&[T, ("b3", "nonsense")]);
    let found = of_otel(&[Style::TraceContext, Style::B3]).extract(&broken, &mut NoBaggage);
    assert_eq!(found.context.as_ref().map(ids), Some((TRACE, SPAN, Some(1))));
}

#[test]
fn the_first_only() {
    let propagation = Propagation { extract_first: true, ..Propagation::default() };
    let mut baggage = Baggage::default();
    let found = propagation.extract(&each_its_own(), &mut baggage);
    assert_eq!(found.context.as_ref().map(ids), Some((1, 1, None)));
    assert!(links(&found).is_empty());
    assert_eq!((found.has_baggage, baggage.get("k")), (true, Some("v")));
    // Even if it finds nothing.
    assert_eq!(propagation.extract(&Headers::of(&[T]), &mut NoBaggage).context, None);
}

#[test]
fn the_first_is_the_first_listed_even_if_it_is_baggage() {
    let w3c = Some((2, 2, Some(0)));
    let cases: [(&[Style], _, bool); 6] = [
        (&[Style::TraceContext, Style::Baggage], w3c, true),
        (&[Style::TraceContext, Style::Datadog], w3c, false),
        (&[Style::Baggage, Style::TraceContext], None, true),
        (&[Style::Baggage, Style::Datadog, Style::TraceContext], None, true),
        (&[Style::Baggage], None, true),
        (&[], None, false),
    ];
    for (list, context, has_baggage) in cases {
        for propagation in [styles(list), of_otel(list)] {
            for behaviour in [ExtractBehaviour::Continue, ExtractBehaviour::Restart] {
                let propagation = Propagation { extract_first: true, behaviour, ..propagation };
                let mut baggage = Baggage::default();
                let found = propagation.extract(&each_its_own(), &mut baggage);
                let continued = context.filter(|_| behaviour == ExtractBehaviour::Continue);
                assert_eq!(found.context.as_ref().map(ids), continued, "{list:?}");
                let linked = context.is_some() && behaviour == ExtractBehaviour::Restart;
                assert_eq!(links(&found).len(), usize::from(linked), "{list:?}");
                assert_eq!((found.has_baggage, baggage.get("k").is_some()), (has_baggage, has_baggage), "{list:?}");
            }
        }
    }
}

#[test]
fn a_decision_without_a_trace_is_of_a_style_that_is_read() {
    let headers = [("b3", "0"), ("x-b3-sampled", "0")];
    for (list, extract_first, priority) in [
        (&[Style::TraceContext, Style::B3][..], false, Some(0)),
        (&[Style::TraceContext, Style::B3], true, None),
        (&[Style::Datadog, Style::B3Multi], true, None),
        (&[Style::B3, Style::TraceContext], true, Some(0)),
    ] {
        let found = read(Propagation { extract_first, ..styles(list) }, &headers).context;
        assert_eq!(found.and_then(|context| context.span.priority), priority.map(Priority), "{list:?}");
    }
}

#[test]
fn what_a_process_was_started_with_is_read_as_far_as_is_wished() {
    let environment = Headers::of(&[T, ("baggage", "k=v")]);
    let all = Propagation::default();
    for (propagation, takes_baggage) in [
        (all, true),
        (Propagation { behaviour: ExtractBehaviour::Restart, ..all }, true),
        (Propagation { behaviour: ExtractBehaviour::Ignore, ..all }, false),
        (styles(&[]), false),
        (styles(&[Style::Datadog]), false),
        (styles(&[Style::Baggage]), true),
    ] {
        let mut baggage = Baggage::default();
        let found = propagation.of_process().extract(&environment, &mut baggage);
        // The launcher has put it there.
        assert_eq!(found.context.as_ref().map(ids), Some((TRACE, SPAN, Some(1))));
        assert_eq!((found.has_baggage, baggage.get("k").is_some()), (takes_baggage, takes_baggage));
    }
}

#[test]
fn a_link_has_no_state_where_a_context_would_have_none() {
    for (state, linked) in [
        ("foo=1,bar=2", "foo=1,bar=2"),
        ("Foo=1,bar=2", ""),
        ("foo=1,bar=1=2", ""),
        ("foo=1,dd=\u{1}", "foo=1"),
    ] {
        let headers = Headers::of(&[D[0], D[1]]).and(&[T, ("tracestate", state)]);
        let found = Propagation::default().extract(&headers, &mut NoBaggage);
        assert_eq!((links(&found).len(), found.link_trace_state.as_str()), (1, linked), "{state}");
    }
}

#[test]
fn a_new_trace_links_to_the_incoming_one() {
    let propagation = Propagation { behaviour: ExtractBehaviour::Restart, ..Propagation::default() };
    let mut baggage = Baggage::default();
    let found = propagation.extract(&each_its_own(), &mut baggage);
    assert_eq!(found.context, None);
    assert_eq!(baggage.get("k"), Some("v"));
    let reason = "propagation_behavior_extract";
    assert_eq!(links(&found), [TerminatedLink { span: span(1, 1, None), style: Style::Datadog, reason }]);
    assert!(found.link_trace_state.is_empty());
    let headers = [T, ("tracestate", " foo=1 ,,bar=2")];
    let found = read(propagation, &headers);
    assert_eq!(found.link_trace_state.as_str(), "foo=1,bar=2");
    assert_eq!((links(&found).len(), links(&found)[0].span.flags), (1, 1));
    // No span to link to.
    assert!(links(&read(propagation, &D[..1])).is_empty());
}

#[test]
fn a_place_can_be_used_again() {
    let mut found = Propagation::default().extract(&each_its_own(), &mut NoBaggage);
    assert!(found.context.is_some() && found.has_baggage && !links(&found).is_empty());
    Propagation::default().extract_into(&Headers::default(), &mut NoBaggage, &mut found);
    assert!(found.context.is_none() && !found.has_baggage && links(&found).is_empty());
}

#[test]
fn nothing_is_taken_where_it_is_ignored() {
    let propagation = Propagation { behaviour: ExtractBehaviour::Ignore, ..styles(&Style::ALL) };
    let mut baggage = Baggage::default();
    let found = propagation.extract(&each_its_own(), &mut baggage);
    assert!(found.context.is_none() && links(&found).is_empty() && !found.has_baggage && baggage.is_empty());
}

#[test]
fn the_environment_carries_a_context() {
    let mut environment: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut baggage = Baggage::default();
    baggage.set("k", "v");
    let context = reference();
    let outgoing = Outgoing { span: context.span, is_local: true, trace: &context, baggage: &baggage };
    let mut writer = EnvironmentWriter(|name: &[u8], value: &[u8]| environment.push((name.to_vec(), value.to_vec())));
    Propagation::default().inject(&outgoing, &mut writer);
    let names: Vec<&str> = environment.iter().map(|(name, _)| std::str::from_utf8(name).unwrap()).collect();
    let expected = [
        "X_DATADOG_TRACE_ID",
        "X_DATADOG_PARENT_ID",
        "X_DATADOG_SAMPLING_PRIORITY",
        "X_DATADOG_TAGS",
        "TRACEPARENT",
        "TRACESTATE",
        "BAGGAGE",
    ];
    assert_eq!(names, expected);
    let reader = EnvironmentCarrier(|name: &[u8]| {
        environment.iter().find(|(present, _)| present == name).map(|(_, value)| value.clone())
    });
    let mut read = Baggage::default();
    let found = Propagation::default().extract(&reader, &mut read);
    assert_eq!(found.context.as_ref().map(ids), Some((TRACE, SPAN, Some(2))));
    assert_eq!(read, baggage);
}
