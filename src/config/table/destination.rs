//! Where spans go: on or off, the exporters, the Datadog Agent.

use super::{HandOn, Id, Kind, Names, Reading, Setting, read_as};

const EXPORTERS: Names = Names { names: &["datadog", "otlp", "local", "console"], aliases: &[] };

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        id: Id::Enabled,
        key: "enabled",
        kind: Kind::Bool,
        default: "true",
        dd: &["DD_TRACE_ENABLED"],
        otel: &[
            read_as("OTEL_SDK_DISABLED", Reading::Inverted),
            read_as("OTEL_TRACES_EXPORTER", Reading::ExporterSwitch),
        ],
        help: "Whether anything is traced; `OTEL_SDK_DISABLED=true` and `OTEL_TRACES_EXPORTER=none` mean false",
        example: "false",
        ..Setting::BLANK
    },
    Setting {
        id: Id::Exporter,
        key: "exporter",
        kind: Kind::Choices(&EXPORTERS),
        unset: "an Agent that answers, else an OTLP receiver that answers, else the local store",
        dd: &["DD_TRACE_EXPORTER"],
        otel: &[read_as("OTEL_TRACES_EXPORTER", Reading::ExporterChoice)],
        hand_on: HandOn::Otel,
        help: "Where spans are sent; several are separated by commas",
        example: "[\"datadog\", \"local\"]",
        ..Setting::BLANK
    },
    Setting {
        id: Id::AgentUrl,
        key: "agent.url",
        kind: Kind::AgentUrl,
        unset: "`unix:///var/run/datadog/apm.socket` where that exists, else `http://localhost:8126`",
        dd: &["DD_TRACE_AGENT_URL"],
        hand_on: HandOn::Datadog,
        help: "Address of the Datadog Agent: `http://`, `https://` or `unix:///path`; a path of a URL is put before every endpoint",
        example: "\"http://localhost:8126\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::AgentHost,
        key: "agent.host",
        kind: Kind::Host,
        unset: "`localhost`",
        dd: &["DD_TRACE_AGENT_HOSTNAME", "DD_AGENT_HOST"],
        help: "Host of the Datadog Agent, where no `agent.url` is given",
        example: "\"localhost\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::AgentPort,
        key: "agent.port",
        kind: Kind::Port,
        unset: "`8126`",
        dd: &["DD_TRACE_AGENT_PORT", "DD_AGENT_PORT"],
        help: "Port of the Datadog Agent, where no `agent.url` is given",
        example: "8126",
        ..Setting::BLANK
    },
    Setting {
        id: Id::AgentTimeout,
        key: "agent.timeout",
        kind: Kind::Duration { min: 100, max: 600_000 },
        default: "2s",
        dd: &["DD_TRACE_AGENT_TIMEOUT_SECONDS"],
        help: "Longest wait for one request to the Datadog Agent; doubled, up to 30 s, while it is too short",
        example: "\"2s\"",
        ..Setting::BLANK
    },
    // The Agent refuses bodies over 25 MiB; tracers stop at 20 MiB.
    Setting {
        id: Id::AgentMaxPayload,
        key: "agent.max_payload",
        kind: Kind::Bytes { min: 64 << 10, max: 25 << 20 },
        default: "20MiB",
        dd: &["DD_TRACE_WRITER_MAX_PAYLOAD_SIZE_BYTES"],
        help: "Largest body of a request to the Datadog Agent",
        example: "\"20MiB\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::FlushInterval,
        key: "flush_interval",
        kind: Kind::Duration { min: 10, max: 600_000 },
        default: "1s",
        dd: &["DD_TRACE_WRITER_INTERVAL_SECONDS"],
        otel: &[read_as("OTEL_BSP_SCHEDULE_DELAY", Reading::Plain)],
        help: "How long finished spans wait to be sent together",
        example: "\"1s\"",
        ..Setting::BLANK
    },
];
