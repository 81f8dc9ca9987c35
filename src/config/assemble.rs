//! From the chosen values to the configuration: where one depends on others, it is decided here.

mod propagation;

use super::mask::masked_url;
use super::parse::{agent_url_of, grpc_target, http_traces_url};
use super::pick::{Pick, Picks};
use super::sampling::sampling;
use super::sources::{Layer, Origin, Sources, Warning};
use super::table::{Id, settings};
use super::value::Value;
use super::{
    AgentConfig, AgentUrl, Config, Exporter, GitMetadata, LogLevel, Obfuscation, OtelProvider, OtlpConfig,
    OtlpProtocol, ProcessSpans, PythonProvider, QueryObfuscation,
};
use crate::http::ErrorStatuses;
use crate::settings::Native;
use crate::span::SpanLimits;
use crate::span::scrub::compile;
use propagation::propagation;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// The socket that an Agent on this host listens on, if it was told to.
pub const AGENT_SOCKET: &str = "/var/run/datadog/apm.socket";
const AGENT_PORT: u16 = 8126;

/// The configuration, and where the addresses in it came from.
pub(crate) struct Assembled {
    pub config: Config,
    pub agent_origin: Origin,
    pub otlp_origin: Origin,
}

pub(crate) fn assemble(picks: &Picks, sources: &Sources, warnings: &mut Vec<Warning>) -> Assembled {
    let (agent, agent_origin) = agent(picks, sources);
    let (otlp, otlp_origin) = otlp(picks, &agent, warnings);
    let debug = picks.flag(Id::Debug);
    let owned = |id| picks.text(id).map(ToString::to_string);
    let config = Config {
        enabled: picks.flag(Id::Enabled),
        service: owned(Id::Service),
        env: owned(Id::Env),
        version: owned(Id::Version),
        tags: own_tags(picks),
        service_mapping: picks.pairs(Id::ServiceMapping).to_vec(),
        peer_service_defaults: match picks.get(Id::PeerServiceDefaults).value {
            Some(Value::Bool(enabled)) => enabled,
            _ => picks.name(Id::SpanAttributeSchema) == "v1",
        },
        peer_service_mapping: picks.pairs(Id::PeerServiceMapping).to_vec(),
        report_hostname: picks.flag(Id::ReportHostname),
        hostname: owned(Id::Hostname),
        exporters: exporters(picks),
        agent,
        otlp,
        flush_interval: picks.duration(Id::FlushInterval),
        max_payload_bytes: picks
            .number(Id::AgentMaxPayload)
            .and_then(|bytes| bytes.try_into().ok())
            .unwrap_or(usize::MAX),
        partial_flush: picks.flag(Id::PartialFlush),
        partial_flush_min_spans: picks
            .number(Id::PartialFlushMinSpans)
            .and_then(|spans| spans.try_into().ok())
            .unwrap_or(usize::MAX),
        process_spans: match picks.name(Id::ProcessSpans) {
            "true" => ProcessSpans::On,
            "false" => ProcessSpans::Off,
            _ => ProcessSpans::Auto,
        },
        trace_id_128_bit: picks.flag(Id::TraceId128Bit),
        sampling: sampling(picks, warnings),
        denylist: list(picks, Id::Denylist),
        inject_cleared_env: picks.flag(Id::InjectClearedEnv),
        native: match picks.name(Id::Native) {
            "true" => Native::On,
            "false" => Native::Off,
            _ => Native::Auto,
        },
        header_tags: list(picks, Id::HeaderTags),
        client_ip: match picks.get(Id::ClientIp).value {
            Some(Value::Bool(wanted)) => Some(wanted),
            _ => None,
        },
        client_ip_header: picks
            .text(Id::ClientIpHeader)
            .map(|header| header.trim().to_ascii_lowercase().replace('_', "-"))
            .unwrap_or_default(),
        server_error_statuses: error_statuses(picks, warnings),
        python_provider: match picks.name(Id::PythonProvider) {
            "ddtrace-run" => PythonProvider::DdtraceRun,
            "none" => PythonProvider::None,
            _ => PythonProvider::Auto,
        },
        otel_provider: match picks.name(Id::OtelProvider) {
            "true" => OtelProvider::On,
            "false" => OtelProvider::Off,
            _ => OtelProvider::Auto,
        },
        propagation: propagation(picks),
        baggage_tag_keys: list(picks, Id::BaggageTagKeys),
        native_span_events: picks.flag(Id::NativeSpanEvents),
        obfuscation: obfuscation(picks, warnings),
        span_limits: span_limits(picks),
        debug,
        log_level: match picks.name(Id::LogLevel) {
            level if debug => LogLevel::Debug.max(log_level(level)),
            level => log_level(level),
        },
        log_file: picks.path(Id::LogFile),
        state_dir: picks.path(Id::StateDir),
        local_max_bytes: picks.number(Id::LocalMaxBytes).unwrap_or(u64::MAX),
        spool_max_bytes: picks.number(Id::SpoolMaxBytes).unwrap_or(u64::MAX),
        memory_max_bytes: picks.number(Id::MemoryMaxBytes).unwrap_or(u64::MAX),
        shutdown_timeout: picks.duration(Id::ShutdownTimeout),
        external_env: owned(Id::ExternalEnv).filter(|text| !text.is_empty()),
        git: if picks.flag(Id::GitMetadata) {
            GitMetadata {
                repository_url: owned(Id::GitRepositoryUrl),
                commit_sha: owned(Id::GitCommitSha),
                main_package: owned(Id::MainPackage),
            }
        } else {
            GitMetadata::default()
        },
        process_tags: picks.flag(Id::ProcessTags),
    };
    Assembled { config, agent_origin, otlp_origin }
}

