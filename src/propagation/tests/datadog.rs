//! `x-datadog-*` and Datadog's member of the `tracestate`, with the vectors of the reference.

use super::*;

fn datadog(more: &[(&str, &str)]) -> Option<TraceContext> {
    let headers = Headers::of(more).and(&[("x-datadog-trace-id", "7"), ("x-datadog-parent-id", "8")]);
    styles(&[Style::Datadog]).extract(&headers, &mut NoBaggage).context
}

#[test]
fn the_vector_of_all_headers() {
    let mut baggage = Baggage::default();
    baggage.set("user.id", "Am\u{e9}lie 1,2");
    let headers = written(Propagation::default(), &reference(), &baggage);
    let expected = [
        ("x-datadog-trace-id", "12379814468735227512"),
        ("x-datadog-parent-id", "67667974448284343"),
        ("x-datadog-sampling-priority", "2"),
        ("x-datadog-tags", "_dd.p.dm=-4,_dd.p.usr.id=a=b;c~d,_dd.p.tid=640cfd8d00000000"),
        ("traceparent", "00-640cfd8d00000000abcdefab12345678-00f067aa0ba902b7-01"),
        ("tracestate", "dd=s:2;t.dm:-4;t.usr.id:a~b_c_d;t.tid:640cfd8d00000000"),
        ("baggage", "user.id=Am%C3%A9lie%201%2C2"),
    ];
    assert_eq!(headers, Headers::of(&expected));
    // Alone, W3C's has the high half of the id in its traceparent only.
    let alone = written(styles(&[Style::TraceContext]), &reference(), &baggage);
    assert_eq!(alone.get("tracestate"), Some("dd=s:2;t.dm:-4;t.usr.id:a~b_c_d"));
}

#[test]
fn the_vector_of_small_ids() {
    let context = TraceContext { span: span(0x123, 7, Some(-1)), ..TraceContext::default() };
    let headers = written(styles(&[Style::Datadog, Style::TraceContext, Style::B3]), &context, &Baggage::default());
    let expected = [
        ("x-datadog-trace-id", "291"),
        ("x-datadog-parent-id", "7"),
        ("x-datadog-sampling-priority", "-1"),
        ("traceparent", "00-00000000000000000000000000000123-0000000000000007-00"),
        ("tracestate", "dd=s:-1"),
        ("b3", "0000000000000123-0000000000000007-0"),
    ];
    assert_eq!(headers, Headers::of(&expected));
}

#[test]
fn the_vector_of_an_origin() {
    let mut context = TraceContext { span: span(1, 1, None), ..TraceContext::default() };
    context.origin.set(b"synthetics=web,x;~").unwrap();
    let headers = written(Propagation::default(), &context, &Baggage::default());
    assert_eq!(headers.get("x-datadog-origin"), Some("synthetics=web,x;~"));
    assert_eq!(headers.get("tracestate"), Some("dd=o:synthetics~web_x__"));
    assert_eq!(headers.get("x-datadog-sampling-priority"), None);
    for hidden in ["caf\u{e9}", "a\r\nx: y"] {
        context.origin.set(hidden.as_bytes()).unwrap();
        let headers = written(Propagation::default(), &context, &Baggage::default());
        assert_eq!(headers.get("x-datadog-origin"), None, "{hidden}");
        let expected = if hidden.is_ascii() { "dd=o:a__x: y" } else { "dd=o:caf_" };
        assert_eq!(headers.get("tracestate"), Some(expected));
    }
}

#[test]
fn the_vector_of_a_forwarded_state() {
    let state = "vend=1,dd=s:2;o:rum;t.dm:-4;x:unknown,ot=th:8,foo=2";
    let parent = "00-640cfd8d00000000abcdefab12345678-00f067aa0ba902b7-03";
    let found = read(Propagation::default(), &[("traceparent", parent), ("tracestate", state)]).context.unwrap();
    let headers = written_by_child(Propagation::default(), &found, 0xd241_4a40_ad25_1c6e);
    assert_eq!(headers.get("traceparent"), Some("00-640cfd8d00000000abcdefab12345678-d2414a40ad251c6e-03"));
    let expected = "dd=p:d2414a40ad251c6e;s:2;o:rum;t.dm:-4;t.tid:640cfd8d00000000,ot=th:8,vend=1,foo=2";
    assert_eq!(headers.get("tracestate"), Some(expected));
}

