use super::keys::{ADDRESSES, STATEMENTS};
use super::*;
use crate::span::datadog::tests::{attribute, span};
use crate::span::{Event, Link};
use proptest::prelude::*;
use std::vec;

const ADDRESS: &str = "https://u:p@h/x?token=t&session=s&sig=g&a=1";

fn rules(query_string: QueryObfuscation) -> Rules {
    Rules::new(&Obfuscation { query_string, ..Obfuscation::default() })
}

fn pattern(pattern: &str) -> Rules {
    rules(QueryObfuscation::Pattern(String::from(pattern)))
}

/// A span with these attributes, scrubbed.
fn scrubbed(kind: SpanKind, attributes: &[(&'static str, &'static str)], rules: &Rules) -> Span {
    let attributes = attributes.iter().map(|(key, value)| attribute(key, *value)).collect();
    let mut span = Span { kind, attributes, ..span() };
    scrub_span(&mut span, rules);
    let once = span.clone();
    scrub_span(&mut span, rules);
    assert_eq!(span, once, "twice is once");
    span
}

fn one(key: &'static str, value: &'static str, rules: &Rules) -> String {
    let span = scrubbed(SpanKind::Client, &[(key, value)], rules);
    match span.attribute(key) {
        Some(Value::String(text)) => text.clone().into_owned(),
        other => panic!("{key}: {other:?}"),
    }
}

#[test]
fn every_attribute_with_an_address_is_scrubbed_by_the_users_rule() {
    let shared = rules(QueryObfuscation::SharedRule);
    for key in ADDRESSES {
        assert_eq!(
            one(key, ADDRESS, &shared),
            "https://REDACTED:REDACTED@h/x?<redacted>&session=s&sig=REDACTED&a=1",
            "{key}"
        );
    }
    for key in QUERIES {
        assert_eq!(one(key, "token=t&sig=g", &shared), "<redacted>&sig=REDACTED", "{key}");
    }
    let nothing = rules(QueryObfuscation::Nothing);
    assert_eq!(one("url.full", ADDRESS, &nothing), "https://REDACTED:REDACTED@h/x?token=t&session=s&sig=REDACTED&a=1");
    let session = pattern("session=[^&]+");
    assert_eq!(one("url.full", ADDRESS, &session), "https://REDACTED:REDACTED@h/x?token=t&<redacted>&sig=REDACTED&a=1");
    assert_eq!(one("url.query", "session=$0", &session), "<redacted>");
    assert_eq!(one("http.target", "/session=1?b", &session), "/session=1?b", "only the query");
}

#[test]
fn a_pattern_that_cannot_be_compiled_shows_no_query_string() {
    let everything = pattern("(unclosed");
    let span = scrubbed(SpanKind::Internal, &[("url.query", "a=1"), ("http.url", ADDRESS)], &everything);
    assert_eq!(span.attributes, [attribute("http.url", "https://REDACTED:REDACTED@h/x")]);
}

#[test]
fn query_strings_can_be_left_out_for_each_side() {
    let config = Obfuscation { server_query_string: false, ..Obfuscation::default() };
    let rules = Rules::new(&config);
    let attributes = [("url.query", "a=1"), ("http.target", "/x?a=1#f"), ("url.path", "/x")];
    let server = scrubbed(SpanKind::Server, &attributes, &rules);
    assert_eq!(server.attributes, [attribute("http.target", "/x"), attribute("url.path", "/x")]);
    let client = scrubbed(SpanKind::Client, &attributes, &rules);
    assert_eq!(client.attributes.len(), 3);
    let rules = Rules::new(&Obfuscation { client_query_string: false, ..Obfuscation::default() });
    assert_eq!(scrubbed(SpanKind::Client, &attributes, &rules).attributes.len(), 2);
    assert_eq!(scrubbed(SpanKind::Server, &attributes, &rules).attributes.len(), 3);
}