fn error_statuses(picks: &Picks, warnings: &mut Vec<Warning>) -> ErrorStatuses {
    let read = |item: &str| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..1000).contains(status));
        Some((status(first)?, status(last)?))
    };
    let named = list(picks, Id::ServerErrorStatuses);
    if named.is_empty() {
        return ErrorStatuses::DEFAULT;
    }
    let mut statuses = ErrorStatuses::NONE;
    for item in named {
        match read(&item) {
            Some((first, last)) => statuses = statuses.with(first.min(last), last.max(first)),
            None => {
                let origin = &picks.get(Id::ServerErrorStatuses).origin;
                warnings.push(Warning::new(format!(
                    "{item:?} ({origin}) is neither a status nor a range of statuses; 500-599 is used"
                )));
                return ErrorStatuses::DEFAULT;
            }
        }
    }
    statuses
}

fn obfuscation(picks: &Picks, warnings: &mut Vec<Warning>) -> Obfuscation {
    let query_string = match picks.text(Id::ObfuscateQueryString) {
        None => QueryObfuscation::SharedRule,
        Some("") => QueryObfuscation::Nothing,
        Some(pattern) => match compile(pattern) {
            Ok(_) => QueryObfuscation::Pattern(pattern.to_string()),
            Err(error) => {
                let origin = &picks.get(Id::ObfuscateQueryString).origin;
                // The engine draws the place below the pattern; its last line says what is wrong.
                let reason = error.to_string().lines().last().unwrap_or_default().replace("error: ", "");
                warnings.push(Warning::new(format!(
                    "the regular expression {pattern:?} ({origin}) for query strings cannot be used: {reason}; no span \
                     shows a query string"
                )));
                QueryObfuscation::Everything
            }
        },
    };
    Obfuscation {
        query_string,
        sql: picks.flag(Id::ObfuscateSql),
        server_query_string: picks.flag(Id::ServerQueryString),
        client_query_string: picks.flag(Id::ClientQueryString),
    }
}

/// The limit for a kind of record, else the general one, else none.
fn span_limits(picks: &Picks) -> SpanLimits {
    let first = |ids: &[Id]| ids.iter().find_map(|id| picks.number(*id)).and_then(|number| number.try_into().ok());
    let count = |ids: &[Id]| first(ids).unwrap_or(usize::MAX);
    SpanLimits {
        attributes: count(&[Id::SpanAttributeCount, Id::AttributeCount]),
        attribute_length: first(&[Id::SpanAttributeLength, Id::AttributeLength]),
        events: count(&[Id::EventCount]),
        links: count(&[Id::LinkCount]),
        event_attributes: count(&[Id::EventAttributeCount, Id::AttributeCount]),
        link_attributes: count(&[Id::LinkAttributeCount, Id::AttributeCount]),
        nested_attribute_length: first(&[Id::AttributeLength]),
    }
}

fn log_level(name: &str) -> LogLevel {
    match name {
        "off" => LogLevel::Off,
        "error" => LogLevel::Error,
        "info" => LogLevel::Info,
        "debug" => LogLevel::Debug,
        "trace" => LogLevel::Trace,
        _ => LogLevel::Warn,
    }
}

fn exporters(picks: &Picks) -> Vec<Exporter> {
    let Some(Value::Names(names)) = &picks.get(Id::Exporter).value else { return Vec::new() };
    names
        .iter()
        .filter_map(|name| match *name {
            "datadog" => Some(Exporter::Datadog),
            "otlp" => Some(Exporter::Otlp),
            "local" => Some(Exporter::Local),
            "console" => Some(Exporter::Console),
            _ => None,
        })
        .collect()
}

fn list(picks: &Picks, id: Id) -> Vec<String> {
    match &picks.get(id).value {
        Some(Value::List(items)) => items.clone(),
        _ => Vec::new(),
    }
}

/// The tags without those that became settings of their own. (`env` is on every span anyway, from the setting.)
fn own_tags(picks: &Picks) -> Vec<(String, String)> {
    let is_setting = |key: &str| settings().any(|setting| setting.tag == key || setting.resource.contains(&key));
    picks.pairs(Id::Tags).iter().filter(|(key, _)| !is_setting(key)).cloned().collect()
}

