//! Operation name, resource and type of a span, computed from its attributes where nobody set them.

use super::integration;
use crate::naming::{self, Described, Pieces};
use crate::semconv::SPAN_KIND;
use crate::span::{Span, SpanKind, Value};
use std::borrow::Cow;
use std::string::String;
use std::vec::Vec;

/// The first of the attributes that is text and not empty.
pub(super) fn attribute_text<'a>(span: &'a Span, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|key| filled(span.attribute(key)))
}

/// The same of those that set something of the span: see [`Span::convention`].
pub(super) fn convention_text<'a>(span: &'a Span, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|key| filled(span.convention(key)))
}

fn filled(value: Option<&Value>) -> Option<&str> {
    match value {
        Some(Value::String(text)) if !text.is_empty() => Some(text.as_ref()),
        _ => None,
    }
}

/// Datadog's word for a kind.
pub(super) fn kind_name(kind: SpanKind) -> &'static str {
    crate::semconv::kind_name(kind as u8)
}

/// The role, as the tag `span.kind` has it.
pub(super) fn kind(span: &Span) -> &str {
    let said = match span.has_datadog_tags {
        true => attribute_text(span, &[SPAN_KIND]),
        false => attribute_text(span, &["datadog.span.kind"]),
    };
    said.unwrap_or_else(|| kind_name(span.kind))
}

/// The operation name: what was set, else by the conventions that the attributes show.
#[must_use]
pub fn operation_name(span: &Span) -> Cow<'_, str> {
    let set = convention_text(span, &["datadog.name", "operation.name"]).or(span.operation_name.as_deref());
    match set.filter(|name| !name.is_empty()) {
        Some(name) => Cow::Borrowed(name),
        None => match integration::of(span).and_then(|integration| integration::operation_name(span, integration)) {
            Some(name) => Cow::Borrowed(name),
            None => whole(naming::operation_name(span)),
        },
    }
}

/// The resource: what was set, else what the attributes identify, else the span's name.
#[must_use]
pub fn resource(span: &Span) -> Cow<'_, str> {
    if span.has_datadog_tags {
        return Cow::Borrowed(&span.name);
    }
    if let Some(resource) = attribute_text(span, &["datadog.resource", "resource.name"]) {
        return Cow::Borrowed(resource);
    }
    let resource = integration::of(span).and_then(|integration| integration::resource(span, integration));
    resource.or_else(|| naming::resource(span).map(whole)).unwrap_or(Cow::Borrowed(&span.name))
}

impl Described for Span {
    fn text(&self, keys: &[&str]) -> Option<&[u8]> {
        attribute_text(self, keys).map(str::as_bytes)
    }

    fn kind(&self) -> u8 {
        self.kind as u8
    }
}

fn whole(name: Pieces<'_>) -> Cow<'_, str> {
    match name.whole() {
        Some(name) => String::from_utf8_lossy(name),
        None => {
            let mut bytes = Vec::new();
            name.write(&mut |piece| bytes.extend_from_slice(piece));
            Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
        }
    }
}

/// The type: what was set, else by the kind and the database.
pub(super) fn span_type(span: &Span) -> Cow<'_, str> {
    let set = convention_text(span, &["datadog.type", "span.type"]).or(span.span_type.as_deref());
    if let Some(span_type) = set.filter(|t| !t.is_empty()) {
        return Cow::Borrowed(span_type);
    }
    if let Some(span_type) = integration::of(span).and_then(integration::span_type) {
        return Cow::Borrowed(span_type);
    }
    Cow::Borrowed(match span.kind {
        SpanKind::Server => "web",
        SpanKind::Client => match attribute_text(span, &["db.system.name", "db.system"]) {
            Some(system) => database_type(&system.to_ascii_lowercase()),
            None => "http",
        },
        _ => "custom",
    })
}

