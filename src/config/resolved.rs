//! The configuration as the rest of the program uses it: every value typed, checked and final.

use crate::http::{ClientAddress, ErrorStatuses};
use crate::propagation::Propagation;
use crate::sampling::SamplingConfig;
use crate::settings::Native;
use crate::span::SpanLimits;
use std::fmt;
use std::path::PathBuf;
use std::string::String;
use std::time::Duration;
use std::vec::Vec;

/// Where a Datadog Agent is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentUrl {
    /// `http://` or `https://`.
    Tcp {
        /// TLS or plain.
        tls: bool,
        /// Host name or address; an IPv6 address without its brackets.
        host: String,
        /// Port number.
        port: u16,
        /// Put in front of every endpoint; empty or `/…` without a final slash.
        base_path: String,
    },
    /// `unix:///path`.
    Unix(PathBuf),
}

/// The Datadog Agent to send to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// The address.
    pub url: AgentUrl,
    /// Whether somebody configured it (else it is the default, to be probed).
    pub explicit: bool,
    /// The longest wait for one request.
    pub timeout: Duration,
}

/// The protocol spoken to an OTLP receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// `grpc`.
    Grpc,
    /// `http/protobuf`.
    HttpProtobuf,
    /// `http/json`.
    HttpJson,
}

/// The OTLP receiver to send to. Its [`Debug`](fmt::Debug) form shows no secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpConfig {
    /// For HTTP the full URL of the trace signal, for gRPC `http(s)://host:port`.
    pub endpoint: String,
    /// Whether somebody configured it (else it is the default, to be probed).
    pub explicit: bool,
    /// The protocol.
    pub protocol: OtlpProtocol,
    /// Additional request headers, names in lower case, values decoded. Secret.
    pub headers: Vec<(String, String)>,
    /// Whether bodies are compressed with gzip.
    pub gzip: bool,
    /// The longest wait for one batch; `None` is no limit.
    pub timeout: Option<Duration>,
    /// PEM file that verifies the server.
    pub certificate: Option<PathBuf>,
    /// PEM file with the client's key.
    pub client_key: Option<PathBuf>,
    /// PEM file with the client's certificate.
    pub client_certificate: Option<PathBuf>,
}

impl fmt::Debug for OtlpConfig {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("OtlpConfig")
            .field("endpoint", &super::masked_url(&self.endpoint))
            .field("explicit", &self.explicit)
            .field("protocol", &self.protocol)
            .field("headers", &self.headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>())
            .field("gzip", &self.gzip)
            .field("timeout", &self.timeout)
            .field("certificate", &self.certificate)
            .field("client_key", &self.client_key)
            .field("client_certificate", &self.client_certificate)
            .finish()
    }
}

impl OtlpConfig {
    /// Host (an IPv6 address without its brackets) and port of the endpoint.
    #[must_use]
    pub fn host_and_port(&self) -> Option<(String, u16)> {
        super::parse::host_and_port_of(&self.endpoint)
    }
}

/// Where spans go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exporter {
    /// Datadog Agent.
    Datadog,
    /// OTLP receiver.
    Otlp,
    /// The local store: a file of OTLP JSON lines.
    Local,
    /// Human-readable spans on stderr after the end of the program.
    Console,
}

/// When the processes of the tree become spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessSpans {
    /// By the circumstances; `docs/process-spans.md` says which.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Whose tracer `import ddtrace` gives in Python.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PythonProvider {
    /// One that is installed, else that of `ddtrace-run`.
    Auto,
    /// That of `ddtrace-run`, whatever is installed.
    DdtraceRun,
    /// Nothing of `ddtrace-run` is put into Pythons.
    None,
}

/// Who carries the OpenTelemetry API of Python programs out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtelProvider {
    /// `ddtrace-run`, until the program sets a provider of its own.
    Auto,
    /// `ddtrace-run` in any case.
    On,
    /// Whoever the program says.
    Off,
}

/// How much the launcher and the sidecar log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing at all.
    Off,
    /// Errors.
    Error,
    /// And warnings.
    Warn,
    /// And milestones.
    Info,
    /// And details.
    Debug,
    /// Everything.
    Trace,
}