#[test]
fn ids_and_priority() {
    for (trace, parent, priority, expected) in [
        ("7", "8", "1", Some((7, 8, Some(1)))),
        (" 7\t", " 8 ", " 1 ", Some((7, 8, Some(1)))),
        ("18446744073709551615", "18446744073709551615", "-1", Some((u64::MAX.into(), u64::MAX, Some(-1)))),
        ("7", "8", "9", Some((7, 8, Some(9)))),
        ("7", "8", "-2147483648", Some((7, 8, Some(i32::MIN)))),
        ("7", "0", "1", Some((7, 0, Some(1)))),
        ("0", "8", "1", None),
        ("", "8", "1", None),
        ("18446744073709551616", "8", "1", None),
        ("a", "8", "1", None),
        ("-7", "8", "1", None),
        ("7", "x", "1", None),
        ("7", "", "1", None),
        ("7", "8", "x", None),
        ("7", "8", "1.0", None),
        ("7", "8", "", None),
    ] {
        let headers = [
            ("X-Datadog-Trace-Id", trace),
            ("X-Datadog-Parent-Id", parent),
            ("X-Datadog-Sampling-Priority", priority),
        ];
        let found = context(Style::Datadog, &headers);
        assert_eq!(found.as_ref().map(ids), expected, "{headers:?}");
        assert!(found.is_none_or(|found| found.is_remote));
    }
    assert_eq!(context(Style::Datadog, &[("x-datadog-parent-id", "8")]), None);
    let rootless = context(Style::Datadog, &[("x-datadog-trace-id", "7")]).unwrap();
    assert_eq!(ids(&rootless), (7, 0, None));
}

#[test]
fn tags_are_read() {
    let long = format!("_dd.p.x={}", "y".repeat(505));
    let longest = format!("_dd.p.x={}", "y".repeat(504));
    for (header, tags, trace, error) in [
        ("", "", 7, ""),
        ("_dd.p.dm=-4,_dd.p.usr.id=a=b;c~d", "_dd.p.dm=-4,_dd.p.usr.id=a=b;c~d", 7, ""),
        ("_dd.p.usr.id=YQ==", "_dd.p.usr.id=YQ==", 7, ""),
        ("_dd.p.tid=640cfd8d00000000,_dd.p.a=1", "_dd.p.a=1", 0x640c_fd8d_0000_0000_0000_0000_0000_0007, ""),
        ("a=1,_dd.p.upstream_services=x,_dd.p.b=2,_dd=3", "_dd.p.b=2", 7, ""),
        ("_dd.p.a=1,_dd.p.a=2", "_dd.p.a=2", 7, ""),
        ("_dd.p.a=1 2", "_dd.p.a=1 2", 7, ""),
        (&longest, &longest, 7, ""),
        (&long, "", 7, "extract_max_size"),
        ("_dd.p.dm", "", 7, "decoding_error"),
        ("_dd.p.a=1,_dd.p.dm", "", 7, "decoding_error"),
        ("_dd.p.a=1,", "", 7, "decoding_error"),
        ("_dd.p.a=", "", 7, "decoding_error"),
        ("=1", "", 7, "decoding_error"),
        ("_dd.p.a b=1", "", 7, "decoding_error"),
        ("_dd.p.a=\u{e9}", "", 7, "decoding_error"),
        ("_dd.p.dm=-x,_dd.p.a=1", "_dd.p.a=1", 7, "decoding_error"),
        ("_dd.p.dm=4", "", 7, "decoding_error"),
        ("_dd.p.dm=-", "", 7, "decoding_error"),
        ("_dd.p.tid=640CFD8D00000000,_dd.p.a=1", "_dd.p.a=1", 7, "malformed_tid"),
        ("_dd.p.tid=640cfd8d0000000", "", 7, "malformed_tid"),
        ("_dd.p.tid=0000000000000000", "", 7, "malformed_tid"),
    ] {
        let found = datadog(&[("x-datadog-tags", header)]).unwrap();
        let seen = (std::str::from_utf8(found.tags.as_bytes()).unwrap(), found.span.trace_id.0, name_of(found.error));
        assert_eq!(seen, (tags, trace, error), "{header}");
        assert_eq!(found.span.span_id, SpanId(8));
    }
}

#[test]
fn a_malformed_tid_is_told_and_looks_malformed() {
    let (fits, long) = ("7".repeat(64), "7".repeat(65));
    let cut = "7".repeat(61) + "...";
    for (value, shown) in [
        ("x", "x"),
        ("640cfd8d0000000", "640cfd8d0000000"),
        ("640CFD8D00000000", "640CFD8D00000000"),
        ("0000000000000000", "0000000000000000"),
        ("1234567890abcdef0", "1234567890abcdef0"),
        (&fits, &fits),
        (&long, &cut),
    ] {
        let found = datadog(&[("x-datadog-tags", &format!("_dd.p.tid={value}"))]).unwrap();
        let Some(PropagationError::MalformedTid(kept)) = found.error else { panic!("{value}: {:?}", found.error) };
        assert_eq!(String::from_utf8_lossy(&kept).trim_end_matches('\0'), shown);
    }
}

