//! Which header formats are written and read, and by whose rules.

use super::*;
use crate::propagation::{Dialect, ExtractBehaviour, Propagation, Style, Styles};
use std::vec::Vec;

fn names(styles: Styles) -> String {
    styles.iter().map(Style::name).collect::<Vec<_>>().join(",")
}

/// Styles to inject, styles to extract, dialect.
fn of(host: &Host) -> (String, String, Dialect) {
    let Propagation { inject, extract, dialect, .. } = host.resolve().config.propagation;
    (names(inject), names(extract), dialect)
}

fn env(pairs: &[(&str, &str)]) -> (String, String, Dialect) {
    of(&Host::new().envs(pairs))
}

fn both(styles: &str, dialect: Dialect) -> (String, String, Dialect) {
    (styles.into(), styles.into(), dialect)
}

const DD: &str = "DD_TRACE_PROPAGATION_STYLE";
const OTEL: &str = "OTEL_PROPAGATORS";

#[test]
fn the_default_is_that_of_the_library() {
    assert_eq!(Host::new().resolve().config.propagation, Propagation::default());
    assert_eq!(Host::new().resolve().config.baggage_tag_keys, ["user.id", "account.id", "session.id"]);
}

#[test]
fn styles_of_both_dialects() {
    use Dialect::{Datadog, OpenTelemetry};
    let all = "datadog,tracecontext,baggage,b3,b3multi,jaeger,xray,ottrace";
    for (given, expected, dialect) in [
        (&[(DD, "tracecontext")][..], "tracecontext", Datadog),
        (&[(DD, " B3Multi , datadog,b3multi")], "b3multi,datadog", Datadog),
        (&[(DD, "b3 single header")], "b3", Datadog),
        (&[(DD, all)], all, Datadog),
        (&[(DD, "none")], "", Datadog),
        (&[(DD, "")], "", Datadog),
        (&[(DD, "datadog,none")], "datadog", Datadog),
        (&[(DD, "datadog"), (OTEL, "b3")], "datadog", Datadog),
        (&[(OTEL, "b3,tracecontext")], "b3,tracecontext", OpenTelemetry),
        (&[(OTEL, all)], all, OpenTelemetry),
        (&[(OTEL, "b3,none")], "", OpenTelemetry),
        (&[(OTEL, "")], "datadog,tracecontext,baggage", Datadog),
        (&[(DD, "unheard-of"), (OTEL, "b3")], "b3", OpenTelemetry),
    ] {
        assert_eq!(env(given), both(expected, dialect), "{given:?}");
    }
}

#[test]
fn one_side_may_differ() {
    let [inject, extract] = ["DD_TRACE_PROPAGATION_STYLE_INJECT", "DD_TRACE_PROPAGATION_STYLE_EXTRACT"];
    let default = "datadog,tracecontext,baggage";
    assert_eq!(env(&[(inject, "b3")]), ("b3".into(), default.into(), Dialect::Datadog));
    assert_eq!(env(&[(DD, "xray"), (extract, "b3")]), ("xray".into(), "b3".into(), Dialect::Datadog));
    assert_eq!(env(&[(DD, "xray"), (inject, "")]), (String::new(), "xray".into(), Dialect::Datadog));
    assert_eq!(env(&[(OTEL, "xray"), (extract, "b3")]), ("xray".into(), "b3".into(), Dialect::Datadog));
    assert_eq!(env(&[(OTEL, "xray"), (inject, "b3")]), ("b3".into(), "xray".into(), Dialect::OpenTelemetry));
    // A stronger source says it for both sides.
    let host = Host::new().env(extract, "b3").cli("propagation.styles", "xray");
    assert_eq!(of(&host), both("xray", Dialect::Datadog));
    let host = Host::new().env(OTEL, "xray").file(USER, "[propagation]\nextract = [\"b3\"]\n");
    assert_eq!(of(&host), both("xray", Dialect::OpenTelemetry));
    let host = Host::new().file(USER, "[propagation]\nstyles = [\"xray\"]\nextract = []\n");
    assert_eq!(of(&host), ("xray".into(), String::new(), Dialect::Datadog));
}

#[test]
fn unknown_styles_are_skipped_and_named() {
    for name in [DD, OTEL] {
        let host = Host::new().env(name, "b3,zipkin");
        let resolution = host.resolve();
        assert_eq!(names(resolution.config.propagation.extract), "b3");
        let [warning] = resolution.warnings.as_slice() else { panic!("{:?}", resolution.warnings) };
        assert!(warning.message.contains(name) && warning.message.contains("\"zipkin\""), "{warning}");
    }
    let resolution = resolved(&[(DD, "zipkin")]);
    assert_eq!(resolution.config.propagation, Propagation::default());
    assert!(resolution.warnings[0].message.ends_with("using datadog,tracecontext,baggage"));
}

#[test]
fn behaviours_and_limits() {
    let resolution = resolved(&[
        ("DD_TRACE_PROPAGATION_EXTRACT_FIRST", "true"),
        ("DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT", "Ignore"),
        ("DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH", "0"),
        ("DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED", "true"),
        ("DD_TRACE_BAGGAGE_MAX_ITEMS", "2"),
        ("DD_TRACE_BAGGAGE_MAX_BYTES", "100"),
        ("DD_TRACE_BAGGAGE_TAG_KEYS", "*"),
    ]);
    assert_eq!(resolution.warnings, []);
    let expected = Propagation {
        extract_first: true,
        behaviour: ExtractBehaviour::Ignore,
        tags_max_length: 0,
        http_baggage: true,
        baggage_max_items: 2,
        baggage_max_bytes: 100,
        ..Propagation::default()
    };
    assert_eq!(resolution.config.propagation, expected);
    assert_eq!(resolution.config.baggage_tag_keys, ["*"]);
    assert!(resolved(&[("DD_TRACE_BAGGAGE_TAG_KEYS", "")]).config.baggage_tag_keys.is_empty());

    for (name, value) in [
        ("DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT", "carry-on"),
        ("DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH", "513"),
        ("DD_TRACE_BAGGAGE_MAX_BYTES", "8193"),
    ] {
        let resolution = resolved(&[(name, value)]);
        assert_eq!(resolution.warnings.len(), 1, "{name}");
        assert_eq!(resolution.config.propagation, Propagation::default(), "{name}");
    }
    // Below the range is its lower end, which turns the tags off.
    assert_eq!(resolved(&[("DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH", "-1")]).config.propagation.tags_max_length, 0);
}
