//! What belongs to a chunk as a whole: the intake looks for it on the chunk's first span.

use super::AgentOptions;
use super::tags::Tags;
use super::text::value_text;
use crate::ids::SpanId;
use crate::span::{Resource, Span, TraceChunk, Value};
use std::borrow::Cow;
use std::vec::Vec;

/// The origin of the service's name where nobody named the service; goes on spans, not on chunks.
pub(super) const SERVICE_SOURCE: &str = "_dd.svc_src";

/// What the process says of itself with every chunk.
pub(super) struct Process<'a> {
    /// Host, repository and commit, the tags of the process: whatever the launcher has put there.
    tags: Vec<(&'a str, Cow<'a, str>)>,
    language: Option<&'a str>,
    pid: Option<f64>,
    runtime_id: Option<Cow<'a, str>>,
}

impl<'a> Process<'a> {
    pub(super) fn of(resource: &'a Resource) -> Self {
        let tags = resource.attributes.iter().filter(|(key, _)| key.starts_with("_dd.") && key != SERVICE_SOURCE);
        let pid = resource.attributes.iter().find_map(|(key, value)| match value {
            Value::I64(pid) if key == "process.pid" => Some(*pid as f64),
            _ => None,
        });
        Process {
            tags: tags.map(|(key, value)| (key.as_ref(), value_text(value))).collect(),
            language: resource.text("telemetry.sdk.language"),
            pid,
            runtime_id: resource.text("service.instance.id").map(runtime_id),
        }
    }
}

/// Adds what every chunk's first span carries, and what the local root alone does.
pub(super) fn add_tags<'a>(
    tags: &mut Tags<'a>,
    chunk: &'a TraceChunk,
    first: &Span,
    process: &Process<'a>,
    options: AgentOptions,
) {
    add_sampling(tags, chunk, options.keep_rate);
    add_propagated(tags, chunk, first);
    for (key, value) in &process.tags {
        tags.add_text(Cow::Borrowed(*key), value.clone());
    }
    if let Some(language) = process.language {
        tags.set_text("language", Cow::Borrowed(language));
    }
    if chunk.has_local_root {
        add_root_tags(tags, chunk, process);
    }
}

/// The decision, and the rates that led to it. The Agent computes weights from these.
fn add_sampling(tags: &mut Tags<'_>, chunk: &TraceChunk, keep_rate: f64) {
    tags.set_number("_sampling_priority_v1", f64::from(chunk.sampling_priority));
    tags.set_number("_dd.tracer_kr", if keep_rate.is_finite() { keep_rate.clamp(0.0, 1.0) } else { 1.0 });
    for (key, rate) in
        [("_dd.rule_psr", chunk.rule_rate), ("_dd.limit_psr", chunk.limit_rate), ("_dd.agent_psr", chunk.agent_rate)]
    {
        if let Some(rate) = rate.filter(|rate| rate.is_finite()) {
            tags.set_number(key, rate);
        }
    }
}

/// What the trace carries from service to service.
fn add_propagated<'a>(tags: &mut Tags<'a>, chunk: &'a TraceChunk, first: &Span) {
    for (key, value) in &chunk.propagated_tags {
        tags.add_text(Cow::Borrowed(key), Cow::Borrowed(value));
    }
    if !chunk.decision_maker.is_empty() {
        tags.set_text("_dd.p.dm", Cow::Borrowed(&chunk.decision_maker));
    }
    if first.trace_id.high() != 0 {
        tags.set_text("_dd.p.tid", Cow::Owned(hex(first.trace_id.high())));
    }
    if let Some(error) = &chunk.propagation_error {
        tags.set_text("_dd.propagation_error", Cow::Borrowed(error));
    }
}

fn add_root_tags<'a>(tags: &mut Tags<'a>, chunk: &'a TraceChunk, process: &Process<'a>) {
    if let Some(pid) = process.pid {
        tags.set_number("process_id", pid);
    }
    if let Some(id) = &process.runtime_id {
        tags.set_text("runtime-id", id.clone());
    }
    if let Some(parent) = chunk.last_parent {
        tags.set_text("_dd.parent_id", Cow::Owned(hex(parent.0)));
    }
    for (key, value) in &chunk.baggage_tags {
        tags.add_text(Cow::Borrowed(key), Cow::Borrowed(value));
    }
}

/// 16 lower-case digits.
fn hex(number: u64) -> std::string::String {
    super::hex(&SpanId(number).to_hex())
}

