//! The one mapping from the span model to the fields of Datadog's trace intake.
//!
//! Names, types and renames follow the rules that the Agent's OTLP receiver and Datadog's tracers share, so that a span
//! looks the same in Datadog whether it arrives here, over OTLP or from another tracer. How the fields are written as
//! bytes is [`super::msgpack`]'s business.

mod chunk;
mod error;
mod events;
mod integration;
mod names;
mod peer_service;
mod sampled;
mod tags;
mod text;

pub use names::{operation_name, resource as resource_name};
pub use peer_service::PeerServices;
pub use sampled::SampledSpan;

use super::{Event, Link, Resource, Span, SpanKind, Status, TraceChunk, Value};
use crate::context::Mechanism;
use crate::ids::SpanId;
use crate::sampling::{has_version, is_users_own};
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
    /// Events for an Agent that knows them as such; for others they are the tag `events`.
    pub events: &'a [Event],
}

/// What an Agent is to be told, and what it understands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgentOptions {
    /// The fraction of traces, 0 to 1, that this tracer did not lose; the Agent scales its statistics by it.
    pub keep_rate: f64,
    /// Whether it takes events as such (`span_events` in its `/info`).
    pub native_events: bool,
}

impl Default for AgentOptions {
    /// Nothing was lost, and nothing is known of the Agent.
    fn default() -> Self {
        AgentOptions { keep_rate: 1.0, native_events: false }
    }
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

/// What all spans of a resource share.
struct Origin<'a> {
    service: &'a str,
    env: Option<&'a str>,
    version: Option<&'a str>,
    /// Where the service's name came from, if the user did not give it.
    service_source: Option<&'a str>,
    /// The user's own resource attributes: tags of every span.
    tags: Vec<(&'a str, Cow<'a, str>)>,
    /// Tags of every chunk's first span.
    process: chunk::Process<'a>,
}

/// Maps the spans of a chunk, in their order.
#[must_use]
pub fn map_chunk(chunk: &TraceChunk, options: AgentOptions) -> Vec<DatadogSpan<'_>> {
    let mut mapping = Mapping::new(options);
    mapping.begin(chunk);
    (0..chunk.spans.len()).filter_map(|place| mapping.span(place)).collect()
}

/// Maps one chunk after the other. What they share is worked out once, as many chunks are a single span.
pub(super) struct Mapping<'a> {
    options: AgentOptions,
    chunk: Option<(&'a TraceChunk, HashMap<SpanId, &'a str>)>,
    /// Of the last chunk's resource.
    origin: Option<(&'a Resource, Origin<'a>)>,
    /// Room for the tags of a span.
    tags: Tags<'a>,
}

impl<'a> Mapping<'a> {
    pub(super) fn new(options: AgentOptions) -> Self {
        Mapping { options, chunk: None, origin: None, tags: Tags::default() }
    }

    /// The spans that are asked for from now on are this chunk's.
    pub(super) fn begin(&mut self, chunk: &'a TraceChunk) {
        let origin = match self.origin.take() {
            Some((resource, origin)) if std::ptr::eq(resource, &*chunk.resource) => origin,
            _ => Origin::of(&chunk.resource),
        };
        let is_single = matches!(&chunk.spans[..], [span] if span.parent_id != span.span_id);
        let services = if is_single { HashMap::new() } else { services(chunk, &origin) };
        self.origin = Some((&chunk.resource, origin));
        self.chunk = Some((chunk, services));
    }

    /// The span at this place of the chunk.
    pub(super) fn span(&mut self, place: usize) -> Option<DatadogSpan<'a>> {
        let ((chunk, services), (_, origin)) = (self.chunk.as_ref()?, self.origin.as_ref()?);
        let span = chunk.spans.get(place)?;
        let leads = place == 0 && chunk.has_local_root;
        let service = origin.service_of(span);
        let mut tags = std::mem::take(&mut self.tags);
        add_tags(&mut tags, span, origin, service, self.options);
        if !chunk.origin.is_empty() {
            tags.set_text("_dd.origin", Cow::Borrowed(&chunk.origin));
        }
        if is_top_level(span, service, services, leads) {
            tags.set_number("_dd.top_level", 1.0);
        }
        if span.measured.unwrap_or(matches!(span.kind, SpanKind::Client | SpanKind::Producer)) {
            tags.set_number("_dd.measured", 1.0);
        }
        add_sampling_tags(&mut tags, span);
        let error = error::describe(span, &mut tags);
        if place == 0 {
            chunk::add_tags(&mut tags, chunk, span, &origin.process, self.options);
        }
        Some(map_span(span, service, tags, error, self.options))
    }

    /// Takes back the room of a span that is not needed any more.
    pub(super) fn recycle(&mut self, span: DatadogSpan<'a>) {
        self.tags = Tags::emptied(span.meta, span.metrics);
    }
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
            service_source: nonempty(chunk::SERVICE_SOURCE),
            tags: resource
                .attributes
                .iter()
                .filter(|(key, _)| is_users_own(key.as_bytes()))
                .map(|(key, value)| (key.as_ref(), value_text(value)))
                .collect(),
            process: chunk::Process::of(resource),
        }
    }

    fn service_of<'s>(&self, span: &'s Span) -> &'s str
    where
        'a: 's,
    {
        service_or(span, self.service)
    }
}

/// The service of a span that `resource` has made.
#[must_use]
pub fn service<'a>(span: &'a Span, resource: &'a Resource) -> &'a str {
    service_or(span, resource.text("service.name").unwrap_or_default())
}

fn service_or<'a>(span: &'a Span, default: &'a str) -> &'a str {
    names::convention_text(span, &["datadog.service", "service.name"])
        .or(span.service.as_deref().filter(|service| !service.is_empty()))
        .unwrap_or(default)
}

