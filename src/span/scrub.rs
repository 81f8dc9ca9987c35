//! Hides secrets in the attributes of finished spans, once for all backends.
//!
//! What is hidden in an address and in SQL is said in [`crate::scrub`]; here it is said in which attributes, and by which
//! of the user's settings. Names and values that only the application knows the meaning of are not looked at.

use super::{Span, SpanKind, Value};
use crate::config::{Obfuscation, QueryObfuscation};
use crate::scrub::REDACTED;
use crate::scrub::sql::{Dialect, SqlPieces};
use crate::scrub::url::UrlPieces;
use regex::{NoExpand, Regex, RegexBuilder};
use std::borrow::Cow;
use std::string::String;
use std::vec::Vec;

/// Attributes that hold an address, whole or from the path on: the conventions' names now, and before.
const ADDRESSES: [&str; 4] = ["http.target", "http.url", "url.full", "url.original"];
/// Holds a query string.
const QUERY: &str = "url.query";
/// Attributes that hold a statement: the conventions' name now, and before, and Datadog's.
const STATEMENTS: [&str; 3] = ["db.query.text", "db.statement", "sql.query"];
/// Attributes that hold the resource, which is the statement where the span's type is `sql`.
const RESOURCES: [&str; 2] = ["datadog.resource", "resource.name"];

/// Compiles what a user wants to be hidden in query strings.
///
/// # Errors
/// What the engine has against it; look-around and back-references are unknown to it.
pub fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(1 << 20).build()
}

/// What is hidden, ready for use.
#[derive(Clone, Debug)]
pub struct Rules {
    query: QueryRule,
    sql: bool,
    server_query: bool,
    client_query: bool,
}

#[derive(Clone, Debug)]
enum QueryRule {
    Shared,
    Nothing,
    Pattern(Regex),
    Everything,
}

impl Rules {
    /// The rules of a configuration. A pattern that cannot be compiled hides everything.
    #[must_use]
    pub fn new(config: &Obfuscation) -> Self {
        let query = match &config.query_string {
            QueryObfuscation::SharedRule => QueryRule::Shared,
            QueryObfuscation::Nothing => QueryRule::Nothing,
            QueryObfuscation::Pattern(pattern) => compile(pattern).map_or(QueryRule::Everything, QueryRule::Pattern),
            QueryObfuscation::Everything => QueryRule::Everything,
        };
        Rules {
            query,
            sql: config.sql,
            server_query: config.server_query_string,
            client_query: config.client_query_string,
        }
    }

    fn shows_query(&self, kind: SpanKind) -> bool {
        let wanted = match kind {
            SpanKind::Server => self.server_query,
            SpanKind::Client => self.client_query,
            _ => true,
        };
        wanted && !matches!(self.query, QueryRule::Everything)
    }
}

/// Hides the secrets of a span, its events and its links. Doing it again changes nothing, unless the user's pattern finds what
/// stands for a secret.
pub fn scrub_span(span: &mut Span, rules: &Rules) {
    let shows_query = rules.shows_query(span.kind);
    let dialect = if rules.sql { dialect(span) } else { None };
    let is_sql = span.span_type.as_deref() == Some("sql") || text(span, &["datadog.type", "span.type"]) == Some("sql");
    if let Some(dialect) = dialect.filter(|_| is_sql) {
        for resource in RESOURCES {
            if let Some((_, value)) = span.attributes.iter_mut().find(|(key, _)| key == resource) {
                each_text(value, &|statement| scrubbed_sql(statement, dialect));
            }
        }
        let name = scrubbed_sql(&span.name, dialect);
        replace(&mut span.name, name);
    }
    let events = span.events.iter_mut().map(|event| &mut event.attributes);
    let links = span.links.iter_mut().map(|link| &mut link.attributes);
    for attributes in [&mut span.attributes].into_iter().chain(events).chain(links) {
        if !shows_query {
            attributes.retain(|(key, _)| key != QUERY);
        }
        for (key, value) in attributes {
            scrub_attribute(key, value, rules, shows_query, dialect);
        }
    }
}