#[test]
fn the_configured_limit_is_for_sending_only() {
    let long = format!("_dd.p.x={}", "y".repeat(504));
    let tid = "_dd.p.tid=640cfd8d00000000";
    for limit in [0, 10, 512] {
        let propagation = Propagation { tags_max_length: limit, ..styles(&[Style::Datadog]) };
        for (header, tags, trace, error) in [
            (tid, "", 0x640c_fd8d_0000_0000_0000_0000_0000_0007, ""),
            ("_dd.p.dm=-4", "_dd.p.dm=-4", 7, ""),
            (&long, &long, 7, ""),
            (&format!("{long}y"), "", 7, "extract_max_size"),
        ] {
            let found = read(propagation, &[("x-datadog-trace-id", "7"), ("x-datadog-tags", header)]).context.unwrap();
            let seen = (found.tags.as_bytes(), found.span.trace_id.0, name_of(found.error));
            assert_eq!(seen, (tags.as_bytes(), trace, error), "{limit} {header}");
        }
    }
}

#[test]
fn tags_are_written_all_or_not_at_all() {
    let tag = |value: &str| {
        let mut context = reference();
        context.tags.clear();
        context.tags.set(b"_dd.p.x", value.as_bytes()).unwrap();
        context
    };
    // `_dd.p.x=`, a comma and the high half of the id are 34 bytes.
    for (value, limit, expected) in [
        ("y".repeat(477), 512, ""),
        ("y".repeat(478), 512, "inject_max_size"),
        ("y".repeat(478), 9999, "inject_max_size"),
        ("y".repeat(15), 50, ""),
        ("y".repeat(16), 50, "inject_max_size"),
        ("y".into(), 0, "disabled"),
        ("\u{e9}".into(), 512, "encoding_error"),
        ("a\nb".into(), 512, "encoding_error"),
        ("a,b".into(), 512, "encoding_error"),
        ("a,_dd.p.y=b".into(), 512, "encoding_error"),
    ] {
        let propagation = Propagation { tags_max_length: limit, ..styles(&[Style::Datadog]) };
        let context = tag(&value);
        let mut headers = Headers::default();
        let outgoing = Outgoing { span: context.span, is_local: false, trace: &context, baggage: &NoBaggage };
        let error = propagation.inject(&outgoing, &mut headers);
        assert_eq!(name_of(error), expected, "{value} {limit}");
        assert_eq!(headers.get("x-datadog-tags").is_some(), expected.is_empty());
        assert!(headers.get("x-datadog-trace-id").is_some());
    }
    // Nothing to send is no error.
    let plain = TraceContext { span: span(1, 1, None), ..TraceContext::default() };
    let disabled = Propagation { tags_max_length: 0, ..styles(&[Style::Datadog]) };
    let outgoing = Outgoing { span: plain.span, is_local: false, trace: &plain, baggage: &NoBaggage };
    assert_eq!(disabled.inject(&outgoing, &mut Headers::default()), None);
}

/// `(tracestate, priority, origin, last parent, tags, forwarded)` with the flag "sampled".
type MemberCase<'a> = (&'a str, i32, &'a str, u64, &'a str, &'a str);

#[test]
fn the_member_of_the_tracestate_is_read() {
    let cases: [MemberCase<'_>; 11] = [
        ("dd=s:2;o:rum~x;p:0000000000000007;t.dm:-4", 2, "rum=x", 7, "_dd.p.dm=-4", ""),
        ("dd=t.dm:-x;t.a:1", 1, "", 0, "_dd.p.a=1", ""),
        ("dd=t.usr.id:a:b~;", 1, "", 0, "_dd.p.usr.id=a:b=", ""),
        ("dd=p:7;s:2", 2, "", 0, "", ""),
        ("dd=p:00000000000000AA", 1, "", 0, "", ""),
        // Malformed: the others stay.
        ("dd=s:2;o,foo=1", 1, "", 0, "", "foo=1"),
        ("dd=s:x;o:rum,foo=1", 1, "", 0, "", "foo=1"),
        ("foo=1,dd=s:2,dd=s:0,bar=2", 2, "", 0, "", "foo=1,bar=2"),
        ("dd=t.tid:640cfd8d00000000;t.upstream_services:x;t.:y;t.a b:c;t.d:;unknown:z", 1, "", 0, "", ""),
        ("ddx=1", 1, "", 0, "", "ddx=1"),
        // One member that is none for W3C takes all with it.
        ("dd=s:2;o:rum,foo=1,=", 1, "", 0, "", ""),
    ];
    for (state, priority, origin, last_parent, tags, forwarded) in cases {
        let headers = [("traceparent", "00-000000000000000000000000000000ab-00000000000000cd-01"), ("tracestate", state)];
        let found = context(Style::TraceContext, &headers).unwrap();
        assert_eq!(ids(&found), (0xab, 0xcd, Some(priority)), "{state}");
        assert_eq!((found.origin.as_str(), found.last_parent), (origin, SpanId(last_parent)), "{state}");
        assert_eq!(found.tags.as_bytes(), tags.as_bytes(), "{state}");
        assert_eq!(found.trace_state.as_str(), forwarded, "{state}");
    }
}

