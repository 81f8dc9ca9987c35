//! Where spans go: one backend for each kind of receiver, and one rule for delivering to it.
//!
//! Everything here runs on the sidecar's single-threaded runtime. A backend sends one batch and says what became of it;
//! when to try again, to split or to give up is decided in [`deliver()`] alone.

mod answer_limit;
mod container;
mod datadog;
mod deliver;
mod format;
mod http;
mod local;
mod otlp;
mod prepare;
mod probe;

#[cfg(test)]
mod test_server;
#[cfg(test)]
mod test_tls;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use datadog::Datadog;
pub use deliver::{Remark, Time, deliver};
pub use format::Format;
pub use local::{FILE_NAME as LOCAL_STORE, LocalStore, OLDER_FILE_NAME as OLDER_LOCAL_STORE};
pub use otlp::{OtlpGrpc, OtlpHttp};
pub use prepare::Preparation;
pub use probe::{Destination, probe};

use ddtrace::config::{Config, OtlpProtocol};
use ddtrace::sampling::AgentRateTable;
use ddtrace::span::TraceChunk;
use ddtrace::span::datadog::AgentOptions;
use hyper::body::Bytes;
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// The batch as one line of OTLP JSON, with its line end; nothing where it has no spans.
pub fn otlp_json_line(batch: &Batch) -> Vec<u8> {
    let Some(request) = otlp::trace_request(batch) else { return Vec::new() };
    let mut line = otlp::json::to_json(&request);
    line.push(b'\n');
    line
}

/// What is delivered together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The chunks, each with at least one span.
    pub chunks: Vec<TraceChunk>,
}

impl Batch {
    /// How many spans are in it.
    pub fn spans(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.spans.len() as u64).sum()
    }

    /// Two batches of half the size, in order; a single span cannot be split and comes back.
    pub fn halves(mut self) -> Result<(Batch, Batch), Batch> {
        if self.chunks.len() > 1 {
            let second = self.chunks.split_off(self.chunks.len() / 2);
            return Ok((self, Batch { chunks: second }));
        }
        match self.chunks.first_mut() {
            Some(chunk) if chunk.spans.len() > 1 => {
                let second = chunk.split_off(chunk.spans.len() / 2);
                Ok((self, Batch { chunks: vec![second] }))
            }
            _ => Err(self),
        }
    }
}

/// What became of a batch that was sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered {
        /// How many spans the receiver says it did not take; sending them again would not help.
        rejected: u64,
        /// What else the receiver said.
        message: Option<String>,
    },
    /// Not now; the same batch may be taken later.
    Retry {
        /// How long the receiver asked to wait.
        after: Option<Duration>,
        /// What happened, for people; without secrets.
        reason: String,
    },
    /// Never: the batch is to be dropped and counted.
    Refused {
        /// What happened, for people; without secrets.
        reason: String,
    },
    /// More than the receiver takes at once: parts of it may be taken.
    TooLarge,
}

/// A receiver of spans.
pub trait Backend {
    /// What it is sent.
    fn format(&self) -> Format;

    /// Sends a payload of its format once.
    async fn send(&mut self, payload: &Bytes) -> Outcome;

    /// What kind of receiver it is, such as `Datadog Agent`.
    fn name(&self) -> &'static str;

    /// Where it is, for messages; without secrets.
    fn destination(&self) -> String;
}

/// Any of the backends.
pub enum AnyBackend {
    /// A Datadog Agent.
    Datadog(Datadog),
    /// An OTLP receiver over HTTP.
    OtlpHttp(OtlpHttp),
    /// An OTLP receiver over gRPC.
    OtlpGrpc(OtlpGrpc),
    /// The local store.
    Local(LocalStore),
}

impl AnyBackend {
    /// Makes the backend for a destination; nothing is connected yet.
    ///
    /// `state_dir` is the directory of the local store.
    ///
    /// # Errors
    /// A message that names the setting that cannot be used.
    pub fn open(destination: &Destination, config: &Config, state_dir: &Path) -> Result<Self, String> {
        Ok(match destination {
            Destination::Datadog(url) => AnyBackend::Datadog(Datadog::new(url, config)),
            Destination::Otlp(otlp) if otlp.protocol == OtlpProtocol::Grpc => {
                AnyBackend::OtlpGrpc(OtlpGrpc::new(otlp)?)
            }
            Destination::Otlp(otlp) => AnyBackend::OtlpHttp(OtlpHttp::new(otlp)?),
            Destination::Local => AnyBackend::Local(LocalStore::new(state_dir, config.local_max_bytes)),
        })
    }

    /// The sampling rates that an Agent sent back; `None` for what is no Agent.
    pub fn rates(&self) -> Option<&AgentRateTable> {
        match self {
            AnyBackend::Datadog(agent) => Some(agent.rates()),
            _ => None,
        }
    }

    /// What an Agent is to be told and understands, as it is known by now; `None` for what is no Agent.
    pub fn options(&self) -> Option<Rc<Cell<AgentOptions>>> {
        match self {
            AnyBackend::Datadog(agent) => Some(agent.options()),
            _ => None,
        }
    }

    /// Asks a receiver that is there what has to be known before anything is encoded for it.
    pub async fn learn(&mut self) {
        if let AnyBackend::Datadog(agent) = self {
            agent.learn().await;
        }
    }

    /// Most bytes of a payload that it takes.
    pub fn most_bytes(&self) -> usize {
        match self {
            AnyBackend::Datadog(agent) => agent.most_bytes(),
            AnyBackend::OtlpHttp(_) => OtlpHttp::MOST_BYTES,
            AnyBackend::OtlpGrpc(_) => OtlpGrpc::MOST_BYTES,
            AnyBackend::Local(_) => usize::MAX,
        }
    }
}

impl Backend for AnyBackend {
    fn format(&self) -> Format {
        match self {
            AnyBackend::Datadog(backend) => backend.format(),
            AnyBackend::OtlpHttp(backend) => backend.format(),
            AnyBackend::OtlpGrpc(backend) => backend.format(),
            AnyBackend::Local(backend) => backend.format(),
        }
    }

    async fn send(&mut self, payload: &Bytes) -> Outcome {
        match self {
            AnyBackend::Datadog(backend) => backend.send(payload).await,
            AnyBackend::OtlpHttp(backend) => backend.send(payload).await,
            AnyBackend::OtlpGrpc(backend) => backend.send(payload).await,
            AnyBackend::Local(backend) => backend.send(payload).await,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            AnyBackend::Datadog(backend) => backend.name(),
            AnyBackend::OtlpHttp(backend) => backend.name(),
            AnyBackend::OtlpGrpc(backend) => backend.name(),
            AnyBackend::Local(backend) => backend.name(),
        }
    }

    fn destination(&self) -> String {
        match self {
            AnyBackend::Datadog(backend) => backend.destination(),
            AnyBackend::OtlpHttp(backend) => backend.destination(),
            AnyBackend::OtlpGrpc(backend) => backend.destination(),
            AnyBackend::Local(backend) => backend.destination(),
        }
    }
}
