//! Sends to a Datadog Agent's trace intake, version `v0.4`.

use super::answer_limit::AnswerLimit;
use super::container::ContainerIdentity;
use super::http::{Address, Client, Proxies, Response, TlsFiles};
use super::{Backend, Format, Outcome};
use ddtrace::config::{AgentUrl, Config};
use ddtrace::sampling::AgentRateTable;
use ddtrace::span::datadog::AgentOptions;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long the Agent may take to tell what it understands: everything else waits for it.
const LEARNING: Duration = Duration::from_millis(500);

const PATH: &str = "/v0.4/traces";
const RATES_VERSION: HeaderName = HeaderName::from_static("datadog-rates-payload-version");
const TRACE_COUNT: HeaderName = HeaderName::from_static("x-datadog-trace-count");

/// A Datadog Agent.
pub struct Datadog {
    client: Client,
    headers: HeaderMap,
    limit: AnswerLimit,
    max_payload_bytes: usize,
    options: Rc<Cell<AgentOptions>>,
    /// Whether the Agent is to be asked if it takes events as such.
    asks_for_events: bool,
    rates: AgentRateTable,
}

impl Datadog {
    /// An Agent; nothing is connected yet. Proxies are never used: an Agent is on this host or in its network.
    pub fn new(url: &AgentUrl, config: &Config) -> Self {
        Datadog {
            client: Client::new(Address::of_agent(url), TlsFiles::default(), Proxies::none()),
            headers: headers(config.external_env.as_deref(), &ContainerIdentity::detect()),
            limit: AnswerLimit::new(config.agent.timeout),
            max_payload_bytes: config.max_payload_bytes,
            options: Rc::default(),
            asks_for_events: config.native_span_events,
            rates: AgentRateTable::default(),
        }
    }

    /// The sampling rates that the Agent answered with last.
    pub fn rates(&self) -> &AgentRateTable {
        &self.rates
    }

    /// What the Agent is to be told and understands: whoever encodes for it looks here each time.
    pub fn options(&self) -> Rc<Cell<AgentOptions>> {
        Rc::clone(&self.options)
    }

    /// Most bytes of a payload.
    pub fn most_bytes(&self) -> usize {
        self.max_payload_bytes
    }

    /// Asks the Agent whether it takes events as such. One that does not answer is asked again when it has answered
    /// something else; until then events are tags, which every Agent takes.
    pub async fn learn(&mut self) {
        if !self.asks_for_events {
            return;
        }
        let headers = HeaderMap::new();
        let asking = self.client.send(Method::GET, "/info", &headers, Default::default(), None);
        let Ok(Ok(response)) = tokio::time::timeout(self.limit.current().min(LEARNING), asking).await else { return };
        if response.unread.is_some() {
            return;
        }
        let info: serde_json::Value = match response.status.as_u16() {
            200 => serde_json::from_slice(&response.body).unwrap_or_default(),
            // Too old to tell.
            404 => serde_json::Value::Null,
            _ => return,
        };
        self.options.set(AgentOptions { native_events: info["span_events"] == true, ..self.options.get() });
        self.asks_for_events = false;
    }

    fn outcome(&mut self, response: &Response) -> Outcome {
        let status = response.status;
        let at = || format!("Datadog Agent at {}: {status}", self.destination());
        let said = || match response.excerpt() {
            text if text.is_empty() => at(),
            text => format!("{}: {text}", at()),
        };
        match status.as_u16() {
            200..=299 => {
                if let Some(why) = &response.unread {
                    // The spans were taken; only the rates are lost.
                    tracing::debug!("{}, but the answer's sampling rates cannot be read: {why}", at());
                    return Outcome::Delivered { rejected: 0, message: None };
                }
                let version = response.headers.get(RATES_VERSION).and_then(|version| version.to_str().ok());
                self.rates.update(&response.body, version);
                Outcome::Delivered { rejected: 0, message: None }
            }
            413 => Outcome::TooLarge,
            // Not an Agent, or one from before v0.4: the spans are good, and may be for whoever listens there later.
            404 | 415 => Outcome::Retry {
                after: None,
                reason: format!("{} for {PATH}: what listens there is no Datadog Agent, or too old a one", at()),
            },
            408 | 429 | 500..=599 => Outcome::Retry { after: response.retry_after(), reason: said() },
            _ => Outcome::Refused { reason: format!("{}; the spans are dropped", said()) },
        }
    }
}

/// The headers of every request. A value that no header can hold is left out, with a warning.
fn headers(external_env: Option<&str>, container: &ContainerIdentity) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (CONTENT_TYPE, "application/msgpack"),
        (USER_AGENT, concat!("Tracer/", env!("CARGO_PKG_VERSION"))),
        (HeaderName::from_static("datadog-meta-lang"), "rust"),
        (HeaderName::from_static("datadog-meta-lang-version"), env!("CARGO_PKG_RUST_VERSION")),
        (HeaderName::from_static("datadog-meta-tracer-version"), env!("CARGO_PKG_VERSION")),
        (HeaderName::from_static("datadog-client-computed-top-level"), "true"),
        (HeaderName::from_static("datadog-send-real-http-status"), "1"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value, setting) in [
        ("datadog-container-id", container.container_id.as_deref(), "container id"),
        ("datadog-entity-id", container.entity_id.as_deref(), "entity id"),
        ("datadog-external-env", external_env.filter(|env| !env.is_empty()), "DD_EXTERNAL_ENV"),
    ] {
        match value.map(HeaderValue::from_str) {
            None => {}
            Some(Ok(value)) => {
                headers.insert(HeaderName::from_static(name), value);
            }
            Some(Err(_)) => tracing::warn!(
                "{setting}={:?} has control characters, which no header can hold; it is not sent to the Agent",
                value.unwrap_or_default()
            ),
        }
    }
    headers
}

impl Backend for Datadog {
    fn format(&self) -> Format {
        Format::Datadog
    }

    async fn send(&mut self, payload: &Bytes) -> Outcome {
        if payload.len() > self.max_payload_bytes {
            return Outcome::TooLarge;
        }
        let mut headers = self.headers.clone();
        headers.insert(TRACE_COUNT, HeaderValue::from(traces(payload)));
        if let Ok(version) = HeaderValue::from_str(self.rates.version()) {
            headers.insert(RATES_VERSION, version);
        }
        let outcome = self.post(&headers, payload).await;
        if matches!(outcome, Outcome::Delivered { .. }) {
            self.learn().await;
        }
        outcome
    }

    fn name(&self) -> &'static str {
        "Datadog Agent"
    }

    fn destination(&self) -> String {
        self.client.address().to_string()
    }
}

impl Datadog {
    async fn post(&mut self, headers: &HeaderMap, payload: &Bytes) -> Outcome {
        let begun = Instant::now();
        match self.client.send(Method::POST, PATH, headers, payload.clone(), Some(self.limit.current())).await {
            Ok(response) => {
                self.limit.answered(begun.elapsed());
                self.outcome(&response)
            }
            Err(failure) => {
                if failure.is_late() {
                    self.limit.missed();
                }
                Outcome::Retry { after: None, reason: format!("Datadog Agent at {}: {failure}", self.destination()) }
            }
        }
    }
}

/// How many chunks a payload says it has.
fn traces(payload: &[u8]) -> u32 {
    match payload {
        [0xdd, a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]),
        [0xdc, a, b, ..] => u16::from_be_bytes([*a, *b]).into(),
        [length @ 0x90..=0x9f, ..] => u32::from(length & 0x0f),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
