//! Where to send when nobody said so: to whoever answers on this host.

use super::http::{Address, Client, Proxies, TlsFiles};
use super::{OtlpGrpc, OtlpHttp, Outcome};
use ddtrace::config::{AgentUrl, Config, Exporter, OtlpConfig, OtlpProtocol};
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::timeout;

/// How long one candidate may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// One place to send to.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// A Datadog Agent.
    Datadog(AgentUrl),
    /// An OTLP receiver.
    Otlp(OtlpConfig),
    /// The local store.
    Local,
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Destination::Datadog(url) => write!(f, "Datadog Agent at {}", Address::of_agent(url)),
            Destination::Otlp(otlp) => match Address::parse(&otlp.endpoint) {
                Ok(address) => write!(f, "OTLP receiver at {address}"),
                Err(error) => write!(f, "OTLP receiver ({error})"),
            },
            Destination::Local => write!(f, "local store"),
        }
    }
}

/// Where spans go, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// All of them get every span. Empty where only `console` was asked for, which the viewer serves.
    pub destinations: Vec<Destination>,
    /// Whether somebody asked for them; else they were found by looking.
    pub configured: bool,
}

/// Decides where spans go: to the exporters that were named; else to the Agent and the OTLP receiver whose addresses
/// were configured; else to the first that answers here: an Agent on its socket or port, an OTLP receiver over HTTP,
/// one over gRPC; else to the local store.
///
/// What was configured is not probed: it may come up later, and nothing is lost meanwhile.
pub async fn probe(config: &Config) -> Route {
    probe_among(config, Candidates::usual(config)).await
}

/// What is looked for when nothing is configured.
struct Candidates {
    agents: Vec<AgentUrl>,
    otlp_http: String,
    otlp_grpc: String,
}

impl Candidates {
    fn usual(config: &Config) -> Self {
        let socket = AgentUrl::Unix(PathBuf::from("/var/run/datadog/apm.socket"));
        let mut agents = vec![socket];
        if !agents.contains(&config.agent.url) {
            agents.push(config.agent.url.clone());
        }
        Candidates {
            agents,
            otlp_http: String::from("http://localhost:4318/v1/traces"),
            otlp_grpc: String::from("http://localhost:4317"),
        }
    }
}

async fn probe_among(config: &Config, candidates: Candidates) -> Route {
    let configured = configured(config);
    if !configured.is_empty() || !config.exporters.is_empty() {
        return Route { destinations: configured, configured: true };
    }
    for url in candidates.agents {
        if timeout(PATIENCE, is_agent(&url)).await == Ok(true) {
            return found(Destination::Datadog(url));
        }
    }
    let protocols = [(OtlpProtocol::HttpProtobuf, candidates.otlp_http), (OtlpProtocol::Grpc, candidates.otlp_grpc)];
    for (protocol, endpoint) in protocols {
        let otlp = OtlpConfig { endpoint, protocol, ..config.otlp.clone() };
        if timeout(PATIENCE, is_otlp_receiver(&otlp)).await == Ok(true) {
            return found(Destination::Otlp(otlp));
        }
    }
    found(Destination::Local)
}

fn found(destination: Destination) -> Route {
    Route { destinations: vec![destination], configured: false }
}

fn configured(config: &Config) -> Vec<Destination> {
    let datadog = || Destination::Datadog(config.agent.url.clone());
    let otlp = || Destination::Otlp(config.otlp.clone());
    if config.exporters.is_empty() {
        let agent = config.agent.explicit.then(datadog);
        return agent.into_iter().chain(config.otlp.explicit.then(otlp)).collect();
    }
    let mut destinations = Vec::new();
    for exporter in &config.exporters {
        let destination = match exporter {
            Exporter::Datadog => datadog(),
            Exporter::Otlp => otlp(),
            Exporter::Local => Destination::Local,
            Exporter::Console => continue,
        };
        if !destinations.contains(&destination) {
            destinations.push(destination);
        }
    }
    destinations
}

/// Whether an Agent that takes traces answers.
async fn is_agent(url: &AgentUrl) -> bool {
    if let AgentUrl::Unix(socket) = url
        && !socket.exists()
    {
        return false;
    }
    let mut client = Client::new(Address::of_agent(url), TlsFiles::default(), Proxies::none());
    let answer = client.send(Method::GET, "/info", &HeaderMap::new(), Default::default(), None).await;
    let Ok(response) = answer else { return false };
    let info: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let endpoints = info["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    response.status == StatusCode::OK && endpoints.iter().any(|endpoint| endpoint == "/v0.4/traces")
}

/// Whether an OTLP receiver answers: it takes a request without spans.
async fn is_otlp_receiver(otlp: &OtlpConfig) -> bool {
    let outcome = match otlp.protocol {
        OtlpProtocol::Grpc => match OtlpGrpc::new(otlp) {
            Ok(mut receiver) => receiver.export(ExportTraceServiceRequest::default()).await,
            Err(_) => return false,
        },
        _ => match OtlpHttp::new(otlp) {
            Ok(mut receiver) => receiver.export(&Bytes::new()).await,
            Err(_) => return false,
        },
    };
    matches!(outcome, Outcome::Delivered { .. })
}

#[cfg(test)]
mod tests;
