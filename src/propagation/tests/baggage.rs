//! W3C Baggage in both dialects.

use super::*;

/// Members, as `key=value` or `key=value;properties`.
fn members(dialect: Dialect, headers: &[&str]) -> Vec<String> {
    let propagation = Propagation { dialect, ..styles(&[Style::Baggage]) };
    limited(propagation, headers)
}

fn limited(propagation: Propagation, headers: &[&str]) -> Vec<String> {
    let headers: Vec<(&str, &str)> = headers.iter().map(|value| ("Baggage", *value)).collect();
    let mut baggage = Baggage::default();
    let found = propagation.extract(&Headers::of(&headers), &mut baggage);
    assert_eq!(found.has_baggage, !baggage.is_empty());
    assert!(found.context.is_none());
    let shown = |member: &crate::propagation::baggage::BaggageMember| {
        let semicolon = if member.properties.is_empty() { "" } else { ";" };
        format!("{}={}{semicolon}{}", member.key, member.value, member.properties)
    };
    baggage.iter().map(shown).collect()
}

#[test]
fn read_by_both() {
    for (headers, expected) in [
        (&["k=v"][..], &["k=v"][..]),
        (&["k=v,k2=v2"], &["k=v", "k2=v2"]),
        (&["k=v", "k2=v2"], &["k=v", "k2=v2"]),
        (&[" k = v\t, k2 =v2 "], &["k=v", "k2=v2"]),
        (&["k=v=w"], &["k=v=w"]),
        (&["user.id=Am%C3%A9lie%201%2C2"], &["user.id=Am\u{e9}lie 1,2"]),
        (&["k=a+b"], &["k=a+b"]),
        (&["k=%FF"], &["k=\u{fffd}"]),
        (&["k=%2541"], &["k=%41"]),
        (&["a%3Db=c"], &["a=b=c"]),
        (&["k=v;prop=1 ; other"], &["k=v;prop=1 ; other"]),
        (&["k=1,k=2"], &["k=2"]),
        (&[""], &[]),
        (&[], &[]),
    ] {
        for dialect in [Dialect::Datadog, Dialect::OpenTelemetry] {
            assert_eq!(members(dialect, headers), expected, "{headers:?}");
        }
    }
}

#[test]
fn malformed_members_discard_all_or_themselves() {
    for (header, otel) in [
        ("a=1,broken,b=2", &["a=1", "b=2"][..]),
        ("a=1,=x,b=2", &["a=1", "b=2"]),
        ("a=1,,b=2", &["a=1", "b=2"]),
        ("a=1,", &["a=1"]),
        ("a=1,b=", &["a=1", "b="]),
        ("a=1,b=;p", &["a=1", "b=;p"]),
        ("a=1,b;p=2", &["a=1"]),
    ] {
        assert_eq!(members(Dialect::Datadog, &[header]), Vec::<String>::new(), "{header}");
        assert_eq!(members(Dialect::OpenTelemetry, &[header]), otel, "{header}");
        assert_eq!(members(Dialect::Datadog, &["x=1", header]), Vec::<String>::new(), "{header}");
    }
    // What W3C's grammar has no place for, Datadog's tracers take.
    for header in ["a=x y", "a=\u{e9}", "a b=c", "a=\"x\""] {
        assert_eq!(members(Dialect::Datadog, &[header]).len(), 1, "{header}");
        assert_eq!(members(Dialect::OpenTelemetry, &[header]), Vec::<String>::new(), "{header}");
    }
}

fn header(dialect: Dialect, members: &[(&str, &str, &str)]) -> Option<String> {
    let propagation = Propagation { dialect, ..styles(&[Style::Baggage]) };
    let mut baggage = Baggage::default();
    for (key, value, properties) in members {
        use crate::propagation::BaggageSink;
        baggage.member(key.as_bytes(), value.as_bytes(), properties.as_bytes());
    }
    written(propagation, &TraceContext::default(), &baggage).get("baggage").map(ToString::to_string)
}

