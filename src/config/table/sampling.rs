//! Which traces are kept.

use super::{HandOn, Id, Kind, Names, Setting, plain};

const SAMPLERS: Names = Names {
    names: &[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
        "jaeger_remote",
        "parentbased_jaeger_remote",
        "xray",
    ],
    aliases: &[],
};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        id: Id::SamplingRules,
        key: "sampling.rules",
        kind: Kind::Rules,
        unset: "none",
        dd: &["DD_TRACE_SAMPLING_RULES"],
        hand_on: HandOn::Datadog,
        help: "Rates by service, name, resource and tags of the local root; the first rule that matches decides",
        example: "[{ service = \"shop\", resource = \"GET /health*\", sample_rate = 0.01 }]",
        ..Setting::BLANK
    },
    Setting {
        id: Id::SamplingRate,
        key: "sampling.rate",
        kind: Kind::Rate,
        unset: "none",
        dd: &["DD_TRACE_SAMPLE_RATE"],
        hand_on: HandOn::Datadog,
        help: "Rate of the traces that no rule matches; OpenTelemetry hears of it as `parentbased_traceidratio`",
        example: "0.25",
        ..Setting::BLANK
    },
    Setting {
        id: Id::SamplingRateLimit,
        key: "sampling.rate_limit",
        kind: Kind::PerSecond,
        default: "100",
        dd: &["DD_TRACE_RATE_LIMIT"],
        hand_on: HandOn::Datadog,
        help: "How many of the traces that rules or the rate keep are kept in a second, in each process",
        example: "500",
        ..Setting::BLANK
    },
    Setting {
        id: Id::SpanSamplingRules,
        key: "sampling.span_rules",
        kind: Kind::Rules,
        unset: "none",
        dd: &["DD_SPAN_SAMPLING_RULES"],
        hand_on: HandOn::Datadog,
        help: "Single spans that are kept of traces that are not, by service and name",
        example: "[{ service = \"shop\", name = \"payment.*\", max_per_second = 50 }]",
        ..Setting::BLANK
    },
    Setting {
        id: Id::SpanSamplingRulesFile,
        key: "sampling.span_rules_file",
        kind: Kind::Path,
        unset: "none",
        dd: &["DD_SPAN_SAMPLING_RULES_FILE"],
        hand_on: HandOn::Datadog,
        help: "File of JSON with the same, where `sampling.span_rules` is not set",
        example: "\"/etc/ddtrace/span-rules.json\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::Sampler,
        key: "sampling.sampler",
        kind: Kind::Choice(&SAMPLERS),
        unset: "the Agent's rates; everything is kept until there are some",
        otel: &[plain("OTEL_TRACES_SAMPLER")],
        hand_on: HandOn::Otel,
        help: "What decides about traces that no rule matches",
        example: "\"parentbased_traceidratio\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::SamplerArgument,
        key: "sampling.sampler_arg",
        unset: "1",
        otel: &[plain("OTEL_TRACES_SAMPLER_ARG")],
        hand_on: HandOn::Otel,
        help: "Ratio for `sampling.sampler`; for `jaeger_remote` its `initialSamplingRate=` counts",
        example: "\"0.25\"",
        ..Setting::BLANK
    },
];