#[test]
fn statements_are_scrubbed_as_their_database_writes_them() {
    let rules = rules(QueryObfuscation::SharedRule);
    for (system, shown) in [
        (("db.system.name", "postgresql"), "SELECT \"a\", ?"),
        (("db.system", "MySQL"), "SELECT ?, ?"),
        (("other", "x"), "SELECT ?, ?"),
        (("db.system", "redis"), "SELECT \"a\", 1"),
    ] {
        for key in STATEMENTS {
            let span = scrubbed(SpanKind::Client, &[system, (key, "SELECT \"a\", 1")], &rules);
            assert_eq!(span.attributes[1], attribute(key, shown), "{system:?}");
        }
    }
    let off = Rules::new(&Obfuscation { sql: false, ..Obfuscation::default() });
    assert_eq!(one("db.statement", "SELECT 1", &off), "SELECT 1");
}

#[test]
fn the_resource_of_an_sql_span_is_a_statement() {
    let rules = rules(QueryObfuscation::SharedRule);
    let attributes = [("span.type", "sql"), ("resource.name", "SELECT 'r'")];
    let mut sql = scrubbed(SpanKind::Client, &attributes, &rules);
    assert_eq!(sql.attributes[1], attribute("resource.name", "SELECT ?"));
    assert_eq!(sql.name, "work");
    (sql.name, sql.span_type, sql.attributes) = (Cow::Borrowed("SELECT 5"), Some(Cow::Borrowed("sql")), vec![]);
    scrub_span(&mut sql, &rules);
    assert_eq!(sql.name, "SELECT ?");
    let other = scrubbed(SpanKind::Client, &[("resource.name", "SELECT 'r'")], &rules);
    assert_eq!(other.attributes[0], attribute("resource.name", "SELECT 'r'"));
}

#[test]
fn lists_events_and_links_are_scrubbed_too() {
    let attributes = vec![(Cow::Borrowed("db.query.text"), Value::Array(vec![Value::from("SELECT 1"), Value::I64(1)]))];
    let hidden = Value::Array(vec![Value::from("SELECT ?"), Value::I64(1)]);
    let mut span = Span {
        attributes: attributes.clone(),
        events: vec![Event { attributes: attributes.clone(), ..Event::default() }],
        links: vec![Link { attributes, ..Link::default() }],
        ..span()
    };
    scrub_span(&mut span, &rules(QueryObfuscation::SharedRule));
    for attributes in [&span.attributes, &span.events[0].attributes, &span.links[0].attributes] {
        assert_eq!(attributes[0].1, hidden);
    }
}

/// The name and the resource that are shown of a span with these attributes.
fn titles(name: &'static str, attributes: &[(&'static str, &'static str)], rules: &Rules) -> [String; 2] {
    let mut attributes: Vec<_> = attributes.iter().map(|(key, value)| attribute(key, *value)).collect();
    attributes.extend(["resource.name", "operation.name"].map(|key| attribute(key, name)));
    let operation_name = Some(Cow::Borrowed(name));
    let mut span = Span { kind: SpanKind::Client, name: Cow::Borrowed(name), operation_name, attributes, ..span() };
    scrub_span(&mut span, rules);
    let once = span.clone();
    scrub_span(&mut span, rules);
    assert_eq!(span, once, "twice is once");
    assert_eq!(span.operation_name.as_deref(), Some(&*span.name), "the operation may be named so");
    assert_eq!(text(&span.attributes, &["operation.name"]), Some(&*span.name));
    let resource = text(&span.attributes, &["resource.name"]).unwrap();
    [span.name.into_owned(), String::from(resource)]
}

