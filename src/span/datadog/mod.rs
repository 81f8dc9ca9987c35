//! The one mapping from the span model to the fields of Datadog's trace intake.
//!
//! Names, types and renames follow the rules that the Agent's OTLP receiver and Datadog's tracers share, so that a span
//! looks the same in Datadog whether it arrives here, over OTLP or from another tracer. How the fields are written as
//! bytes is [`super::msgpack`]'s business.

mod error;
mod events;
mod names;
mod sampled;
mod tags;
mod text;

pub use sampled::SampledSpan;

use super::{Link, Resource, Span, SpanKind, Status, TraceChunk, Value};
use crate::ids::SpanId;
use std::borrow::Cow;
use std::collections::HashMap;
use std::string::{String, ToString};
use std::vec::Vec;
use tags::Tags;
use text::{shortened, value_text};

/// A span as Datadog's intake knows it (`v0.4`).
#[derive(Clone, Debug, PartialEq)]
pub struct DatadogSpan<'a> {
    /// The service.
    pub service: Cow<'a, str>,
    /// The operation name, such as `http.server.request`.
    pub name: Cow<'a, str>,
    /// The resource, such as `GET /users/{id}`.
    pub resource: Cow<'a, str>,
    /// The type, such as `web`; empty when there is none.
    pub span_type: Cow<'a, str>,
    /// The low half of the trace id; the high one is the tag `_dd.p.tid` of a chunk's first span.
    pub trace_id: u64,
    /// The span's id.
    pub span_id: u64,
    /// The parent's id; zero for a root.
    pub parent_id: u64,
    /// Nanoseconds since the Unix epoch.
    pub start: i64,
    /// Nanoseconds, never negative.
    pub duration: i64,
    /// Whether the span failed.
    pub error: bool,
    /// Text tags, keys unique.
    pub meta: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Number tags, keys unique, values finite.
    pub metrics: Vec<(Cow<'a, str>, f64)>,
    /// References to other spans.
    pub links: Vec<DatadogLink<'a>>,
}

/// A span link as Datadog's intake knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct DatadogLink<'a> {
    /// The low half of the linked trace id.
    pub trace_id: u64,
    /// The high half of the linked trace id.
    pub trace_id_high: u64,
    /// The linked span's id.
    pub span_id: u64,
    /// Attributes, lists flattened to `key.0`, `key.1`, everything as text.
    pub attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// W3C `tracestate` of the linked span, or empty.
    pub tracestate: Cow<'a, str>,
    /// W3C trace flags; bit 31 tells that they are known.
    pub flags: u32,
}

/// What all spans of a chunk share.
struct Origin<'a> {
    service: &'a str,
    env: Option<&'a str>,
    version: Option<&'a str>,
    /// The user's own resource attributes: tags of every span.
    tags: Vec<(&'a str, Cow<'a, str>)>,
}

/// Maps the spans of a chunk, in their order.
///
/// `keep_rate` is the fraction of traces, 0 to 1, that this tracer did not lose; the Agent scales its statistics by it.
#[must_use]
pub fn map_chunk(chunk: &TraceChunk, keep_rate: f64) -> Vec<DatadogSpan<'_>> {
    let origin = Origin::of(&chunk.resource);
    let services = services(chunk, &origin);
    let leads = |index: usize| index == 0 && chunk.has_local_root;
    let mut mapped: Vec<_> =
        chunk.spans.iter().enumerate().map(|(i, s)| map_span(s, &origin, &services, leads(i))).collect();
    if let (Some(first), Some(span)) = (mapped.first_mut(), chunk.spans.first()) {
        let mut tags = Tags::from_parts(std::mem::take(&mut first.meta), std::mem::take(&mut first.metrics));
        add_chunk_tags(&mut tags, chunk, span, keep_rate);
        (first.meta, first.metrics) = tags.into_parts();
    }
    mapped
}

/// The service of each span of a chunk.
fn services<'a>(chunk: &'a TraceChunk, origin: &Origin<'a>) -> HashMap<SpanId, &'a str> {
    chunk.spans.iter().map(|span| (span.span_id, origin.service_of(span))).collect()
}

/// Writes down which spans are at the top of their service, where that is not known yet.
pub(super) fn settle_top_level(chunk: &mut TraceChunk) {
    let origin = Origin::of(&chunk.resource);
    let services = services(chunk, &origin);
    let is_top = |(index, span): (usize, &Span)| {
        is_top_level(span, origin.service_of(span), &services, index == 0 && chunk.has_local_root)
    };
    let settled: Vec<bool> = chunk.spans.iter().enumerate().map(is_top).collect();
    for (span, is_top) in chunk.spans.iter_mut().zip(settled) {
        span.top_level = Some(is_top);
    }
}

