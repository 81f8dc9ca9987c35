//! B3 in both forms and both dialects.

use super::*;

const IDS: &str = "640cfd8d00000000abcdefab12345678-00f067aa0ba902b7";

fn single(dialect: Dialect, header: &str) -> Option<(u128, u64, Option<i32>)> {
    let propagation = Propagation { dialect, ..styles(&[Style::B3]) };
    read(propagation, &[("b3", header)]).context.as_ref().map(ids)
}

#[test]
fn written_in_both_forms() {
    for (priority, state, multi) in [
        (None, "", None),
        (Some(-1), "-0", Some(("x-b3-sampled", "0"))),
        (Some(0), "-0", Some(("x-b3-sampled", "0"))),
        (Some(1), "-1", Some(("x-b3-sampled", "1"))),
        (Some(2), "-d", Some(("x-b3-flags", "1"))),
        (Some(9), "-d", Some(("x-b3-flags", "1"))),
    ] {
        let context = TraceContext { span: span(TRACE, SPAN, priority), ..TraceContext::default() };
        let headers = written(styles(&[Style::B3, Style::B3Multi]), &context, &Baggage::default());
        let mut expected = Headers::of(&[
            ("b3", &format!("{IDS}{state}")),
            ("x-b3-traceid", "640cfd8d00000000abcdefab12345678"),
            ("x-b3-spanid", "00f067aa0ba902b7"),
        ]);
        expected = expected.and(multi.as_slice());
        assert_eq!(headers, expected);
    }
}

#[test]
fn debug_is_handed_on_and_by_opentelemetry_not_made() {
    let list = [Style::B3, Style::B3Multi, Style::Jaeger];
    let of_b3 = [("b3", "640cfd8d00000000abcdefab12345678-00f067aa0ba902b7-d")];
    let several = [
        ("x-b3-traceid", "640cfd8d00000000abcdefab12345678"),
        ("x-b3-spanid", "00f067aa0ba902b7"),
        ("x-b3-flags", "1"),
    ];
    let of_jaeger = [("uber-trace-id", "640cfd8d00000000abcdefab12345678:f067aa0ba902b7:0:03")];
    let came = |headers: &[(&str, &str)]| read(of_otel(&list), headers).context.unwrap();
    let not_debug = TraceContext { span: span(TRACE, SPAN, Some(2)), ..TraceContext::default() };
    for (mut context, decided, propagation, b3, flags, jaeger) in [
        (not_debug.clone(), false, styles(&list), "-d", Some("1"), ":03"),
        (not_debug.clone(), true, styles(&list), "-d", Some("1"), ":03"),
        (not_debug.clone(), false, of_otel(&list), "-1", None, ":01"),
        (not_debug, true, of_otel(&list), "-1", None, ":01"),
        (came(&of_b3), false, of_otel(&list), "-d", Some("1"), ":03"),
        (came(&several), true, of_otel(&list), "-d", Some("1"), ":03"),
        (came(&of_jaeger), true, of_otel(&list), "-d", Some("1"), ":03"),
    ] {
        if decided {
            context.tags.set(b"_dd.p.dm", b"-3").unwrap();
        }
        let headers = written(propagation, &context, &Baggage::default());
        assert!(headers.get("b3").unwrap().ends_with(b3), "{headers:?}");
        assert!(headers.get("uber-trace-id").unwrap().ends_with(jaeger), "{headers:?}");
        let sampled = if flags.is_some() { None } else { Some("1") };
        assert_eq!((headers.get("x-b3-flags"), headers.get("x-b3-sampled")), (flags, sampled));
    }
}