fn scrub_attribute(key: &str, value: &mut Value, rules: &Rules, shows_query: bool, dialect: Option<Dialect>) {
    if ADDRESSES.contains(&key) {
        each_text(value, &|address| scrubbed_address(address, rules, shows_query));
    } else if key == QUERY {
        each_text(value, &|query| scrubbed_query(query, 0, rules));
    } else if let Some(dialect) = dialect.filter(|_| STATEMENTS.contains(&key)) {
        each_text(value, &|statement| scrubbed_sql(statement, dialect));
    }
}

fn text<'a>(span: &'a Span, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|key| match span.attribute(key) {
        Some(Value::String(text)) => Some(text.as_ref()),
        _ => None,
    })
}

/// How the span's statements are written; `None` where they are no SQL.
fn dialect(span: &Span) -> Option<Dialect> {
    match text(span, &["db.system.name", "db.system"]) {
        Some(system) => Dialect::of_system(&system.to_ascii_lowercase()),
        None => Some(Dialect::Unknown),
    }
}

/// Applies `scrub` to a text, or to those of a list.
fn each_text(value: &mut Value, scrub: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            let scrubbed = scrub(text);
            replace(text, scrubbed);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, scrub)),
        Value::Bool(_) | Value::I64(_) | Value::F64(_) => {}
    }
}

fn replace(text: &mut Cow<'static, str>, scrubbed: Option<String>) {
    if let Some(scrubbed) = scrubbed {
        *text = Cow::Owned(scrubbed);
    }
}

/// `None` where nothing is hidden.
fn scrubbed_sql(statement: &str, dialect: Dialect) -> Option<String> {
    let shown = joined(SqlPieces::new(statement.as_bytes(), dialect));
    (shown != statement).then_some(shown)
}

fn scrubbed_address(address: &str, rules: &Rules, shows_query: bool) -> Option<String> {
    let query = address.find(['?', '#']);
    let Some(query) = query else { return scrubbed_url(address, rules) };
    if shows_query {
        return match &rules.query {
            QueryRule::Pattern(_) => {
                let without_user = scrubbed_url(address, rules);
                let address = without_user.as_deref().unwrap_or(address);
                let query = address.find(['?', '#']).map_or(address.len(), |mark| mark + 1);
                scrubbed_query(address, query, rules).or(without_user)
            }
            _ => scrubbed_url(address, rules),
        };
    }
    let path = address.get(..query).unwrap_or_default();
    Some(scrubbed_url(path, rules).unwrap_or_else(|| String::from(path)))
}

/// All but the user's own pattern.
fn scrubbed_url(address: &str, rules: &Rules) -> Option<String> {
    let pieces = UrlPieces::of_url(address.as_bytes(), matches!(rules.query, QueryRule::Shared));
    (!pieces.is_unchanged()).then(|| joined(pieces))
}

/// Scrubs the query string that begins at `start`.
fn scrubbed_query(text: &str, start: usize, rules: &Rules) -> Option<String> {
    let (before, query) = text.split_at_checked(start)?;
    let pieces = UrlPieces::of_query(query.as_bytes(), matches!(rules.query, QueryRule::Shared));
    let signatures_hidden = (!pieces.is_unchanged()).then(|| joined(pieces));
    let query = signatures_hidden.as_deref().unwrap_or(query);
    let hidden = match &rules.query {
        QueryRule::Pattern(pattern) => match pattern.replace_all(query, NoExpand(REDACTED_TEXT)) {
            Cow::Owned(hidden) => Some(hidden),
            Cow::Borrowed(_) => None,
        },
        _ => None,
    };
    Some([before, &hidden.or(signatures_hidden)?].concat())
}

/// [`REDACTED`] as text.
const REDACTED_TEXT: &str = match std::str::from_utf8(REDACTED) {
    Ok(text) => text,
    Err(_) => "",
};

/// Text is cut between its characters only, so that what comes out is text again.
fn joined<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> String {
    let mut bytes = Vec::new();
    pieces.for_each(|piece| bytes.extend_from_slice(piece));
    match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(text) => String::from(text),
        Cow::Owned(text) => text,
    }
}

#[cfg(test)]
mod tests;
