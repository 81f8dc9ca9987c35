//! The OTLP receiver (OpenTelemetry Protocol Exporter specification).

use super::{HandOn, Id, Kind, Names, Reading, Setting, plain, read_as};

const PROTOCOLS: Names = Names { names: &["grpc", "http/protobuf", "http/json"], aliases: &[] };
const COMPRESSIONS: Names = Names { names: &["gzip", "none"], aliases: &[] };

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        id: Id::OtlpEndpoint,
        key: "otlp.endpoint",
        kind: Kind::Endpoint,
        unset: "port 4318 (HTTP) or 4317 (gRPC) of the Agent's host where one is configured, else of `localhost`",
        otel: &[plain("OTEL_EXPORTER_OTLP_ENDPOINT")],
        hand_on: HandOn::Otel,
        help: "Base address of the OTLP receiver; `/v1/traces` is appended for HTTP",
        example: "\"http://localhost:4318\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::OtlpTracesEndpoint,
        key: "otlp.traces_endpoint",
        kind: Kind::Endpoint,
        unset: "`otlp.endpoint`",
        otel: &[plain("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")],
        hand_on: HandOn::Otel,
        help: "Address of the OTLP receiver for traces, used exactly as it is",
        example: "\"http://localhost:4318/v1/traces\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::OtlpProtocol,
        key: "otlp.protocol",
        kind: Kind::Choice(&PROTOCOLS),
        default: "http/protobuf",
        otel: &[
            plain("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
            plain("OTEL_EXPORTER_OTLP_PROTOCOL"),
            read_as("OTEL_TRACES_EXPORTER", Reading::ExporterProtocol),
        ],
        hand_on: HandOn::Otel,
        help: "Protocol of the OTLP receiver",
        example: "\"grpc\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::OtlpHeaders,
        key: "otlp.headers",
        kind: Kind::Headers,
        unset: "none",
        otel: &[plain("OTEL_EXPORTER_OTLP_TRACES_HEADERS"), plain("OTEL_EXPORTER_OTLP_HEADERS")],
        secret: true,
        help: "Additional headers of requests to the OTLP receiver; values are percent-encoded in variables, not in files",
        example: "{ authorization = \"Bearer 0123\" }",
        ..Setting::BLANK
    },
    Setting {
        id: Id::OtlpCompression,
        key: "otlp.compression",
        kind: Kind::Choice(&COMPRESSIONS),
        default: "none",
        otel: &[plain("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"), plain("OTEL_EXPORTER_OTLP_COMPRESSION")],
        hand_on: HandOn::Otel,
        help: "Compression of requests to the OTLP receiver",
        example: "\"gzip\"",
        ..Setting::BLANK
    },
    // Not handed on: the Python SDK reads the variable as seconds, the specification says milliseconds.
    Setting {
        id: Id::OtlpTimeout,
        key: "otlp.timeout",
        kind: Kind::Duration { min: 0, max: 3_600_000 },
        default: "10s",
        otel: &[plain("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"), plain("OTEL_EXPORTER_OTLP_TIMEOUT")],
        help: "Longest wait for one batch to the OTLP receiver; doubled, up to 30 s, while it is too short; 0 is no limit",
        example: "\"10s\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::OtlpCertificate,
        key: "otlp.certificate",
        kind: Kind::Path,
        unset: "the host's trust store",
        otel: &[plain("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"), plain("OTEL_EXPORTER_OTLP_CERTIFICATE")],
        hand_on: HandOn::Otel,
        help: "PEM file that verifies the OTLP receiver",
        example: "\"/etc/ssl/collector.pem\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::OtlpClientKey,
        key: "otlp.client_key",
        kind: Kind::Path,
        unset: "none",
        otel: &[plain("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY"), plain("OTEL_EXPORTER_OTLP_CLIENT_KEY")],
        hand_on: HandOn::Otel,
        help: "PEM file with the client's key for mutual TLS",
        example: "\"/etc/ssl/client.key\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::OtlpClientCertificate,
        key: "otlp.client_certificate",
        kind: Kind::Path,
        unset: "none",
        otel: &[plain("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE"), plain("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")],
        hand_on: HandOn::Otel,
        help: "PEM file with the client's certificate for mutual TLS",
        example: "\"/etc/ssl/client.pem\"",
        ..Setting::BLANK
    },
    Setting {
        id: Id::OtlpInsecure,
        key: "otlp.insecure",
        kind: Kind::Bool,
        default: "false",
        otel: &[
            plain("OTEL_EXPORTER_OTLP_TRACES_INSECURE"),
            plain("OTEL_EXPORTER_OTLP_SPAN_INSECURE"),
            plain("OTEL_EXPORTER_OTLP_INSECURE"),
        ],
        hand_on: HandOn::Otel,
        help: "Whether gRPC goes without TLS to an endpoint that has no scheme",
        example: "true",
        ..Setting::BLANK
    },
];
