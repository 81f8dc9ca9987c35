use super::*;
use crate::export::testing::{attribute, chunk, config, resource, span};
use crate::export::{Batch, otlp_json_line};
use ddtrace::ids::SpanId;
use ddtrace::span::datadog::{AgentOptions, DatadogSpan, map_chunk};
use ddtrace::span::{Event, Link, Scope, SpanKind, Status, Value};
use std::sync::Arc;

#[test]
fn secrets_are_hidden_before_text_is_cut() {
    let mut config = config();
    config.span_limits.attribute_length = Some(12);
    let mut spans = vec![span(1)];
    spans[0].attributes = vec![attribute("db.statement", "SELECT 'abcdefghij' FROM t")];
    let mut chunk = chunk(resource("shop"), spans);
    Preparation::new(&config).apply(&mut chunk);
    assert_eq!(chunk.spans[0].attributes, [attribute("db.statement", "SELECT ? FRO")]);
}

#[test]
fn services_are_renamed_whoever_named_them() {
    let mut config = config();
    config.service_mapping = vec![("shop".into(), "store".into()), ("db".into(), "shop".into())];
    let mut spans = vec![span(1), span(2), span(3), span(4)];
    spans[1].service = Some("db".into());
    spans[2].attributes = vec![attribute("service.name", "db"), attribute("a", Value::I64(1))];
    spans[3].service = Some("other".into());
    let mut chunk = chunk(resource("shop"), spans);
    Preparation::new(&config).apply(&mut chunk);
    let services: Vec<Option<&str>> = chunk.spans.iter().map(|span| span.service.as_deref()).collect();
    assert_eq!(services, [Some("store"), Some("shop"), Some("shop"), Some("other")]);
    assert_eq!(chunk.spans[2].attributes, [attribute("a", Value::I64(1))]);
}

#[test]
fn peers_are_named() {
    let mut config = config();
    config.peer_service_defaults = true;
    config.peer_service_mapping = vec![("10.0.0.7".into(), "ledger".into())];
    let mut client = span(1);
    client.kind = SpanKind::Client;
    client.attributes = vec![attribute("server.address", "10.0.0.7")];
    let mut chunk = chunk(resource("shop"), vec![client]);
    Preparation::new(&config).apply(&mut chunk);
    assert_eq!(chunk.spans[0].attribute("peer.service"), Some(&Value::from("ledger")));
}

/// The span that `docs/spans.md` shows: a request that failed, as an OpenTelemetry instrumentation records it.
fn documented() -> TraceChunk {
    let exception = Event {
        time_unix_nano: 1_700_000_000_004_000_000,
        name: "exception".into(),
        attributes: vec![attribute("exception.type", "TimeoutError"), attribute("exception.message", "no answer")],
        ..Event::default()
    };
    let cause = Link {
        trace_id: span(1).trace_id,
        span_id: SpanId(7),
        flags: 1,
        attributes: vec![attribute("reason", "retry")],
        ..Link::default()
    };
    let scope = Scope { name: "instrumentation.requests".into(), version: "0.66".into(), attributes: vec![] };
    let request = Span {
        name: "GET".into(),
        kind: SpanKind::Client,
        parent_id: SpanId(1),
        end_unix_nano: 1_700_000_000_005_000_000,
        attributes: vec![
            attribute("http.request.method", "GET"),
            attribute("url.full", "https://joe:hunter2@api.example.com/cart?token=abc&page=2"),
            attribute("http.response.status_code", 504),
            attribute("http.request.header.accept", Value::Array(vec!["text/html".into(), "*/*".into()])),
            attribute("retried", true),
        ],
        events: vec![exception],
        links: vec![cause],
        status: Status::Error("".into()),
        scope: Some(Arc::new(scope)),
        ..span(2)
    };
    let parent = Span { name: "checkout".into(), ..span(1) };
    let mut chunk = chunk(resource("shop"), vec![parent, request]);
    Preparation::new(&config()).apply(&mut chunk);
    chunk
}

/// The fields and tags in lines, for people.
fn as_lines(span: &DatadogSpan<'_>) -> String {
    let fields =
        [("service", &span.service), ("name", &span.name), ("resource", &span.resource), ("type", &span.span_type)];
    let mut lines: Vec<String> = fields.iter().map(|(field, value)| format!("{field}: {value}")).collect();
    lines.push(format!("error: {}", u8::from(span.error)));
    lines.push("meta:".into());
    let mut meta: Vec<String> = span.meta.iter().map(|(key, value)| format!("  {key}: {value}")).collect();
    meta.sort();
    lines.append(&mut meta);
    lines.push("metrics:".into());
    lines.extend(span.metrics.iter().map(|(key, value)| format!("  {key}: {value}")));
    lines.push("span_links:".into());
    lines.extend(span.links.iter().map(|link| format!("  span_id: {}, flags: {:#x}", link.span_id, link.flags)));
    lines.join("\n") + "\n"
}

#[test]
fn the_documents_show_what_is_sent() {
    let chunk = documented();
    let page = include_str!("../../../../docs/spans.md");
    let datadog = as_lines(&map_chunk(&chunk, AgentOptions::default())[1]);
    assert!(page.contains(&datadog), "docs/spans.md does not show:\n{datadog}");
    let line = otlp_json_line(&Batch { chunks: vec![chunk] });
    let otlp: serde_json::Value = serde_json::from_slice(&line).unwrap();
    let group = &otlp["resourceSpans"][0]["scopeSpans"][1];
    let mut lines = vec![format!("scope: {}", group["scope"])];
    for (field, value) in group["spans"][0].as_object().unwrap() {
        match value.as_array() {
            Some(items) => {
                lines.push(format!("{field}:"));
                lines.extend(items.iter().map(|item| format!("  {item}")));
            }
            None => lines.push(format!("{field}: {value}")),
        }
    }
    let otlp = lines.join("\n") + "\n";
    assert!(page.contains(&otlp), "docs/spans.md does not show:\n{otlp}");
}
