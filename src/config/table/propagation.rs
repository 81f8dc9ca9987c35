//! How context travels between processes.

use super::{HandOn, Id, Kind, Names, Setting, plain};

const STYLES: Names = Names {
    names: &["datadog", "tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray", "ottrace", "none"],
    aliases: &[("b3 single header", "b3")],
};

const BEHAVIOURS: Names = Names { names: &["continue", "restart", "ignore"], aliases: &[] };

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        id: Id::PropagationStyles,
        key: "propagation.styles",
        kind: Kind::Choices(&STYLES),
        default: "datadog,tracecontext,baggage",
        dd: &["DD_TRACE_PROPAGATION_STYLE"],
        otel: &[plain("OTEL_PROPAGATORS")],
        hand_on: HandOn::Both,
        help: "The header formats that are written and read, in order; named by `OTEL_PROPAGATORS`, they follow OpenTelemetry's rules",
        example: "[\"tracecontext\", \"baggage\"]",
        ..Setting::BLANK
    },
    Setting {
        id: Id::PropagationInject,
        key: "propagation.inject",
        kind: Kind::Choices(&STYLES),
        unset: "as `propagation.styles`",
        dd: &["DD_TRACE_PROPAGATION_STYLE_INJECT"],
        hand_on: HandOn::Datadog,
        help: "The header formats that are written, where they are others than those that are read",
        example: "[\"tracecontext\"]",
        ..Setting::BLANK
    },
    Setting {
        id: Id::PropagationExtract,
        key: "propagation.extract",
        kind: Kind::Choices(&STYLES),
        unset: "as `propagation.styles`",
        dd: &["DD_TRACE_PROPAGATION_STYLE_EXTRACT"],
        hand_on: HandOn::Datadog,
        help: "The header formats that are read, where they are others than those that are written",
        example: "[\"tracecontext\", \"b3multi\"]",
        ..Setting::BLANK
    },
    Setting {
        id: Id::PropagationExtractFirst,
        key: "propagation.extract_first",
        kind: Kind::Bool,
        default: "false",
        dd: &["DD_TRACE_PROPAGATION_EXTRACT_FIRST"],
        hand_on: HandOn::Datadog,
        help: "Whether only the first format is read, even if it finds nothing; baggage is read in any case",
        example: "true",
        ..Setting::BLANK
    },
    Setting {
        id: Id::PropagationBehaviour,
        key: "propagation.behaviour",
        kind: Kind::Choice(&BEHAVIOURS),
        default: "continue",
        dd: &["DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT"],
        hand_on: HandOn::Datadog,
        help: "What becomes of an incoming context: its trace goes on, a new one begins that links to it, or nothing is taken",
        example: "\"restart\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::TagsMaxLength,
        key: "propagation.tags_max_length",
        kind: Kind::Number { min: 0, max: 512 },
        default: "512",
        dd: &["DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH"],
        hand_on: HandOn::Datadog,
        help: "The longest header of Datadog's tags that is written, up to 512 bytes; 0 writes none",
        example: "0",
        ..Setting::BLANK
    },
    Setting {
        id: Id::HttpBaggage,
        key: "propagation.http_baggage",
        kind: Kind::Bool,
        default: "false",
        dd: &["DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED"],
        hand_on: HandOn::Datadog,
        help: "Whether the format `datadog` has baggage as well, in headers `ot-baggage-<key>` as older tracers know them",
        example: "true",
        ..Setting::BLANK
    },
    Setting {
        id: Id::BaggageTagKeys,
        key: "baggage.tag_keys",
        kind: Kind::List,
        default: "user.id,account.id,session.id",
        dd: &["DD_TRACE_BAGGAGE_TAG_KEYS"],
        hand_on: HandOn::Datadog,
        help: "Which incoming baggage becomes tags of the first span (`baggage.<key>`); `*` is all of it",
        example: "[\"user.id\", \"region\"]",
        ..Setting::BLANK
    },
    Setting {
        id: Id::BaggageMaxItems,
        key: "baggage.max_items",
        kind: Kind::Number { min: 0, max: 65_535 },
        default: "64",
        dd: &["DD_TRACE_BAGGAGE_MAX_ITEMS"],
        hand_on: HandOn::Datadog,
        help: "The most members of baggage that are written and read",
        example: "16",
        ..Setting::BLANK
    },
    Setting {
        id: Id::BaggageMaxBytes,
        key: "baggage.max_bytes",
        kind: Kind::Bytes { min: 0, max: 8192 },
        default: "8KiB",
        dd: &["DD_TRACE_BAGGAGE_MAX_BYTES"],
        hand_on: HandOn::Datadog,
        help: "The longest header of baggage that is written and read, up to 8192 bytes",
        example: "\"2KiB\"",
        ..Setting::BLANK
    },
];