/// Datadog writes the UUID of a runtime without hyphens; ids that are no UUIDs are left alone.
fn runtime_id(instance_id: &str) -> Cow<'_, str> {
    let hyphens = instance_id.bytes().enumerate().all(|(i, b)| (b == b'-') == matches!(i, 8 | 13 | 18 | 23));
    let is_uuid = instance_id.len() == 36 && hyphens && instance_id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    if is_uuid { Cow::Owned(instance_id.replace('-', "").to_lowercase()) } else { Cow::Borrowed(instance_id) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TraceId;
    use crate::span::datadog::DatadogSpan;
    use crate::span::datadog::tests::{chunk, mapped, span};
    use std::string::String;
    use std::vec;

    /// A chunk of two spans that says all it can, mapped.
    fn full(change: impl FnOnce(&mut TraceChunk)) -> [(Option<String>, Option<String>); TAGS.len()] {
        let second = Span { span_id: SpanId(2), parent_id: span().span_id, ..span() };
        let mut chunk = TraceChunk {
            sampling_priority: -1,
            decision_maker: Cow::Borrowed("-3"),
            rule_rate: Some(0.25),
            limit_rate: Some(1.0),
            agent_rate: Some(0.5),
            propagated_tags: vec![("_dd.p.ksr".into(), "0.25".into()), ("_dd.p.usr.id".into(), "joe".into())],
            origin: String::from("synthetics"),
            propagation_error: Some(String::from("decoding_error")),
            last_parent: Some(SpanId(0xab)),
            baggage_tags: vec![("baggage.user.id".into(), "7".into())],
            ..chunk(vec![span(), second])
        };
        change(&mut chunk);
        let spans = mapped(&chunk);
        let shown = |span: &DatadogSpan<'_>, key| {
            let number = span.number(key).map(|number| std::format!("{number:?}"));
            span.text(key).map(String::from).or(number)
        };
        TAGS.map(|(key, ..)| (shown(&spans[0], key), shown(&spans[1], key)))
    }

    const FIRST: u8 = 1;
    const ROOT: u8 = 2;
    const EVERY: u8 = 3;

    /// Tag, value, and where it stands.
    const TAGS: [(&str, &str, u8); 21] = [
        ("_sampling_priority_v1", "-1.0", FIRST),
        ("_dd.rule_psr", "0.25", FIRST),
        ("_dd.limit_psr", "1.0", FIRST),
        ("_dd.agent_psr", "0.5", FIRST),
        ("_dd.tracer_kr", "0.5", FIRST),
        ("_dd.p.dm", "-3", FIRST),
        ("_dd.p.tid", "640cfd8d00000000", FIRST),
        ("_dd.p.ksr", "0.25", FIRST),
        ("_dd.p.usr.id", "joe", FIRST),
        ("_dd.propagation_error", "decoding_error", FIRST),
        ("_dd.hostname", "box", FIRST),
        ("_dd.git.repository_url", "https://h/r", FIRST),
        ("_dd.git.commit.sha", "0123", FIRST),
        ("_dd.python_main_package", "shop", FIRST),
        ("_dd.tags.process", "entrypoint.name:shop", FIRST),
        ("language", "rust", FIRST),
        ("process_id", "42.0", ROOT),
        ("runtime-id", "6dbe11aa0000400080000123456789ab", ROOT),
        ("_dd.parent_id", "00000000000000ab", ROOT),
        ("baggage.user.id", "7", ROOT),
        ("_dd.origin", "synthetics", EVERY),
    ];

    #[test]
    fn each_tag_is_where_the_intake_looks_for_it() {
        for ((key, value, place), (first, second)) in TAGS.into_iter().zip(full(|_| {})) {
            assert_eq!(first.as_deref(), Some(value), "{key}");
            assert_eq!(second.as_deref(), (place == EVERY).then_some(value), "{key}");
        }
    }

    #[test]
    fn a_part_of_a_trace_repeats_the_decision_but_is_no_root() {
        for ((key, value, place), (first, second)) in TAGS.into_iter().zip(full(|chunk| chunk.has_local_root = false)) {
            assert_eq!(first.as_deref(), (place != ROOT).then_some(value), "{key}");
            assert_eq!(second.as_deref(), (place == EVERY).then_some(value), "{key}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let bare = full(|chunk| {
            *chunk = TraceChunk::new(std::sync::Arc::default(), std::mem::take(&mut chunk.spans));
            chunk.decision_maker = Cow::Borrowed("");
            chunk.rule_rate = Some(f64::NAN);
            chunk.spans.iter_mut().for_each(|span| span.trace_id = TraceId(7));
        });
        for ((key, ..), (first, second)) in TAGS.into_iter().zip(bare) {
            let expected = matches!(key, "_sampling_priority_v1" | "_dd.tracer_kr");
            assert_eq!(first.is_some(), expected, "{key}");
            assert_eq!(second, None, "{key}");
        }
    }

    #[test]
    fn only_uuids_lose_their_hyphens() {
        assert_eq!(runtime_id("web-1"), "web-1");
        assert_eq!(runtime_id("6dbe11aa-0000-4000-8000-0123456789ab"), "6dbe11aa0000400080000123456789ab");
        assert_eq!(runtime_id("6dbe11aa-0000-4000-8000-0123456789xy"), "6dbe11aa-0000-4000-8000-0123456789xy");
    }
}