#[test]
fn written_by_both() {
    let keys = "!#$&'*+-.^_`|~";
    let values = "!#$&'*+-.^_`|~()/:<>?@[]{}";
    for (members, expected) in [
        (&[("k", "v", "")][..], Some("k=v")),
        (&[("k", "v", ""), ("k2", "v2", "")], Some("k=v,k2=v2")),
        (&[("user.id", "Am\u{e9}lie 1,2", "")], Some("user.id=Am%C3%A9lie%201%2C2")),
        (&[("k", "\"\\;=%\r\n.", "")], Some("k=%22%5C%3B%3D%25%0D%0A.")),
        (&[("a b,c=d;e%(/", "x", "")], Some("a%20b%2Cc%3Dd%3Be%25%28%2F=x")),
        (&[(keys, values, "")], Some("!#$&'*+-.^_`|~=!#$&'*+-.^_`|~()/:<>?@[]{}")),
        (&[("k", "v", "prop=1;other")], Some("k=v;prop=1;other")),
        // Properties that would be taken for another member or header are left out.
        (&[("k", "v", "a,b=c")], Some("k=v")),
        (&[("k", "v", "a\r\nb: c")], Some("k=v")),
        (&[("", "v", "")], None),
        (&[], None),
    ] {
        for dialect in [Dialect::Datadog, Dialect::OpenTelemetry] {
            assert_eq!(header(dialect, members).as_deref(), expected, "{members:?}");
        }
    }
    // Datadog's tracers trim, and take an empty value for malformed.
    let members = [(" k ", " v ", ""), ("e", "", ""), ("b", " ", "")];
    assert_eq!(header(Dialect::Datadog, &members).as_deref(), Some("k=v"));
    assert_eq!(header(Dialect::OpenTelemetry, &members).as_deref(), Some("%20k%20=%20v%20,e=,b=%20"));
}

#[test]
fn limits_keep_the_first_whole_members() {
    let all: Vec<String> = (0..70).map(|number| format!("k{number:02}=v")).collect();
    let text = all.join(",");
    for dialect in [Dialect::Datadog, Dialect::OpenTelemetry] {
        assert_eq!(members(dialect, &[&text]), all[..64]);
        let pairs: Vec<(String, String)> = (0..70).map(|number| (format!("k{number:02}"), "v".into())).collect();
        let pairs: Vec<(&str, &str, &str)> = pairs.iter().map(|(key, value)| (&key[..], &value[..], "")).collect();
        assert_eq!(header(dialect, &pairs), Some(all[..64].join(",")));

        // Exactly 8192 bytes, and one more; the comma counts.
        let (first, fits, over) = ("x".repeat(4000), "y".repeat(4187), "y".repeat(4188));
        let of = |value: &str| format!("a={first},b={value}");
        assert_eq!(of(&fits).len(), 8192);
        assert_eq!(members(dialect, &[&of(&fits)]).len(), 2);
        assert_eq!(members(dialect, &[&of(&over), "c=1"]).len(), 1, "nothing comes after what was left out");
        assert_eq!(header(dialect, &[("a", &first, ""), ("b", &fits, "")]), Some(of(&fits)));
        let cut = header(dialect, &[("a", &first, ""), ("b", &over, ""), ("c", "1", "")]);
        assert_eq!(cut, Some(format!("a={first}")));
    }
    let small = Propagation { baggage_max_items: 2, baggage_max_bytes: 10, ..styles(&[Style::Baggage]) };
    assert_eq!(limited(small, &["a=1,b=2,c=3"]), ["a=1", "b=2"]);
    assert_eq!(limited(small, &["a=1,b=23456"]), ["a=1"]);
    let none = Propagation { baggage_max_items: 0, ..small };
    assert_eq!(limited(none, &["a=1"]), Vec::<String>::new());
}
