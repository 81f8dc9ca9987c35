//! Spans of the integrations that ddtrace-run brings: recorded by OpenTelemetry's conventions, and at Datadog under the
//! names that Datadog's tracers give to spans of the same libraries.

use super::names::attribute_text;
use super::tags::Tags;
use super::text::value_text;
use crate::semconv::{BACKGROUND_TASK, INTEGRATION_SCOPE};
use crate::span::{Span, SpanKind, Value};
use std::borrow::Cow;
use std::format;

/// Which integration has made a span: what Datadog's tag `component` says.
pub(super) fn of(span: &Span) -> Option<&str> {
    span.scope.as_ref()?.name.strip_prefix(INTEGRATION_SCOPE)
}

/// The operation, as users of Datadog's tracers know it.
pub(super) fn operation_name(span: &Span, integration: &str) -> Option<&'static str> {
    if let Some(name) = end_of_transaction(span, integration) {
        return Some(name);
    }
    if background_task(span).is_some() {
        return match integration {
            "fastapi" => Some("fastapi.background_task"),
            "starlette" => Some("starlette.background_task"),
            _ => None,
        };
    }
    Some(match integration {
        "aiohttp" | "aiohttp_client" => "aiohttp.request",
        "asgi" => "asgi.request",
        "asyncpg" | "psycopg" => "postgres.query",
        "django" => "django.request",
        "fastapi" => "fastapi.request",
        "flask" => "flask.request",
        "httplib" => "http.client.request",
        "httpx" => "http.request",
        "jinja2" => "jinja2.render",
        "pymysql" => "pymysql.query",
        "redis" => "redis.command",
        "requests" => "requests.request",
        "sqlite" => "sqlite.query",
        "starlette" => "starlette.request",
        "urllib3" => "urllib3.request",
        "wsgi" => "wsgi.request",
        _ => return None,
    })
}

/// What a framework does behind an answer: the function's name.
fn background_task(span: &Span) -> Option<&str> {
    (span.kind == SpanKind::Internal).then(|| span.name.strip_prefix(BACKGROUND_TASK)).flatten()
}

/// What a connection is asked for to end a transaction, which is no statement.
fn end_of_transaction(span: &Span, integration: &str) -> Option<&'static str> {
    if span.attribute("db.query.text").is_some() {
        return None;
    }
    match (integration, attribute_text(span, &["db.operation.name"])?) {
        ("psycopg", "COMMIT") => Some("psycopg.connection.commit"),
        ("psycopg", "ROLLBACK") => Some("psycopg.connection.rollback"),
        ("pymysql", "COMMIT") => Some("pymysql.connection.commit"),
        ("pymysql", "ROLLBACK") => Some("pymysql.connection.rollback"),
        ("sqlite", "COMMIT") => Some("sqlite.connection.commit"),
        ("sqlite", "ROLLBACK") => Some("sqlite.connection.rollback"),
        _ => None,
    }
}

/// The type, where it is another one than kind and attributes would give.
pub(super) fn span_type(integration: &str) -> Option<&'static str> {
    (integration == "jinja2").then_some("template")
}

/// The resource, where it is another one than the attributes alone would give.
pub(super) fn resource<'a>(span: &'a Span, integration: &str) -> Option<Cow<'a, str>> {
    // Of a command of Redis the arguments are no part, and a pipeline is all its commands.
    if integration == "redis" {
        let commands = attribute_text(span, &["db.query.summary"]).map(|names| Cow::Owned(names.replace(' ', "\n")));
        return commands.or_else(|| attribute_text(span, &["db.operation.name"]).map(Cow::Borrowed));
    }
    if let Some(name) = end_of_transaction(span, integration) {
        return Some(Cow::Borrowed(name));
    }
    if let Some(function) = background_task(span) {
        return Some(Cow::Borrowed(function));
    }
    if integration == "jinja2" {
        return attribute_text(span, &["jinja2.template_name"]).map(Cow::Borrowed);
    }
    // What no route has matched is one resource, whatever was asked for.
    let is_unknown = span.kind == SpanKind::Server
        && span.attribute("http.route").is_none()
        && span.attribute("http.response.status_code") == Some(&Value::I64(404));
    is_unknown.then(|| Cow::Owned(format!("{} 404", span.name)))
}