#[test]
fn the_name_of_a_span_of_an_sql_database_is_a_statement() {
    let shared = rules(QueryObfuscation::SharedRule);
    let statement = "SELECT \"a\" FROM users WHERE password='hunter2'";
    let names = "SELECT \"a\" FROM users WHERE password=?";
    let strings = "SELECT ? FROM users WHERE password=?";
    for (attributes, shown) in [
        (&[("db.system", "postgresql")][..], names),
        (&[("db.system.name", "PostgreSQL")], names),
        (&[("db.system.name", ""), ("db.system", "postgresql")], names),
        (&[("db.system", "clickhouse")], strings),
        (&[("db.system", "sqlite")], strings),
        (&[("span.type", "sql")], strings),
        (&[("span.type", "sql"), ("db.system", "redis")], strings),
        (&[("db.system", "redis")], statement),
        (&[], statement),
    ] {
        assert_eq!(titles(statement, attributes, &shared), [shown, shown], "{attributes:?}");
    }
    let off = Rules::new(&Obfuscation { sql: false, client_query_string: false, ..Obfuscation::default() });
    assert_eq!(titles("SELECT a ?| b", &[("db.system", "postgresql")], &off)[0], "SELECT a ?| b");
}

#[test]
fn names_with_an_address_are_scrubbed() {
    let shared = rules(QueryObfuscation::SharedRule);
    let hidden = Rules::new(&Obfuscation { client_query_string: false, ..Obfuscation::default() });
    let everything = pattern("(unclosed");
    let session = pattern("session=[^&]+");
    for (rules, name, shown) in [
        (&shared, "GET /login?password=hunter2&a=1", "GET /login?<redacted>&a=1"),
        (&shared, "GET https://u:p@h/x?sig=s", "GET https://REDACTED:REDACTED@h/x?sig=REDACTED"),
        (&shared, "admin/Users#index", "admin/Users#index"),
        (&session, "GET /x?session=1", "GET /x?<redacted>"),
        (&hidden, "GET /login?b=c", "GET /login"),
        (&hidden, "POST https://u:p@h/x?b=c", "POST https://REDACTED:REDACTED@h/x"),
        (&hidden, "User#valid?", "User#valid?"),
        (&hidden, "is it? GET /x?b", "is it? GET /x"),
        (&everything, "GET /login?password=hunter2", "GET /login"),
    ] {
        assert_eq!(titles(name, &[], rules), [shown, shown], "{name}");
    }
}

#[test]
fn headers_and_connection_strings_are_scrubbed() {
    let shared = rules(QueryObfuscation::SharedRule);
    for key in [
        "http.request.header.referer",
        "http.request.headers.Referer",
        "http.response.header.location",
        "http.response.headers.location",
    ] {
        let shown = "https://REDACTED:REDACTED@h/x?<redacted>&session=s&sig=REDACTED&a=1";
        assert_eq!(one(key, ADDRESS, &shared), shown, "{key}");
    }
    for key in [
        "http.request.header.authorization",
        "http.request.headers.Authorization",
        "http.request.header.proxy-authorization",
        "http.request.header.proxy_authorization",
        "http.request.header.cookie",
        "http.response.header.set-cookie",
        "http.response.headers.set_cookie",
    ] {
        assert_eq!(one(key, "Basic x", &shared), "<redacted>", "{key}");
        let list = Value::Array(vec![Value::from("a"), Value::from("b")]);
        let mut span = Span { attributes: vec![(Cow::Borrowed(key), list)], ..span() };
        scrub_span(&mut span, &shared);
        assert_eq!(span.attributes[0].1, Value::Array(vec![Value::from("<redacted>"); 2]), "{key}");
    }
    assert_eq!(one("http.request.header.accept", "a?token=b", &shared), "a?token=b");
    assert_eq!(one("db.connection_string", "Server=h;Pwd=p;", &shared), "Server=h;Pwd=<redacted>;");
}

proptest! {
    #[test]
    fn any_text_is_scrubbed(text in "\\PC{0,60}|(https?://)?[a-z:@/?#&=%'é]{0,40}", key in prop::sample::select(vec!["url.full", "url.query", "db.statement", "resource.name", "db.connection_string"])) {
        let leaked: &'static str = std::boxed::Box::leak(text.into_boxed_str());
        for query in [QueryObfuscation::SharedRule, QueryObfuscation::Pattern(String::from("é")), QueryObfuscation::Everything] {
            scrubbed(SpanKind::Client, &[(key, leaked)], &rules(query));
        }
    }
}