impl<'a> Origin<'a> {
    fn of(resource: &'a Resource) -> Self {
        let nonempty = |key| resource.text(key).filter(|text| !text.is_empty());
        Origin {
            service: resource.text("service.name").unwrap_or_default(),
            env: nonempty("deployment.environment.name").or_else(|| nonempty("deployment.environment")),
            version: nonempty("service.version"),
            tags: resource
                .attributes
                .iter()
                .filter(|(key, _)| is_users_own(key))
                .map(|(key, value)| (key.as_ref(), value_text(value)))
                .collect(),
        }
    }

    fn service_of<'s>(&self, span: &'s Span) -> &'s str
    where
        'a: 's,
    {
        service_of(span, self.service)
    }
}

/// A span's service: its own, else that of what made it.
fn service_of<'a>(span: &'a Span, makers: &'a str) -> &'a str {
    names::attribute_text(span, &["datadog.service", "service.name"])
        .or(span.service.as_deref().filter(|service| !service.is_empty()))
        .unwrap_or(makers)
}

/// Whether a resource attribute is a tag of the user's. What describes the process, its host and the tracer has fields
/// of its own or is known to the Agent; `_dd.*` is the tracer's and goes on the first span of a chunk only.
fn is_users_own(key: &str) -> bool {
    const DESCRIBED_ELSEWHERE: [&str; 6] = ["telemetry.", "service.", "process.", "os.", "host.", "_dd."];
    !DESCRIBED_ELSEWHERE.iter().any(|prefix| key.starts_with(prefix))
        && key != "deployment.environment"
        && key != "deployment.environment.name"
}

fn map_span<'a>(span: &'a Span, origin: &Origin<'a>, services: &HashMap<SpanId, &str>, first: bool) -> DatadogSpan<'a> {
    let service = origin.service_of(span);
    let mut tags = Tags::default();
    for (key, value) in &span.attributes {
        tags.add_attribute(key, value);
    }
    for (key, value) in &origin.tags {
        tags.add_text(Cow::Borrowed(*key), value.clone());
    }
    add_identity_tags(&mut tags, span, origin, service);
    add_otel_tags(&mut tags, span);
    if is_top_level(span, service, services, first) {
        tags.set_number("_dd.top_level", 1.0);
    }
    if matches!(span.kind, SpanKind::Client | SpanKind::Producer) {
        tags.set_number("_dd.measured", 1.0);
    }
    let error = error::describe(span, &mut tags);
    let (meta, metrics) = tags.into_parts();
    DatadogSpan {
        service: shortened(Cow::Borrowed(service)),
        name: shortened(names::operation_name(span)),
        resource: shortened(names::resource(span)),
        span_type: shortened(names::span_type(span)),
        trace_id: span.trace_id.low(),
        span_id: span.span_id.0,
        parent_id: span.parent_id.0,
        start: i64::try_from(span.start_unix_nano).unwrap_or(i64::MAX),
        duration: i64::try_from(span.end_unix_nano.saturating_sub(span.start_unix_nano)).unwrap_or(i64::MAX),
        error,
        meta,
        metrics,
        links: span.links.iter().map(map_link).collect(),
    }
}

/// `env`, `version`, the kind, and the service of the process where the span's differs.
fn add_identity_tags<'a>(tags: &mut Tags<'a>, span: &'a Span, origin: &Origin<'a>, service: &str) {
    let override_of = |key| names::attribute_text(span, &[key]);
    if let Some(env) = override_of("datadog.env") {
        tags.set_text("env", Cow::Borrowed(env));
    } else if let Some(env) = origin.env {
        tags.add_text(Cow::Borrowed("env"), Cow::Borrowed(env));
    }
    if let Some(version) = override_of("datadog.version") {
        tags.set_text("version", Cow::Borrowed(version));
    } else if let Some(version) = origin.version.filter(|_| service == origin.service) {
        // The version is the service's: a span of another service has a version of its own or none.
        tags.add_text(Cow::Borrowed("version"), Cow::Borrowed(version));
    }
    let kind = override_of("datadog.span.kind").unwrap_or_else(|| names::kind_name(span.kind));
    tags.set_text("span.kind", Cow::Borrowed(kind));
    if service != origin.service && !origin.service.is_empty() {
        tags.set_text("_dd.base_service", Cow::Owned(origin.service.to_lowercase()));
    }
}

