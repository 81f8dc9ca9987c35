use super::*;
use crate::config::QueryObfuscation;
use crate::span::SpanLimits;
use std::vec::Vec;

#[test]
fn limits_are_those_of_the_record_or_of_all_or_the_defaults() {
    assert_eq!(resolved(&[]).config.span_limits, SpanLimits::default());
    let general = resolved(&[("OTEL_ATTRIBUTE_COUNT_LIMIT", "7"), ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "9")]);
    let all = SpanLimits {
        attributes: 7,
        attribute_length: Some(9),
        event_attributes: 7,
        link_attributes: 7,
        nested_attribute_length: Some(9),
        ..SpanLimits::default()
    };
    assert_eq!(general.config.span_limits, all);
    let special = resolved(&[
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "9"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "2"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "3"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "4"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "5"),
    ]);
    let each = SpanLimits {
        attributes: 0,
        attribute_length: Some(1),
        events: 2,
        links: 3,
        event_attributes: 4,
        link_attributes: 5,
        nested_attribute_length: Some(9),
    };
    assert_eq!(special.config.span_limits, each);
}

#[test]
fn a_limit_that_is_none_is_told_and_loses_nothing() {
    for (text, complaint) in
        [("-1", "is negative"), ("1.5", "is not a whole number"), ("many", "is not a whole number")]
    {
        let resolution = resolved(&[("OTEL_SPAN_EVENT_COUNT_LIMIT", text), ("OTEL_SPAN_LINK_COUNT_LIMIT", "")]);
        assert_eq!(resolution.config.span_limits, SpanLimits::default());
        assert_eq!(
            warnings(&resolution, Path::new("/nonexistent")),
            format!("OTEL_SPAN_EVENT_COUNT_LIMIT=\"{text}\" {complaint}; using 128")
        );
    }
}

#[test]
fn what_is_hidden_in_query_strings() {
    const VARIABLE: &str = "DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP";
    let of = |text| resolved(&[(VARIABLE, text)]).config.obfuscation.query_string;
    assert_eq!(resolved(&[]).config.obfuscation.query_string, QueryObfuscation::SharedRule);
    assert_eq!(of(""), QueryObfuscation::Nothing);
    assert_eq!(of("a=[^&]+"), QueryObfuscation::Pattern("a=[^&]+".into()));
    let broken = resolved(&[(VARIABLE, "(a")]);
    assert_eq!(broken.config.obfuscation.query_string, QueryObfuscation::Everything);
    assert_eq!(
        warnings(&broken, Path::new("/nonexistent")),
        format!(
            "the regular expression \"(a\" ({VARIABLE}) for query strings cannot be used: unclosed group; no span shows \
             a query string"
        )
    );
}

#[test]
fn services_are_renamed_by_pairs_and_children_hear_it() {
    let host = Host::new().file(USER, "service_mapping = { postgres = \"shop-db\" }\n");
    let resolution = host.resolve();
    assert_eq!(resolution.config.service_mapping, [("postgres".into(), "shop-db".into())]);
    assert!(resolution.hand_on.contains(&("DD_SERVICE_MAPPING".into(), "postgres:shop-db".into())));
}

#[test]
fn a_server_has_failed_with_the_statuses_that_are_named() {
    let statuses = |text| {
        let resolution = resolved(&[("DD_TRACE_HTTP_SERVER_ERROR_STATUSES", text)]);
        let failed = |status: &u16| resolution.config.server_error_statuses.contains(*status);
        let failed: Vec<u16> = [404, 418, 429, 499, 500, 503, 599, 600].into_iter().filter(failed).collect();
        (failed, resolution.warnings.len())
    };
    assert_eq!(statuses(""), ([500, 503, 599].into(), 0));
    assert_eq!(statuses("404, 418-429,503"), ([404, 418, 429, 503].into(), 0));
    assert_eq!(statuses("404,often"), ([500, 503, 599].into(), 1));
}
