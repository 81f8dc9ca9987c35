//! Limits of spans: OpenTelemetry's "SpanLimits" and "Attribute Limits".

use super::{HandOn, Id, Kind, OtelName, Setting, plain};

/// More than that many are not counted.
const COUNT: Kind = Kind::Limit { max: u32::MAX as u64 };
/// In characters.
const LENGTH: Kind = Kind::Limit { max: u32::MAX as u64 };

const NO_LIMIT: &str = "no limit";
const AS_ANY: &str = "as `limits.attributes`";

const fn limit(
    id: Id,
    kind: Kind,
    key: &'static str,
    otel: &'static [OtelName],
    [default, unset]: [&'static str; 2],
    help: &'static str,
    example: &'static str,
) -> Setting {
    Setting { id, key, kind, default, unset, otel, hand_on: HandOn::Otel, help, example, ..Setting::BLANK }
}

pub(super) const SETTINGS: &[Setting] = &[
    limit(
        Id::AttributeCount,
        COUNT,
        "limits.attributes",
        &[plain("OTEL_ATTRIBUTE_COUNT_LIMIT")],
        ["128", ""],
        "How many attributes a span, an event or a link has at most; further ones are left out and counted",
        "256",
    ),
    limit(
        Id::AttributeLength,
        LENGTH,
        "limits.text_length",
        &[plain("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")],
        ["", NO_LIMIT],
        "How many characters of a text are kept as an attribute",
        "4096",
    ),
    limit(
        Id::SpanAttributeCount,
        COUNT,
        "limits.span_attributes",
        &[plain("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")],
        ["", AS_ANY],
        "How many attributes a span has at most",
        "256",
    ),
    limit(
        Id::SpanAttributeLength,
        LENGTH,
        "limits.span_text_length",
        &[plain("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT")],
        ["", "as `limits.text_length`"],
        "How many characters of a text are kept as an attribute of a span",
        "4096",
    ),
    limit(
        Id::EventCount,
        COUNT,
        "limits.events",
        &[plain("OTEL_SPAN_EVENT_COUNT_LIMIT")],
        ["128", ""],
        "How many events a span has at most",
        "256",
    ),
    limit(
        Id::LinkCount,
        COUNT,
        "limits.links",
        &[plain("OTEL_SPAN_LINK_COUNT_LIMIT")],
        ["128", ""],
        "How many links a span has at most",
        "256",
    ),
    limit(
        Id::EventAttributeCount,
        COUNT,
        "limits.event_attributes",
        &[plain("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT")],
        ["", AS_ANY],
        "How many attributes an event has at most",
        "32",
    ),
    limit(
        Id::LinkAttributeCount,
        COUNT,
        "limits.link_attributes",
        &[plain("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT")],
        ["", AS_ANY],
        "How many attributes a link has at most",
        "32",
    ),
];