/// The tags that Datadog's tracers set beside those that are attributes under another name.
pub(super) fn add_tags<'a>(tags: &mut Tags<'a>, span: &'a Span, integration: &'a str) {
    tags.add_own("component", Cow::Borrowed(integration));
    let text = |key| attribute_text(span, &[key]);
    if span.kind == SpanKind::Server {
        if let (Some(scheme), Some(host), Some(path)) = (text("url.scheme"), text("server.address"), text("url.path")) {
            let port = match (scheme, span.attribute("server.port")) {
                ("http" | "ws", Some(Value::I64(80))) | ("https" | "wss", Some(Value::I64(443))) => Cow::Borrowed(""),
                (_, Some(port)) => Cow::Owned(format!(":{}", value_text(port))),
                (_, None) => Cow::Borrowed(""),
            };
            let host = if host.contains(':') { Cow::Owned(format!("[{host}]")) } else { Cow::Borrowed(host) };
            let query = text("url.query").map_or(Cow::Borrowed(""), |query| Cow::Owned(format!("?{query}")));
            tags.add_own("http.url", Cow::Owned(format!("{scheme}://{host}{port}{path}{query}")));
        }
        return;
    }
    const OLDER: [(&str, &str); 3] =
        [("db.system.name", "db.system"), ("db.namespace", "db.name"), ("server.address", "out.host")];
    for (attribute, tag) in OLDER {
        match text(attribute) {
            // The databases of Redis are numbers, and have a tag of their own.
            Some(number) if integration == "redis" && tag == "db.name" => {
                if let Ok(number) = number.parse::<u32>() {
                    tags.set_number("out.redis_db", number.into());
                }
            }
            Some(text) => tags.add_own(tag, Cow::Borrowed(text)),
            None => {}
        }
    }
    match span.attribute("db.operation.batch.size") {
        _ if integration == "redis" && text("db.query.summary").is_none() => {}
        Some(Value::I64(size)) if integration == "redis" => tags.set_number("redis.pipeline_length", *size as f64),
        None if integration == "redis" => tags.set_number("redis.pipeline_length", 1.0),
        Some(_) => tags.add_own("sql.executemany", Cow::Borrowed("true")),
        None => {}
    }
    // The name that servers of HTTP have for theirs is not that of what is asked for.
    if let Some(host) = text("server.address")
        && span.attribute("http.server_name").is_none()
    {
        tags.remove("http.server_name");
        tags.add_own("server.address", Cow::Borrowed(host));
    }
    if let Some(Value::I64(port)) = span.attribute("server.port") {
        tags.set_number("network.destination.port", *port as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{attribute, chunk, mapped, span};
    use super::*;
    use crate::span::{Attribute, Scope};
    use std::string::String;
    use std::sync::Arc;
    use std::vec::Vec;

    fn made_by(integration: &str, kind: SpanKind, attributes: Vec<Attribute>) -> Span {
        let scope = Scope { name: format!("{INTEGRATION_SCOPE}{integration}"), ..Scope::default() };
        Span { scope: Some(Arc::new(scope)), kind, attributes, name: Cow::Borrowed("GET"), ..span() }
    }

    fn seen(span: Span, tags: &[&str]) -> Vec<String> {
        let chunk = chunk([span].into());
        let mapped = &mapped(&chunk)[0];
        let tag = |key: &&str| {
            let number = mapped.number(key).map(|number| format!("{number}"));
            mapped.text(key).map(String::from).or(number).unwrap_or_default()
        };
        let mut seen =
            Vec::from([&mapped.name, &mapped.resource, &mapped.span_type].map(|text| String::from(text.as_ref())));
        seen.extend(tags.iter().map(tag));
        seen
    }

    #[test]
    fn requests_are_named_as_datadogs_tracers_do() {
        let request = |more: Option<Attribute>| {
            let mut attributes = Vec::from([
                attribute("http.request.method", "GET"),
                attribute("url.scheme", "http"),
                attribute("server.address", "::1"),
                attribute("server.port", 8080),
                attribute("url.path", "/users/7"),
                attribute("url.query", "a=b"),
            ]);
            attributes.extend(more);
            made_by("flask", SpanKind::Server, attributes)
        };
        assert_eq!(
            seen(request(Some(attribute("http.route", "/users/<id>"))), &["component", "http.url"]),
            ["flask.request", "GET /users/<id>", "web", "flask", "http://[::1]:8080/users/7?a=b"]
        );
        assert_eq!(seen(request(Some(attribute("http.response.status_code", 404))), &[])[1], "GET 404");
        assert_eq!(seen(request(None), &["out.host"])[1..], ["GET", "web", ""]);
    }

    #[test]
    fn so_is_what_is_done_behind_an_answer() {
        for integration in ["fastapi", "starlette"] {
            let task = Span {
                name: Cow::Borrowed("BackgroundTask work"),
                ..made_by(integration, SpanKind::Internal, Vec::new())
            };
            let operation = format!("{integration}.background_task");
            assert_eq!(seen(task, &["component"]), [operation.as_str(), "work", "custom", integration]);
        }
    }

    #[test]
    fn so_are_statements() {
        let attributes = Vec::from([
            attribute("db.system.name", "postgresql"),
            attribute("db.namespace", "shop"),
            attribute("db.query.text", "SELECT 1"),
            attribute("server.address", "db"),
            attribute("server.port", 5433),
        ]);
        let tags = ["db.system", "db.name", "out.host", "network.destination.port", "component"];
        assert_eq!(
            seen(made_by("psycopg", SpanKind::Client, attributes), &tags),
            ["postgres.query", "SELECT 1", "sql", "postgresql", "shop", "db", "5433", "psycopg"]
        );
        let attributes = Vec::from([
            attribute("db.system.name", "redis"),
            attribute("db.operation.name", "GET"),
            attribute("db.query.text", "GET k"),
        ]);
        assert_eq!(seen(made_by("redis", SpanKind::Client, attributes), &[]), ["redis.command", "GET", "redis"]);
        let attributes = Vec::from([
            attribute("db.system.name", "redis"),
            attribute("db.operation.name", "MULTI"),
            attribute("db.query.summary", "SET GET"),
            attribute("db.operation.batch.size", 2),
        ]);
        assert_eq!(
            seen(made_by("redis", SpanKind::Client, attributes), &["redis.pipeline_length", "sql.executemany"]),
            ["redis.command", "SET\nGET", "redis", "2", ""]
        );
        let attributes = Vec::from([attribute("db.system.name", "sqlite"), attribute("db.operation.name", "ROLLBACK")]);
        let rollback = "sqlite.connection.rollback";
        assert_eq!(seen(made_by("sqlite", SpanKind::Client, attributes), &[]), [rollback, rollback, "sql"]);
    }
}
