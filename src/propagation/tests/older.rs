//! `uber-trace-id`, `x-amzn-trace-id` and `ot-tracer-*`.

use super::*;

#[test]
fn written_by_jaeger_xray_and_ottrace() {
    for (priority, jaeger, xray, ottrace) in [
        (None, "00", "0", "false"),
        (Some(0), "00", "0", "false"),
        (Some(1), "01", "1", "true"),
        (Some(2), "03", "1", "true"),
    ] {
        let context = TraceContext { span: span(TRACE, SPAN, priority), ..TraceContext::default() };
        let mut baggage = Baggage::default();
        baggage.set("user.id", "Am\u{e9}lie 1,2");
        baggage.set("plain", "a b");
        baggage.set("no name", "x");
        let headers = written(styles(&[Style::Jaeger, Style::XRay, Style::OtTrace]), &context, &baggage);
        let expected = [
            ("uber-trace-id", &format!("640cfd8d00000000abcdefab12345678:00f067aa0ba902b7:0:{jaeger}")[..]),
            ("uberctx-user.id", "Am%C3%A9lie%201%2C2"),
            ("uberctx-plain", "a%20b"),
            (
                "x-amzn-trace-id",
                &format!("Root=1-640cfd8d-00000000abcdefab12345678;Parent=00f067aa0ba902b7;Sampled={xray}"),
            ),
            ("ot-tracer-traceid", "abcdefab12345678"),
            ("ot-tracer-spanid", "00f067aa0ba902b7"),
            ("ot-tracer-sampled", ottrace),
            ("ot-baggage-plain", "a b"),
        ];
        assert_eq!(headers, Headers::of(&expected));
    }
    // A trace id whose low half is zero cannot be carried.
    let context = TraceContext { span: span(1 << 64, 1, Some(1)), ..TraceContext::default() };
    let low_only = styles(&[Style::OtTrace, Style::Datadog]);
    assert_eq!(written(low_only, &context, &Baggage::default()), Headers::default());
}

#[test]
fn jaeger() {
    for (header, expected) in [
        ("640cfd8d00000000abcdefab12345678:00f067aa0ba902b7:0:1", Some((TRACE, SPAN, Some(1)))),
        ("640cfd8d00000000abcdefab12345678%3A00f067aa0ba902b7%3a0%3A01", Some((TRACE, SPAN, Some(1)))),
        ("7:8:0:0", Some((7, 8, Some(0)))),
        ("7:8:9:1", Some((7, 8, Some(1)))),
        ("7:8:0:3", Some((7, 8, Some(2)))),
        ("7:8:0:2", Some((7, 8, Some(0)))),
        ("7:8:0:0d", Some((7, 8, Some(1)))),
        (" 7:8:0:1 ", Some((7, 8, Some(1)))),
        ("7:8:0", None),
        ("7:8:0:1:2", None),
        ("7:8::1", None),
        ("7:8:x:1", None),
        ("7:8:0:", None),
        ("7:8:0:101", None),
        ("0:8:0:1", None),
        ("7:0:0:1", None),
        ("g:8:0:1", None),
        ("1640cfd8d00000000abcdefab12345678:8:0:1", None),
        ("7:100f067aa0ba902b7:0:1", None),
        ("", None),
    ] {
        assert_eq!(context(Style::Jaeger, &[("uber-trace-id", header)]).as_ref().map(ids), expected, "{header}");
    }
}

#[test]
fn xray() {
    for (header, expected) in [
        ("Root=1-640cfd8d-00000000abcdefab12345678;Parent=00f067aa0ba902b7;Sampled=1", Some(Some(1))),
        ("Root=1-640cfd8d-00000000abcdefab12345678;Parent=00f067aa0ba902b7;Sampled=0", Some(Some(0))),
        ("Root=1-640cfd8d-00000000abcdefab12345678;Parent=00f067aa0ba902b7;Sampled=?", Some(None)),
        ("Root=1-640cfd8d-00000000abcdefab12345678;Parent=00f067aa0ba902b7", Some(None)),
        (" Sampled = 1 ; Parent=00f067aa0ba902b7; Root=1-640cfd8d-00000000abcdefab12345678;", Some(Some(1))),
        (
            "Self=1-67891234-12456789abcdef012345678;Root=1-640cfd8d-00000000abcdefab12345678;Parent=00f067aa0ba902b7;Lineage=a:1|b:2",
            Some(None),
        ),
        ("Root=1-640cfd8d-00000000abcdefab12345678", None),
        ("Parent=00f067aa0ba902b7;Sampled=1", None),
        ("Root=2-640cfd8d-00000000abcdefab12345678;Parent=00f067aa0ba902b7", None),
        ("Root=1-640cfd8d-00000000abcdefab1234567;Parent=00f067aa0ba902b7", None),
        ("Root=1-640cfd8d-00000000abcdefab123456789;Parent=00f067aa0ba902b7", None),
        ("Root=1-640cfd8d000000000abcdefab12345678;Parent=00f067aa0ba902b7", None),
        ("Root=1-640cfd8g-00000000abcdefab12345678;Parent=00f067aa0ba902b7", None),
        ("Root=1-640cfd8d-00000000abcdefab12345678;Parent=0f067aa0ba902b7", None),
        ("Root=1-640cfd8d-00000000abcdefab12345678;Parent=0000000000000000", None),
        ("Root=1-00000000-000000000000000000000000;Parent=00f067aa0ba902b7", None),
        ("Root=1-640cfd8d-00000000abcdefab12345678;Parent=00f067aa0ba902b7;Sampled=2", None),
        ("Root=1-640cfd8d-00000000abcdefab12345678;Parent=00f067aa0ba902b7;nonsense", None),
        ("", None),
    ] {
        let found = context(Style::XRay, &[("X-Amzn-Trace-Id", header)]);
        assert_eq!(found.as_ref().map(ids), expected.map(|priority| (TRACE, SPAN, priority)), "{header}");
    }
}