#[test]
fn the_single_header() {
    let ids = (TRACE, SPAN);
    for (header, datadog, otel) in [
        (IDS.to_string(), Some(None), Some(None)),
        (format!("{IDS}-0"), Some(Some(0)), Some(Some(0))),
        (format!("{IDS}-1"), Some(Some(1)), Some(Some(1))),
        (format!("{IDS}-d"), Some(Some(2)), Some(Some(2))),
        (format!("{IDS}-1-05e3ac9a4f6e3b90"), Some(Some(1)), Some(Some(1))),
        (format!("{IDS}-x"), Some(None), Some(None)),
        (format!("{IDS}-true"), Some(None), Some(Some(1))),
        (format!(" {IDS}-1\t"), Some(Some(1)), Some(Some(1))),
        (IDS.to_uppercase(), Some(None), Some(None)),
        (String::new(), None, None),
        ("640cfd8d00000000abcdefab12345678".into(), None, None),
        ("640cfd8d00000000abcdefab1234567g-00f067aa0ba902b7".into(), None, None),
        ("640cfd8d00000000abcdefab12345678-00f067aa0ba902bg".into(), None, None),
        ("640cfd8d00000000abcdefab123456780-00f067aa0ba902b7".into(), None, None),
        ("640cfd8d00000000abcdefab12345678-000f067aa0ba902b7".into(), None, None),
        ("00000000000000000000000000000000-00f067aa0ba902b7".into(), None, None),
        ("00000000000000000000000000000000-0000000000000000".into(), None, None),
    ] {
        let expect = |priority: Option<Option<i32>>| priority.map(|priority| (ids.0, ids.1, priority));
        assert_eq!(single(Dialect::Datadog, &header), expect(datadog), "{header}");
        assert_eq!(single(Dialect::OpenTelemetry, &header), expect(otel), "{header}");
    }
    // Short ids are Datadog's alone, but for the trace id of 64 bits.
    assert_eq!(single(Dialect::Datadog, "7-8-1"), Some((7, 8, Some(1))));
    assert_eq!(single(Dialect::OpenTelemetry, "7-8-1"), None);
    assert_eq!(single(Dialect::OpenTelemetry, "0000000000000007-0000000000000008-1"), Some((7, 8, Some(1))));
}

#[test]
fn several_headers() {
    let (trace, parent) = (("X-B3-TraceId", "7"), ("X-B3-SpanId", "8"));
    let cases: [(&[(&str, &str)], _); 12] = [
        (&[trace, parent], Some(None)),
        (&[trace, parent, ("X-B3-Sampled", "0")], Some(Some(0))),
        (&[trace, parent, ("X-B3-Sampled", "1")], Some(Some(1))),
        (&[trace, parent, ("X-B3-Sampled", "x")], Some(None)),
        (&[trace, parent, ("X-B3-Flags", "1")], Some(Some(2))),
        (&[trace, parent, ("X-B3-Flags", "1"), ("X-B3-Sampled", "0")], Some(Some(2))),
        (&[trace, parent, ("X-B3-Flags", "0"), ("X-B3-Sampled", "1")], Some(Some(1))),
        (&[trace, parent, ("X-B3-ParentSpanId", "nonsense")], Some(None)),
        (&[("X-B3-TraceId", "0"), parent], None),
        (&[parent], None),
        (&[trace, ("X-B3-SpanId", "x")], None),
        (&[("X-B3-TraceId", "xyz"), parent], None),
    ];
    for (headers, expected) in cases {
        let found = context(Style::B3Multi, headers);
        assert_eq!(found.as_ref().map(ids), expected.map(|priority| (7, 8, priority)), "{headers:?}");
    }
    let full = [("x-b3-traceid", "0000000000000007"), ("x-b3-spanid", "0000000000000008"), ("x-b3-sampled", "True")];
    assert_eq!(context(Style::B3Multi, &full).as_ref().map(ids), Some((7, 8, None)));
    assert_eq!(read(of_otel(&[Style::B3Multi]), &full).context.as_ref().map(ids), Some((7, 8, Some(1))));
}

#[test]
fn datadogs_dialect_continues_a_trace_without_a_span_id() {
    const T: &str = "640cfd8d00000000abcdefab12345678";
    let (trace, kept) = (("x-b3-traceid", T), ("x-b3-sampled", "1"));
    let (zero, long) = ("0000000000000000", "00000000000000001");
    let cases: [(Style, &[(&str, &str)], _); 13] = [
        (Style::B3Multi, &[trace], Some(None)),
        (Style::B3Multi, &[trace, kept], Some(Some(1))),
        (Style::B3Multi, &[trace, ("x-b3-spanid", ""), kept], Some(Some(1))),
        (Style::B3Multi, &[trace, ("x-b3-spanid", "0")], Some(None)),
        (Style::B3Multi, &[trace, ("x-b3-spanid", zero), kept], Some(Some(1))),
        // Malformed is not missing.
        (Style::B3Multi, &[trace, ("x-b3-spanid", "x")], None),
        (Style::B3Multi, &[trace, ("x-b3-spanid", long)], None),
        (Style::B3Multi, &[("x-b3-traceid", zero), kept], None),
        (Style::B3, &[("b3", &format!("{T}-{zero}"))], Some(None)),
        (Style::B3, &[("b3", &format!("{T}-0-d"))], Some(Some(2))),
        (Style::B3, &[("b3", &format!("{T}--1"))], Some(Some(1))),
        (Style::B3, &[("b3", &format!("{T}-{long}"))], None),
        (Style::B3, &[("b3", T)], None),
    ];
    for (style, headers, expected) in cases {
        let expected = expected.map(|priority| (TRACE, 0, priority));
        assert_eq!(context(style, headers).as_ref().map(ids), expected, "{headers:?}");
        assert_eq!(read(of_otel(&[style]), headers).context, None, "{headers:?}");
    }
}

