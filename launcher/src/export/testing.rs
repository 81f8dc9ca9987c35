//! Spans for tests.

use super::{Backend, Batch, Datadog, LocalStore, OtlpGrpc, OtlpHttp, Outcome};
use ddtrace::config::{Config, Sources, resolve};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::span::datadog::AgentOptions;
use ddtrace::span::{Attribute, Event, Link, Resource, Span, SpanKind, Status, TraceChunk, Value};
use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

pub fn attribute(key: &'static str, value: impl Into<Value>) -> Attribute {
    (Cow::Borrowed(key), value.into())
}

pub fn span(id: u64) -> Span {
    Span {
        trace_id: TraceId(0x640cfd8d_00000000_abcdefab_12345678),
        span_id: SpanId(id),
        flags: 1,
        name: Cow::Borrowed("work"),
        start_unix_nano: 1_700_000_000_000_000_000,
        end_unix_nano: 1_700_000_000_500_000_000,
        ..Span::default()
    }
}

/// A span that uses every field.
pub fn rich_span(id: u64, parent: u64) -> Span {
    let list = Value::Array(vec![Value::from("cc"), Value::from("-O2")]);
    Span {
        parent_id: SpanId(parent),
        parent_is_remote: true,
        trace_state: String::from("dd=s:1,vendor=x"),
        operation_name: Some(Cow::Borrowed("command_execution")),
        span_type: Some(Cow::Borrowed("system")),
        service: Some(String::from("compiler")),
        kind: SpanKind::Client,
        attributes: vec![
            attribute("process.executable.name", "cc"),
            attribute("process.exit.code", 1),
            attribute("process.interactive", false),
            attribute("load", 0.5),
            (Cow::Borrowed("process.command_args"), list),
        ],
        events: vec![Event {
            time_unix_nano: 1_700_000_000_100_000_000,
            name: Cow::Borrowed("exception"),
            attributes: vec![attribute("exception.type", "SIGSEGV"), attribute("exception.message", "\"quoted\" ü")],
            dropped_attributes: 1,
        }],
        links: vec![Link {
            trace_id: TraceId(0x11),
            span_id: SpanId(0x22),
            trace_state: String::from("a=b"),
            flags: 1,
            attributes: vec![attribute("why", "fork")],
            dropped_attributes: 2,
        }],
        status: Status::Error(Cow::Borrowed("exit code 1")),
        dropped_attributes: 3,
        dropped_events: 4,
        dropped_links: 5,
        ..span(id)
    }
}

pub fn resource(service: &'static str) -> Arc<Resource> {
    let attributes = vec![
        attribute("service.name", service),
        attribute("deployment.environment.name", "ci"),
        attribute("service.version", "1.2"),
        attribute("service.instance.id", "6dbe11aa-0000-4000-8000-0123456789ab"),
        attribute("telemetry.sdk.language", "rust"),
        attribute("process.pid", 42),
        attribute("team", "checkout"),
        attribute("_dd.hostname", "box"),
    ];
    Arc::new(Resource { attributes })
}

pub fn chunk(resource: Arc<Resource>, spans: Vec<Span>) -> TraceChunk {
    TraceChunk::new(resource, spans)
}

/// One chunk with spans of these ids.
pub fn batch(ids: &[u64]) -> Batch {
    Batch { chunks: vec![chunk(resource("shop"), ids.iter().map(|id| span(*id)).collect())] }
}

pub fn span_ids(batch: &Batch) -> Vec<u64> {
    batch.chunks.iter().flat_map(|chunk| chunk.spans.iter().map(|span| span.span_id.0)).collect()
}

/// A configuration with every setting at its default.
pub fn config() -> Config {
    // Nothing is read: neither an environment nor files are given.
    resolve(&Sources { root: "/nonexistent".into(), ..Sources::default() }).config
}

/// Encodes a batch for a backend and sends it, as the sidecar does.
pub trait SendBatch: Backend {
    async fn send_batch(&mut self, batch: &Batch) -> Outcome {
        let options = self.options().map(|options| options.get()).unwrap_or_default();
        match self.format().encode(batch, options) {
            Some(payload) => self.send(&payload.into()).await,
            None => Outcome::Delivered { rejected: 0, message: None },
        }
    }

    fn options(&self) -> Option<Rc<Cell<AgentOptions>>> {
        None
    }
}

impl SendBatch for Datadog {
    fn options(&self) -> Option<Rc<Cell<AgentOptions>>> {
        Some(Datadog::options(self))
    }
}

impl SendBatch for OtlpHttp {}
impl SendBatch for OtlpGrpc {}
impl SendBatch for LocalStore {}