/// Everything that can be configured, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Whether anything is traced (`DD_TRACE_ENABLED`, `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER=none`).
    pub enabled: bool,
    /// The service, if anybody named one; the launcher infers one from the program otherwise.
    pub service: Option<String>,
    /// The deployment environment.
    pub env: Option<String>,
    /// The version of the service.
    pub version: Option<String>,
    /// Further tags (`DD_TAGS`) or resource attributes (`OTEL_RESOURCE_ATTRIBUTES`), in order, keys unique.
    pub tags: Vec<(String, String)>,
    /// Services that get another name, and that name (`DD_SERVICE_MAPPING`).
    pub service_mapping: Vec<(String, String)>,
    /// Whether client and producer spans name the service on the other side
    /// (`DD_TRACE_PEER_SERVICE_DEFAULTS_ENABLED`, or `DD_TRACE_SPAN_ATTRIBUTE_SCHEMA=v1`).
    pub peer_service_defaults: bool,
    /// Peer services that get another name, and that name (`DD_TRACE_PEER_SERVICE_MAPPING`).
    pub peer_service_mapping: Vec<(String, String)>,
    /// Whether and as what the host's name is reported (`DD_TRACE_REPORT_HOSTNAME`, `DD_HOSTNAME`).
    pub report_hostname: bool,
    /// Overrides the host's name.
    pub hostname: Option<String>,
    /// The exporters asked for; empty: probe for an Agent, then for an OTLP receiver, else the local store.
    pub exporters: Vec<Exporter>,
    /// The Datadog Agent.
    pub agent: AgentConfig,
    /// The OTLP receiver.
    pub otlp: OtlpConfig,
    /// How long finished spans wait to be sent together.
    pub flush_interval: Duration,
    /// The largest request body sent to an Agent, in bytes.
    pub max_payload_bytes: usize,
    /// Whether finished spans of an unfinished trace are sent early.
    pub partial_flush: bool,
    /// How many finished spans of an unfinished trace are sent early.
    pub partial_flush_min_spans: usize,
    /// When processes become spans.
    pub process_spans: ProcessSpans,
    /// Whether new trace ids have 128 bits.
    pub trace_id_128_bit: bool,
    /// Which traces are kept.
    pub sampling: SamplingConfig,
    /// Programs never to be instrumented, besides the built-in list: base names or full paths.
    pub denylist: Vec<String>,
    /// Whether programs that are started with an emptied environment still get the tracer's variables.
    pub inject_cleared_env: bool,
    /// Whether the requests on a program's connections become spans.
    pub native: Native,
    /// Headers that become tags: `header`, or `header:tag`.
    pub header_tags: Vec<String>,
    /// Whether the address of a request's client is found by Datadog's rule, or not told of.
    pub client_ip: Option<bool>,
    /// The one header that it is taken from then, in lower case; empty for all that proxies use.
    pub client_ip_header: String,
    /// With which statuses of its answers a server has failed (`DD_TRACE_HTTP_SERVER_ERROR_STATUSES`).
    pub server_error_statuses: ErrorStatuses,
    /// Whose tracer Python programs get by the name `ddtrace`.
    pub python_provider: PythonProvider,
    /// Who carries the OpenTelemetry API of Python programs out.
    pub otel_provider: OtelProvider,
    /// How contexts are written and read.
    pub propagation: Propagation,
    /// Which incoming baggage becomes tags of the first span (`baggage.<key>`); `*` is all of it.
    pub baggage_tag_keys: Vec<String>,
    /// Whether an Agent that knows events as such gets them so (`DD_TRACE_NATIVE_SPAN_EVENTS`).
    pub native_span_events: bool,
    /// What is hidden in spans.
    pub obfuscation: Obfuscation,
    /// How much of a span is kept.
    pub span_limits: SpanLimits,
    /// Whether debugging output is wanted.
    pub debug: bool,
    /// The level of the launcher's and the sidecar's log.
    pub log_level: LogLevel,
    /// The log file, if one was named; else a default place in the state directory.
    pub log_file: Option<PathBuf>,
    /// The directory of the local store and the spool, if one was named; else a default place.
    pub state_dir: Option<PathBuf>,
    /// The size at which the local store drops its oldest half, in bytes.
    pub local_max_bytes: u64,
    /// The most that may wait on disk for a backend, in bytes.
    pub spool_max_bytes: u64,
    /// The most memory that the sidecar takes, in bytes.
    pub memory_max_bytes: u64,
    /// How long `--supervise` and `--view` wait for delivery after the end of the program.
    pub shutdown_timeout: Duration,
    /// Sent verbatim as `Datadog-External-Env`.
    pub external_env: Option<String>,
    /// What the program was built from.
    pub git: GitMetadata,
    /// Whether Datadog is told how the program was entered (`_dd.tags.process`).
    pub process_tags: bool,
}

impl Config {
    /// Whose address is told of as the client's of a request.
    #[must_use]
    pub fn client_address(&self) -> ClientAddress<'_> {
        match self.client_ip {
            None => ClientAddress::Conventional,
            Some(true) => ClientAddress::Resolved(self.client_ip_header.as_bytes()),
            Some(false) => ClientAddress::Hidden,
        }
    }

    /// The exporters that somebody configured: those named, else those whose address was given. Where there are none,
    /// what answers on this host is looked for.
    #[must_use]
    pub fn configured_exporters(&self) -> Vec<Exporter> {
        if !self.exporters.is_empty() {
            return self.exporters.clone();
        }
        let by_address = [(Exporter::Datadog, self.agent.explicit), (Exporter::Otlp, self.otlp.explicit)];
        by_address.into_iter().filter(|(_, explicit)| *explicit).map(|(exporter, _)| exporter).collect()
    }
}

/// What is hidden in query strings.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum QueryObfuscation {
    /// What the rule finds that all Datadog tracers share.
    #[default]
    SharedRule,
    /// Nothing but the signatures that OpenTelemetry's conventions name.
    Nothing,
    /// What a regular expression finds; it was tried and can be compiled.
    Pattern(String),
    /// All of them: the user's expression cannot be compiled, so nobody knows what was to be hidden.
    Everything,
}

/// What is hidden in spans before they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obfuscation {
    /// What is hidden in query strings.
    pub query_string: QueryObfuscation,
    /// Whether literals in SQL are hidden.
    pub sql: bool,
    /// Whether server spans show query strings at all.
    pub server_query_string: bool,
    /// Whether client spans show query strings at all.
    pub client_query_string: bool,
}

impl Default for Obfuscation {
    fn default() -> Self {
        Obfuscation {
            query_string: QueryObfuscation::SharedRule,
            sql: true,
            server_query_string: true,
            client_query_string: true,
        }
    }
}

/// What the program was built from (`DD_GIT_*`, or the keys of `DD_TAGS` for them).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct GitMetadata {
    /// The repository, without credentials.
    pub repository_url: Option<String>,
    /// The commit.
    pub commit_sha: Option<String>,
    /// The main package (`_dd.python_main_package`).
    pub main_package: Option<String>,
}