fn add_tags<'a>(tags: &mut Tags<'a>, span: &'a Span, origin: &Origin<'a>, service: &str, options: AgentOptions) {
    for (key, value) in &span.attributes {
        if span.has_datadog_tags {
            tags.add_tag(key, value);
        } else {
            tags.add_attribute(key, value);
        }
    }
    if let Some(integration) = integration::of(span) {
        integration::add_tags(tags, span, integration);
    }
    for (key, value) in &origin.tags {
        tags.add_text(Cow::Borrowed(*key), value.clone());
    }
    add_identity_tags(tags, span, origin, service);
    add_otel_tags(tags, span);
    if !span.events.is_empty() && !options.native_events {
        tags.set_json("events", events::to_json_within_limit(&span.events));
    }
}

fn map_span<'a>(
    span: &'a Span,
    service: &'a str,
    tags: Tags<'a>,
    error: bool,
    options: AgentOptions,
) -> DatadogSpan<'a> {
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
        events: if options.native_events { &span.events } else { &[] },
    }
}

/// `env`, `version`, the kind, and the service of the process where the span's differs.
fn add_identity_tags<'a>(tags: &mut Tags<'a>, span: &'a Span, origin: &Origin<'a>, service: &str) {
    let override_of = |key| names::convention_text(span, &[key]);
    if let Some(env) = override_of("datadog.env") {
        tags.set_text("env", Cow::Borrowed(env));
    } else if let Some(env) = origin.env {
        tags.add_text(Cow::Borrowed("env"), Cow::Borrowed(env));
    }
    if let Some(version) = override_of("datadog.version") {
        tags.set_text("version", Cow::Borrowed(version));
    } else if let Some(version) = origin.version.filter(|_| has_version(service.as_bytes(), origin.service.as_bytes()))
    {
        tags.add_text(Cow::Borrowed("version"), Cow::Borrowed(version));
    }
    let kind = names::kind(span);
    tags.set_text("span.kind", Cow::Borrowed(kind));
    if service == origin.service {
        if let Some(source) = origin.service_source {
            tags.add_text(Cow::Borrowed(chunk::SERVICE_SOURCE), Cow::Borrowed(source));
        }
    } else {
        // Said by the span itself, unless it says otherwise.
        tags.add_text(Cow::Borrowed(chunk::SERVICE_SOURCE), Cow::Borrowed("m"));
        if !origin.service.is_empty() {
            tags.set_text("_dd.base_service", Cow::Owned(origin.service.to_lowercase()));
        }
    }
}

/// What is OpenTelemetry's and has no field at Datadog. A tag of Datadog's of that name is the program's own.
fn add_otel_tags<'a>(tags: &mut Tags<'a>, span: &'a Span) {
    let add = if span.has_datadog_tags { Tags::add_own } else { Tags::set_text };
    add(tags, "otel.trace_id", Cow::Owned(hex(&span.trace_id.to_hex())));
    let status = match span.status {
        Status::Unset => "Unset",
        Status::Ok => "Ok",
        Status::Error(_) => "Error",
    };
    add(tags, "otel.status_code", Cow::Borrowed(status));
    if !span.trace_state.is_empty() {
        add(tags, "w3c.tracestate", Cow::Borrowed(&span.trace_state));
    }
    if let Some(scope) = &span.scope {
        for (key, text) in [("otel.scope.name", &scope.name), ("otel.scope.version", &scope.version)] {
            if !text.is_empty() {
                tags.set_text(key, Cow::Borrowed(text));
            }
        }
    }
    if span.events.iter().any(error::is_exception) {
        tags.set_text("_dd.span_events.has_exception", Cow::Borrowed("true"));
    }
}

/// Tells the Agent to keep the span whatever becomes of its trace.
fn add_sampling_tags(tags: &mut Tags<'_>, span: &Span) {
    let Some(sampling) = &span.span_sampling else { return };
    tags.set_number("_dd.span_sampling.mechanism", f64::from(Mechanism::SINGLE_SPAN.0));
    tags.set_number("_dd.span_sampling.rule_rate", sampling.rule_rate);
    if let Some(limit) = sampling.max_per_second {
        tags.set_number("_dd.span_sampling.max_per_second", limit);
    }
}

/// Whether the span is where its service was entered in this process.
///
/// A parent in the chunk may be of the same process and yet remote: of a service that asks itself. One that is not in
/// the chunk may be of another process, or may merely be unfinished (partial flush). The chunk does not tell, so what can
/// only be the entry counts: a root, a remote parent, a kind that answers requests, and the span that leads the chunk,
/// which is the local root if that is among them.
fn is_top_level(span: &Span, service: &str, services: &HashMap<SpanId, &str>, first: bool) -> bool {
    if let Some(known) = span.top_level {
        return known;
    }
    if !span.parent_id.is_valid() || span.parent_is_remote {
        return true;
    }
    match services.get(&span.parent_id) {
        Some(parents_service) => *parents_service != service,
        None => first || matches!(span.kind, SpanKind::Server | SpanKind::Consumer),
    }
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
        flags: u32::from(link.flags as u8) | FLAGS_ARE_KNOWN,
    }
}

/// Hexadecimal digits as text.
fn hex(digits: &[u8]) -> String {
    String::from(std::str::from_utf8(digits).unwrap_or_default())
}

/// A value as text, no longer than a tag may be.
pub(super) fn text_of(value: &Value) -> Cow<'_, str> {
    shortened(value_text(value))
}

fn flatten<'a>(key: Cow<'a, str>, value: &'a Value, out: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>) {
    let Value::Array(items) = value else {
        out.push((shortened(key), text_of(value)));
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
