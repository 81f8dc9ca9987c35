//! What the engine records, and when, read back from the records themselves.

mod decisions;
mod places;
mod recorded;
mod spans;

use super::*;
use crate::config::{Config, Sources, resolve};
use crate::context::{Priority, SpanContext};
use crate::ids::SpanId;
use crate::propagation::{CarrierMut, NoBaggage};
use crate::recorder::memory::Memory;
use recorded::{Recorded, read};
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

/// A tracer into memory.
struct Bench {
    tracer: Arc<Tracer>,
    memory: Memory,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(&[], false)
    }

    /// With settings by environment; `is_span`: the process's own span is sent.
    fn with(env: &[(&str, &str)], is_span: bool) -> Bench {
        Bench::of(Settings::of(&config(env), "rust"), is_span)
    }

    fn of(settings: Settings, is_span: bool) -> Bench {
        let memory = Memory::default();
        Bench { tracer: Tracer::new(memory.recorder(is_span), settings, None), memory }
    }

    fn start(&self, name: &'static str, parent: Parent<'_>) -> LiveSpan {
        self.tracer.start(Start::new(name, parent), |_| {})
    }

    /// Everything recorded since this was last asked, but for the resource.
    fn records(&self) -> Vec<Recorded> {
        let bytes = core::mem::take(&mut *self.memory.bytes.lock().unwrap());
        read(&bytes).into_iter().filter(|record| record.kind != "resource").collect()
    }
}

fn config(env: &[(&str, &str)]) -> Config {
    let env = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    resolve(&Sources { env, root: "/nonexistent".into(), ..Sources::default() }).config
}

/// A context as a request brings it.
fn remote(priority: Option<i32>) -> TraceContext {
    let span = SpanContext {
        trace_id: TraceId(0xaa << 64 | 0xbb),
        span_id: SpanId(0xcc),
        priority: priority.map(Priority),
        flags: 0,
    };
    TraceContext { span, is_remote: true, ..TraceContext::default() }
}

#[derive(Default)]
struct Headers(BTreeMap<String, String>);

impl CarrierMut for Headers {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.0.insert(name.into(), String::from_utf8(value.to_vec()).unwrap());
    }
}

/// The headers that a span leaves the process with.
fn injected(span: &LiveSpan) -> BTreeMap<String, String> {
    let mut headers = Headers::default();
    span.trace().inject(span.id(), &NoBaggage, &mut headers);
    headers.0
}

fn child_of(span: &LiveSpan) -> Parent<'_> {
    Parent::Local(span.trace(), span.id())
}
