//! Which spans there are, and in which programs.

use super::{HandOn, Id, Kind, Names, Setting};

const PROCESS_SPANS: Names = Names { names: &["auto", "true", "false"], aliases: &[("1", "true"), ("0", "false")] };

const NATIVE: Names = Names { names: &["auto", "true", "false"], aliases: &[("1", "true"), ("0", "false")] };
const OTEL_PROVIDER: Names = Names { names: &["auto", "true", "false"], aliases: &[("1", "true"), ("0", "false")] };
const LOGS_INJECTION: Names =
    Names { names: &["auto", "true", "false"], aliases: &[("1", "true"), ("structured", "true"), ("0", "false")] };
const PYTHON_PROVIDERS: Names = Names { names: &["auto", "ddtrace-run", "none"], aliases: &[] };

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        id: Id::ProcessSpans,
        key: "process_spans",
        kind: Kind::Choice(&PROCESS_SPANS),
        default: "auto",
        dd: &["DD_TRACE_PROCESS_SPANS"],
        hand_on: HandOn::Datadog,
        help: "Whether every process becomes a span; `auto` decides by the circumstances",
        example: "true",
        ..Setting::BLANK
    },
    Setting {
        id: Id::TraceId128Bit,
        key: "trace_id_128_bit",
        kind: Kind::Bool,
        default: "true",
        dd: &["DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED"],
        hand_on: HandOn::Datadog,
        help: "Whether new trace ids have 128 bits",
        example: "false",
        ..Setting::BLANK
    },
    Setting {
        id: Id::PartialFlush,
        key: "partial_flush.enabled",
        kind: Kind::Bool,
        default: "true",
        dd: &["DD_TRACE_PARTIAL_FLUSH_ENABLED"],
        help: "Whether finished spans of an unfinished trace are sent early",
        example: "false",
        ..Setting::BLANK
    },
    Setting {
        id: Id::PartialFlushMinSpans,
        key: "partial_flush.min_spans",
        kind: Kind::Number { min: 1, max: i32::MAX as u64 },
        default: "300",
        dd: &["DD_TRACE_PARTIAL_FLUSH_MIN_SPANS"],
        help: "How many finished spans of an unfinished trace are sent early",
        example: "1000",
        ..Setting::BLANK
    },
    Setting {
        id: Id::Denylist,
        key: "denylist",
        kind: Kind::List,
        unset: "none besides the built-in ones",
        dd: &["DD_TRACE_DENYLIST"],
        hand_on: HandOn::Datadog,
        help: "Programs that are never instrumented: base names or full paths",
        example: "[\"backup\", \"/opt/vendor/daemon\"]",
        ..Setting::BLANK
    },
    Setting {
        id: Id::InjectClearedEnv,
        key: "inject_cleared_env",
        kind: Kind::Bool,
        default: "true",
        dd: &["DD_TRACE_INJECT_CLEARED_ENV"],
        hand_on: HandOn::Datadog,
        help: "Whether programs that are started with an emptied environment still get the tracer's variables",
        example: "false",
        ..Setting::BLANK
    },
    Setting {
        id: Id::PythonProvider,
        key: "python.provider",
        kind: Kind::Choice(&PYTHON_PROVIDERS),
        default: "auto",
        dd: &["DD_TRACE_PYTHON_PROVIDER"],
        hand_on: HandOn::Datadog,
        help: "Whose tracer `import ddtrace` gives: with `auto` an installed one, else that of `ddtrace-run`; `none` leaves \
               Python alone",
        example: "\"ddtrace-run\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::OtelProvider,
        key: "python.otel",
        kind: Kind::Choice(&OTEL_PROVIDER),
        default: "auto",
        dd: &["DD_TRACE_OTEL_ENABLED"],
        hand_on: HandOn::Datadog,
        help: "Whether the OpenTelemetry API of Python programs is carried out: with `auto` until the program sets a \
               provider of its own; with `true` it is the only one",
        example: "\"true\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::LogsInjection,
        key: "logs.injection",
        kind: Kind::Choice(&LOGS_INJECTION),
        default: "auto",
        dd: &["DD_LOGS_INJECTION"],
        hand_on: HandOn::Datadog,
        help: "Whether log records of Python programs tell trace, span, service, environment and version; with `true` \
               those too that are made before anything is traced tell a service that is not in `DD_SERVICE`",
        example: "\"true\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::NativeSpanEvents,
        key: "native_span_events",
        kind: Kind::Bool,
        default: "false",
        dd: &["DD_TRACE_NATIVE_SPAN_EVENTS"],
        hand_on: HandOn::Datadog,
        help: "Whether events are sent to a Datadog Agent that knows them as such, and not as the text of a tag",
        example: "true",
        ..Setting::BLANK
    },
    Setting {
        id: Id::Native,
        key: "native",
        kind: Kind::Choice(&NATIVE),
        default: "auto",
        dd: &["DD_TRACE_NATIVE_ENABLED"],
        hand_on: HandOn::Datadog,
        help: "Whether the requests on a program's connections become spans, without its doing; with `auto` those of Python tell only what no library of theirs is known to tell",
        example: "true",
        ..Setting::BLANK
    },
    Setting {
        id: Id::HeaderTags,
        key: "header_tags",
        kind: Kind::List,
        unset: "none",
        dd: &["DD_TRACE_HEADER_TAGS"],
        hand_on: HandOn::Datadog,
        help: "Headers of requests and answers that become tags: `header` or `header:tag`",
        example: "[\"x-request-id\", \"x-tenant:tenant\"]",
        ..Setting::BLANK
    },
    Setting {
        id: Id::ClientIp,
        key: "client_ip",
        kind: Kind::Bool,
        unset: "by OpenTelemetry's conventions",
        dd: &["DD_TRACE_CLIENT_IP_ENABLED"],
        hand_on: HandOn::Datadog,
        help: "Whether the address of a request's client is found by Datadog's rule, in all the headers in which proxies tell of it; `false`: it is not told of",
        example: "true",
        ..Setting::BLANK
    },
    Setting {
        id: Id::ClientIpHeader,
        key: "client_ip_header",
        kind: Kind::Text,
        unset: "none",
        dd: &["DD_TRACE_CLIENT_IP_HEADER"],
        hand_on: HandOn::Datadog,
        help: "The one header that the client's address is taken from, with `client_ip = true`",
        example: "\"x-real-ip\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::ServerErrorStatuses,
        key: "server_error_statuses",
        kind: Kind::List,
        default: "500-599",
        dd: &["DD_TRACE_HTTP_SERVER_ERROR_STATUSES"],
        hand_on: HandOn::Datadog,
        help: "With which statuses of its answers a server has failed, as far as the integrations of Python see them",
        example: "[\"404\", \"500-599\"]",
        ..Setting::BLANK
    },
];