#[test]
fn ottrace() {
    for (trace, parent, sampled, expected) in [
        ("abcdefab12345678", "00f067aa0ba902b7", "true", Some((0xabcd_efab_1234_5678, SPAN, Some(1)))),
        ("640CFD8D00000000ABCDEFAB12345678", "F067AA0BA902B7", "false", Some((TRACE, SPAN, Some(0)))),
        ("7", "8", "", Some((7, 8, None))),
        ("0", "8", "true", None),
        ("7", "0", "true", None),
        ("7", "", "true", None),
        ("x", "8", "true", None),
        ("7", "100f067aa0ba902b7", "true", None),
        ("1640cfd8d00000000abcdefab12345678", "8", "true", None),
    ] {
        let headers = [("ot-tracer-traceid", trace), ("ot-tracer-spanid", parent), ("ot-tracer-sampled", sampled)];
        assert_eq!(context(Style::OtTrace, &headers).as_ref().map(ids), expected, "{headers:?}");
    }
}

#[test]
fn baggage_beside_the_trace() {
    let read = |style, headers: &[(&str, &str)]| {
        let mut baggage = Baggage::default();
        let found = styles(&[style]).extract(&Headers::of(headers), &mut baggage);
        assert_eq!(found.has_baggage, !baggage.is_empty());
        baggage.iter().map(|member| (member.key.clone(), member.value.clone())).collect::<Vec<_>>()
    };
    let pair = |key: &str, value: &str| (key.to_string(), value.to_string());
    let jaeger = [("uber-trace-id", "7:8:0:1"), ("uberctx-User.Id", " Am%C3%A9lie%2c+ "), ("uberctx-", "x")];
    assert_eq!(read(Style::Jaeger, &jaeger), [pair("user.id", "Am\u{e9}lie,+")]);
    assert_eq!(read(Style::Jaeger, &jaeger[1..]), []);
    let ottrace = [("ot-tracer-traceid", "7"), ("ot-baggage-a", "1%20"), ("ot-baggage-b", "2")];
    assert_eq!(read(Style::OtTrace, &ottrace), [pair("a", "1%20"), pair("b", "2")]);
    assert_eq!(read(Style::OtTrace, &ottrace[1..]), []);
    let few = Propagation { baggage_max_items: 1, ..styles(&[Style::OtTrace]) };
    let mut baggage = Baggage::default();
    few.extract(&Headers::of(&ottrace), &mut baggage);
    assert_eq!(baggage.len(), 1);
}

#[test]
fn datadogs_baggage_of_old() {
    let off = styles(&[Style::Datadog]);
    let on = Propagation { http_baggage: true, ..off };
    let headers = [("x-datadog-trace-id", "7"), ("x-datadog-parent-id", "8"), ("OT-Baggage-Account", " a b ")];
    let read = |propagation: Propagation, headers: &[(&str, &str)]| {
        let mut baggage = Baggage::default();
        propagation.extract(&Headers::of(headers), &mut baggage);
        baggage
    };
    assert!(read(off, &headers).is_empty());
    assert!(read(on, &headers[2..]).is_empty(), "there is no trace that it belongs to");
    let baggage = read(on, &headers);
    assert_eq!(baggage.get("account"), Some("a b"));
    let context = TraceContext { span: span(7, 8, None), ..TraceContext::default() };
    for (propagation, expected) in [(off, None), (on, Some("a b"))] {
        assert_eq!(written(propagation, &context, &baggage).get("ot-baggage-account"), expected);
    }
}