/// What is OpenTelemetry's and has no field at Datadog.
fn add_otel_tags<'a>(tags: &mut Tags<'a>, span: &'a Span) {
    tags.set_text("otel.trace_id", Cow::Owned(span.trace_id.to_string()));
    let status = match span.status {
        Status::Unset => "Unset",
        Status::Ok => "Ok",
        Status::Error(_) => "Error",
    };
    tags.set_text("otel.status_code", Cow::Borrowed(status));
    if !span.trace_state.is_empty() {
        tags.set_text("w3c.tracestate", Cow::Borrowed(&span.trace_state));
    }
    if !span.events.is_empty() {
        tags.set_json("events", events::to_json_within_limit(&span.events));
    }
    if span.events.iter().any(error::is_exception) {
        tags.set_text("_dd.span_events.has_exception", Cow::Borrowed("true"));
    }
}

/// Whether the span is where its service was entered in this process.
///
/// A parent that is not in the chunk may be of another process, or may merely be unfinished (partial flush). The chunk
/// does not tell, so what can only be the entry counts: a root, a remote parent, a kind that answers requests, and the
/// span that leads the chunk, which is the local root if that is among them.
fn is_top_level(span: &Span, service: &str, services: &HashMap<SpanId, &str>, first: bool) -> bool {
    if let Some(known) = span.top_level {
        return known;
    }
    if !span.parent_id.is_valid() {
        return true;
    }
    match services.get(&span.parent_id) {
        Some(parents_service) => *parents_service != service,
        None => span.parent_is_remote || first || matches!(span.kind, SpanKind::Server | SpanKind::Consumer),
    }
}

/// What the intake looks for on the first span of each chunk.
fn add_chunk_tags<'a>(tags: &mut Tags<'a>, chunk: &'a TraceChunk, first: &Span, keep_rate: f64) {
    let resource = &chunk.resource;
    for (key, value) in resource.attributes.iter().filter(|(key, _)| key.starts_with("_dd.")) {
        tags.add_text(Cow::Borrowed(key), value_text(value));
    }
    tags.set_number("_sampling_priority_v1", f64::from(chunk.sampling_priority));
    tags.set_number("_dd.tracer_kr", if keep_rate.is_finite() { keep_rate.clamp(0.0, 1.0) } else { 1.0 });
    if !chunk.decision_maker.is_empty() {
        tags.set_text("_dd.p.dm", Cow::Borrowed(&chunk.decision_maker));
    }
    if first.trace_id.high() != 0 {
        tags.set_text("_dd.p.tid", Cow::Owned(SpanId(first.trace_id.high()).to_string()));
    }
    if let Some((_, Value::I64(pid))) = resource.attributes.iter().find(|(key, _)| key == "process.pid") {
        tags.set_number("process_id", *pid as f64);
    }
    if let Some(id) = resource.text("service.instance.id") {
        tags.set_text("runtime-id", runtime_id(id));
    }
    if let Some(language) = resource.text("telemetry.sdk.language") {
        tags.set_text("language", Cow::Borrowed(language));
    }
}

/// Datadog writes the UUID of a runtime without hyphens; ids that are no UUIDs are left alone.
fn runtime_id(instance_id: &str) -> Cow<'_, str> {
    let hyphens = instance_id.bytes().enumerate().all(|(i, b)| (b == b'-') == matches!(i, 8 | 13 | 18 | 23));
    let is_uuid = instance_id.len() == 36 && hyphens && instance_id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    if is_uuid { Cow::Owned(instance_id.replace('-', "").to_lowercase()) } else { Cow::Borrowed(instance_id) }
}

fn map_link(link: &Link) -> DatadogLink<'_> {
    /// Without it the intake cannot tell flags of zero from flags that nobody knew.
    const FLAGS_ARE_KNOWN: u32 = 1 << 31;
    let mut attributes = Vec::with_capacity(link.attributes.len());
    for (key, value) in &link.attributes {
        flatten(Cow::Borrowed(key.as_ref()), value, &mut attributes);
    }
    DatadogLink {
        trace_id: link.trace_id.low(),
        trace_id_high: link.trace_id.high(),
        span_id: link.span_id.0,
        attributes,
        tracestate: shortened(Cow::Borrowed(&link.trace_state)),
        flags: u32::from(link.flags) | FLAGS_ARE_KNOWN,
    }
}

fn flatten<'a>(key: Cow<'a, str>, value: &'a Value, out: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>) {
    let Value::Array(items) = value else {
        out.push((shortened(key), shortened(value_text(value))));
        return;
    };
    for (index, item) in items.iter().enumerate() {
        let mut numbered = String::from(key.as_ref());
        numbered.push('.');
        numbered.push_str(&index.to_string());
        flatten(Cow::Owned(numbered), item, out);
    }
}

#[cfg(test)]
pub(super) mod tests;