/// The strongest source that says anything about the address decides; within one, a URL goes before host and port.
fn agent(picks: &Picks, sources: &Sources) -> (AgentConfig, Origin) {
    let [url, host, port] = [Id::AgentUrl, Id::AgentHost, Id::AgentPort].map(|id| picks.get(id));
    let parts = if host.layer <= port.layer { host } else { port };
    let (address, origin) = match &url.value {
        Some(Value::Agent(address)) if url.layer <= parts.layer => (address.clone(), url.origin.clone()),
        _ if parts.layer != Layer::Default => {
            let host = picks.text(Id::AgentHost).unwrap_or("localhost").to_string();
            let port = picks.number(Id::AgentPort).and_then(|port| port.try_into().ok()).unwrap_or(AGENT_PORT);
            (agent_url_of(host, port), parts.origin.clone())
        }
        _ if sources.at(AGENT_SOCKET).exists() => (AgentUrl::Unix(sources.at(AGENT_SOCKET)), Origin::Default),
        _ => (agent_url_of("localhost".into(), AGENT_PORT), Origin::Default),
    };
    let explicit = origin != Origin::Default;
    (AgentConfig { url: address, explicit, timeout: picks.duration(Id::AgentTimeout) }, origin)
}

fn otlp(picks: &Picks, agent: &AgentConfig, warnings: &mut Vec<Warning>) -> (OtlpConfig, Origin) {
    let protocol = match picks.name(Id::OtlpProtocol) {
        "grpc" => OtlpProtocol::Grpc,
        "http/json" => OtlpProtocol::HttpJson,
        _ => OtlpProtocol::HttpProtobuf,
    };
    let (base, signal) = (picks.get(Id::OtlpEndpoint), picks.get(Id::OtlpTracesEndpoint));
    let chosen = if signal.layer <= base.layer { signal } else { base };
    let configured = chosen_endpoint(picks, chosen, protocol, warnings);
    let origin = if configured.is_some() { chosen.origin.clone() } else { Origin::Default };
    let explicit = configured.is_some();
    let config = OtlpConfig {
        endpoint: configured.unwrap_or_else(|| default_endpoint(agent, protocol)),
        explicit,
        protocol,
        headers: picks.pairs(Id::OtlpHeaders).to_vec(),
        gzip: picks.name(Id::OtlpCompression) == "gzip",
        timeout: Some(picks.duration(Id::OtlpTimeout)).filter(|timeout| !timeout.is_zero()),
        certificate: picks.path(Id::OtlpCertificate),
        client_key: picks.path(Id::OtlpClientKey),
        client_certificate: picks.path(Id::OtlpClientCertificate),
    };
    if config.client_key.is_some() != config.client_certificate.is_some() {
        let (present, missing) =
            if config.client_key.is_some() { ("key", "certificate") } else { ("certificate", "key") };
        warnings.push(Warning::new(format!(
            "the OTLP client's {present} is set ({}) without its {missing}; mutual TLS needs both, using neither",
            picks.get(if config.client_key.is_some() { Id::OtlpClientKey } else { Id::OtlpClientCertificate }).origin,
        )));
        return (OtlpConfig { client_key: None, client_certificate: None, ..config }, origin);
    }
    (config, origin)
}

/// `None` if none is configured, or one that the protocol cannot reach.
fn chosen_endpoint(
    picks: &Picks,
    chosen: &Pick,
    protocol: OtlpProtocol,
    warnings: &mut Vec<Warning>,
) -> Option<String> {
    let text = picks.text(chosen.setting.id)?;
    let named = || format!("{} ({})", masked_url(text), chosen.origin);
    let built = if protocol == OtlpProtocol::Grpc {
        grpc_target(text, picks.flag(Id::OtlpInsecure)).map(|target| (target, false))
    } else {
        http_traces_url(text, chosen.setting.id == Id::OtlpEndpoint)
    };
    match built {
        Ok((url, scheme_was_missing)) => {
            if scheme_was_missing {
                let shown = masked_url(&url);
                warnings.push(Warning::new(format!(
                    "the OTLP endpoint {} has no http:// or https://; using {shown}",
                    named()
                )));
            }
            if protocol != OtlpProtocol::Grpc && names_grpc_port(text) {
                warnings.push(Warning::new(format!(
                    "the OTLP endpoint {} has the port of gRPC, but the protocol is {}; if the receiver speaks gRPC there, set OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
                    named(),
                    picks.name(Id::OtlpProtocol),
                )));
            }
            Some(url)
        }
        Err(complaint) => {
            warnings.push(Warning::new(format!("the OTLP endpoint {} {complaint}; using the default", named())));
            None
        }
    }
}

fn names_grpc_port(endpoint: &str) -> bool {
    endpoint.split(":4317").nth(1).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

/// Datadog's rule: the Agent's host, if there is one, receives OTLP as well.
fn default_endpoint(agent: &AgentConfig, protocol: OtlpProtocol) -> String {
    let host = match &agent.url {
        AgentUrl::Tcp { host, .. } if agent.explicit && host.contains(':') => format!("[{host}]"),
        AgentUrl::Tcp { host, .. } if agent.explicit => host.clone(),
        _ => "localhost".into(),
    };
    match protocol {
        OtlpProtocol::Grpc => format!("http://{host}:4317"),
        OtlpProtocol::HttpProtobuf | OtlpProtocol::HttpJson => format!("http://{host}:4318/v1/traces"),
    }
}