/// Datadog's type for a database system, by its older and by its stable name.
fn database_type(system: &str) -> &'static str {
    const OF_THEIR_OWN: [&str; 6] = ["cassandra", "elasticsearch", "memcached", "mongodb", "opensearch", "redis"];
    const SPEAK_SQL: [&str; 42] = [
        "adabas",
        "cache",
        "clickhouse",
        "cloudscape",
        "cockroachdb",
        "coldfusion",
        "db2",
        "derby",
        "edb",
        "filemaker",
        "firebird",
        "firebirdsql",
        "firstsql",
        "h2",
        "h2database",
        "hanadb",
        "hsqldb",
        "ibm.db2",
        "informix",
        "ingres",
        "instantdb",
        "interbase",
        "mariadb",
        "maxdb",
        "microsoft.sql_server",
        "mssql",
        "mysql",
        "netezza",
        "oracle",
        "oracle.db",
        "other_sql",
        "pervasive",
        "pointbase",
        "postgresql",
        "progress",
        "redshift",
        "sap.hana",
        "sap.maxdb",
        "sqlite",
        "sybase",
        "teradata",
        "vertica",
    ];
    if SPEAK_SQL.contains(&system) {
        return "sql";
    }
    OF_THEIR_OWN.into_iter().find(|name| *name == system).unwrap_or("db")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::datadog::tests::span;

    fn with(kind: SpanKind, attributes: &[(&'static str, &'static str)]) -> Span {
        let attributes: Vec<_> = attributes.iter().map(|(k, v)| (Cow::Borrowed(*k), Value::from(*v))).collect();
        Span { kind, attributes, ..span() }
    }

    #[test]
    fn operation_names_follow_the_table() {
        use SpanKind::*;
        for (kind, attributes, expected) in [
            (Server, &[("operation.name", "My.Op"), ("http.method", "GET")][..], "My.Op"),
            (Server, &[("http.request.method", "GET")], "http.server.request"),
            (Client, &[("http.method", "GET")], "http.client.request"),
            (Internal, &[("http.method", "GET")], "internal"),
            (Client, &[("db.system", "PostgreSQL")], "postgresql.query"),
            (Client, &[("db.system.name", "redis")], "redis.query"),
            (Internal, &[("db.system", "redis")], "internal"),
            (Producer, &[("messaging.system", "Kafka"), ("messaging.operation.type", "send")], "kafka.send"),
            (Internal, &[("messaging.system", "kafka"), ("messaging.operation", "send")], "internal"),
            (Client, &[("rpc.system", "aws-api"), ("rpc.service", "S3")], "aws.s3.request"),
            (Client, &[("rpc.system", "aws-api")], "aws.client.request"),
            (Server, &[("rpc.system", "aws-api"), ("rpc.service", "S3")], "aws-api.server.request"),
            (Client, &[("rpc.system", "grpc")], "grpc.client.request"),
            (Server, &[("rpc.system", "grpc")], "grpc.server.request"),
            (Client, &[("faas.invoked_provider", "aws"), ("faas.invoked_name", "Fn")], "aws.fn.invoke"),
            (Server, &[("faas.trigger", "http")], "http.invoke"),
            (Internal, &[("graphql.operation.type", "query")], "graphql.server.request"),
            (Server, &[("network.protocol.name", "AMQP")], "amqp.server.request"),
            (Client, &[("network.protocol.name", "amqp")], "amqp.client.request"),
            (Server, &[], "server.request"),
            (Client, &[], "client.request"),
            (Internal, &[], "internal"),
            (Producer, &[], "producer"),
            (Consumer, &[], "consumer"),
        ] {
            assert_eq!(operation_name(&with(kind, attributes)), expected, "{kind:?} {attributes:?}");
        }
    }

    #[test]
    fn the_conventions_own_operation_name_wins_over_the_table() {
        let mut span = with(SpanKind::Server, &[("http.method", "GET")]);
        span.operation_name = Some(Cow::Borrowed("command_execution"));
        assert_eq!(operation_name(&span), "command_execution");
    }

    #[test]
    fn resources_follow_the_attributes() {
        use SpanKind::*;
        for (kind, attributes, expected) in [
            (Server, &[("resource.name", "r"), ("http.method", "GET")][..], "r"),
            (Server, &[("datadog.resource", "d"), ("resource.name", "r")], "d"),
            (Server, &[("http.method", "GET"), ("http.route", "/a/{b}")], "GET /a/{b}"),
            (Client, &[("http.method", "GET"), ("http.route", "/a/{b}")], "GET"),
            (Server, &[("http.request.method", "_OTHER")], "HTTP"),
            (Producer, &[("messaging.operation", "send"), ("messaging.destination.name", "q")], "send q"),
            (Client, &[("rpc.method", "Get"), ("rpc.service", "Users")], "Get Users"),
            (Server, &[("graphql.operation.type", "query"), ("graphql.operation.name", "me")], "query me"),
            (Client, &[("db.system", "mysql"), ("db.query.text", "SELECT ?")], "SELECT ?"),
            (Client, &[("db.query.text", "SELECT ?")], "work"),
            (Internal, &[], "work"),
        ] {
            assert_eq!(resource(&with(kind, attributes)), expected, "{kind:?} {attributes:?}");
        }
    }

    #[test]
    fn types_follow_the_kind_and_the_database() {
        use SpanKind::*;
        for (kind, attributes, expected) in [
            (Server, &[][..], "web"),
            (Client, &[], "http"),
            (Internal, &[], "custom"),
            (Client, &[("db.system", "postgresql")], "sql"),
            (Client, &[("db.system.name", "microsoft.sql_server")], "sql"),
            (Client, &[("db.system", "redis")], "redis"),
            (Client, &[("db.system.name", "PostgreSQL")], "sql"),
            (Client, &[("db.system", "Redis")], "redis"),
            (Client, &[("db.system", "neo4j")], "db"),
            (Client, &[("span.type", "cache")], "cache"),
            (Client, &[("datadog.type", "x"), ("span.type", "cache")], "x"),
        ] {
            assert_eq!(span_type(&with(kind, attributes)), expected, "{kind:?} {attributes:?}");
        }
    }
}