#[test]
fn flag_and_member_together_give_the_priority() {
    for (flags, state, expected) in [
        ("01", "dd=s:2", Some(2)),
        ("01", "dd=s:1", Some(1)),
        ("01", "dd=s:9", Some(9)),
        ("01", "dd=s:0", Some(1)),
        ("01", "dd=s:-1", Some(1)),
        ("01", "dd=o:x", Some(1)),
        ("00", "dd=s:-1", Some(-1)),
        ("00", "dd=s:-7", Some(-7)),
        ("00", "dd=s:0", Some(0)),
        ("00", "dd=s:2", Some(0)),
        ("00", "", Some(0)),
        ("03", "", Some(1)),
        ("02", "", Some(0)),
        ("00", "dd=o:rum", None),
        ("01", "dd=o:rum", None),
        ("01", "dd=o:rum;s:2", Some(2)),
    ] {
        let parent = format!("00-{TRACE:032x}-{SPAN:016x}-{flags}");
        let found = context(Style::TraceContext, &[("traceparent", &parent), ("tracestate", state)]).unwrap();
        assert_eq!(ids(&found), (TRACE, SPAN, expected), "{flags} {state}");
        // An undecided one goes on as it came.
        if expected.is_none() {
            let headers = written(styles(&[Style::TraceContext]), &found, &Baggage::default());
            assert_eq!(headers.get("traceparent"), Some(parent.as_str()));
        }
    }
}

#[test]
fn the_member_is_no_longer_than_256_bytes() {
    let mut context = reference();
    context.tags.set(b"_dd.p.long", &[b'y'; 210]).unwrap();
    context.tags.set(b"_dd.p.late", b"1").unwrap();
    let propagation = styles(&[Style::TraceContext]);
    let child = written_by_child(propagation, &context, 1);
    let expected = "dd=p:0000000000000001;s:2;t.dm:-4;t.usr.id:a~b_c_d;t.late:1";
    assert_eq!(child.get("tracestate"), Some(expected), "what does not fit is left out, and what follows it is not");
    // Room is left for `p`, which others may add.
    let value = |length: usize| {
        let mut context = TraceContext { span: span(1, 1, None), ..TraceContext::default() };
        context.tags.set(b"_dd.p.a", &[b'y'].repeat(length)).unwrap();
        [written(propagation, &context, &Baggage::default()), written_by_child(propagation, &context, 1)]
            .map(|headers| headers.get("tracestate").map_or(0, |state| state.len() - "dd=".len()))
    };
    assert_eq!(value(233), [237, 256]);
    assert_eq!(value(234), [0, 18]);
}

#[test]
fn a_forwarded_context_keeps_the_last_parent() {
    let headers = [("traceparent", "00-000000000000000000000000000000ab-00000000000000cd-01"), ("tracestate", "dd=p:00000000000000ef")];
    let found = context(Style::TraceContext, &headers).unwrap();
    let forwarded = written(styles(&[Style::TraceContext]), &found, &Baggage::default());
    assert_eq!(forwarded.get("tracestate"), Some("dd=p:00000000000000ef;s:1"));
}

#[test]
fn a_blank_does_not_end_the_member() {
    let mut context = TraceContext { span: span(1, 1, None), ..TraceContext::default() };
    context.origin.set(b"x ").unwrap();
    let headers = written(styles(&[Style::TraceContext]), &context, &Baggage::default());
    assert_eq!(headers.get("tracestate"), Some("dd=o:x_"));
    context.tags.set(b"_dd.p.a;b:c=d", b"1").unwrap();
    let headers = written(styles(&[Style::TraceContext]), &context, &Baggage::default());
    assert_eq!(headers.get("tracestate"), Some("dd=o:x ;t.a_b_c:d~1"));
}