#[test]
fn a_state_without_ids_is_for_the_trace_that_begins_here() {
    let cases: [(Style, &[(&str, &str)], _); 11] = [
        (Style::B3, &[("b3", "0")], Some(0)),
        (Style::B3, &[("b3", "1")], Some(1)),
        (Style::B3, &[("b3", " d ")], Some(2)),
        (Style::B3, &[("b3", "true")], None),
        (Style::B3, &[("b3", "0-0")], None),
        (Style::B3, &[("x-b3-sampled", "0")], None),
        (Style::B3Multi, &[("x-b3-sampled", "0")], Some(0)),
        (Style::B3Multi, &[("x-b3-sampled", "1"), ("x-b3-flags", "1")], Some(2)),
        (Style::B3Multi, &[("x-b3-sampled", "x")], None),
        (Style::B3Multi, &[("x-b3-sampled", "0"), ("x-b3-spanid", "7")], None),
        (Style::B3Multi, &[("x-b3-sampled", "0"), ("x-b3-traceid", "x")], None),
    ];
    for (style, headers, priority) in cases {
        let found = context(style, headers);
        assert_eq!(found.as_ref().map(ids), priority.map(|priority| (0, 0, Some(priority))), "{headers:?}");
        assert_eq!(read(of_otel(&[style]), headers).context, None, "{headers:?}");
    }
    // A trace of another style goes on as it says.
    let both = [("b3", "0"), ("x-datadog-trace-id", "7"), ("x-datadog-parent-id", "8")];
    let found = read(styles(&[Style::B3, Style::Datadog]), &both).context;
    assert_eq!(found.as_ref().map(ids), Some((7, 8, None)));
}

#[test]
fn the_header_sampled() {
    for (state, datadog, otel) in [
        ("0", Some(0), Some(0)),
        ("1", Some(1), Some(1)),
        ("d", None, Some(2)),
        ("true", None, Some(1)),
        ("True", None, Some(1)),
        ("false", None, Some(0)),
        ("D", None, None),
        ("2", None, None),
        ("-1", None, None),
        ("", None, None),
    ] {
        let headers =
            [("x-b3-traceid", "0000000000000007"), ("x-b3-spanid", "0000000000000008"), ("x-b3-sampled", state)];
        assert_eq!(context(Style::B3Multi, &headers).as_ref().map(ids), Some((7, 8, datadog)), "{state}");
        let found = read(of_otel(&[Style::B3Multi]), &headers).context;
        assert_eq!(found.as_ref().map(ids), Some((7, 8, otel)), "{state}");
    }
}

#[test]
fn opentelemetry_tries_both_forms_whichever_is_named() {
    let one = [("b3", "0000000000000001-0000000000000001-1")];
    let many = [("x-b3-traceid", "0000000000000007"), ("x-b3-spanid", "0000000000000008")];
    for style in [Style::B3, Style::B3Multi] {
        let otel = of_otel(&[style]);
        assert_eq!(read(otel, &one).context.as_ref().map(ids), Some((1, 1, Some(1))));
        assert_eq!(read(otel, &many).context.as_ref().map(ids), Some((7, 8, None)));
        let both = Headers::of(&one).and(&many);
        assert_eq!(otel.extract(&both, &mut NoBaggage).context.as_ref().map(ids), Some((1, 1, Some(1))));
        let broken = Headers::of(&[("b3", "0")]).and(&many);
        assert_eq!(otel.extract(&broken, &mut NoBaggage).context.as_ref().map(ids), Some((7, 8, None)));
    }
    assert_eq!(context(Style::B3, &many), None);
    assert_eq!(context(Style::B3Multi, &one), None);
}
