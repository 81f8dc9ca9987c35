//! Hides secrets in the attributes of finished spans, once for all backends.
//!
//! What is hidden in an address and in SQL is said in [`crate::scrub`]; here it is said in which attributes, and by which
//! of the user's settings. Names and values that only the application knows the meaning of are not looked at.

mod connection;
mod keys;
mod texts;

use super::{Attribute, Span, SpanKind, Value};
use crate::config::{Obfuscation, QueryObfuscation};
use crate::scrub::sql::Dialect;
use connection::scrubbed_connection;
use keys::{Content, QUERIES};
use regex::{Regex, RegexBuilder};
use std::borrow::Cow;
use std::string::String;
use std::vec::Vec;
use texts::{REDACTED_TEXT, scrubbed_address, scrubbed_query, scrubbed_sql, scrubbed_title};

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

/// An attribute, of a span as the exporters have it or as the OpenTelemetry SDK has it.
pub trait Pair {
    /// Its key.
    fn key(&self) -> &str;
    /// Its value, if that is text.
    fn text(&self) -> Option<&str>;
    /// Applies `scrub` to the value if that is text, or to the texts of a list; `None` leaves them as they are.
    fn edit(&mut self, scrub: &dyn Fn(&str) -> Option<String>);
    /// Replaces the value, or those of a list, by `text`.
    fn replace(&mut self, text: &'static str);
}

impl Pair for Attribute {
    fn key(&self) -> &str {
        &self.0
    }

    fn text(&self) -> Option<&str> {
        match &self.1 {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    fn edit(&mut self, scrub: &dyn Fn(&str) -> Option<String>) {
        each_text(&mut self.1, scrub);
    }

    fn replace(&mut self, text: &'static str) {
        match &mut self.1 {
            Value::Array(items) => items.fill(Value::from(text)),
            value => *value = Value::from(text),
        }
    }
}

/// The rules for one span: those of its kind and of its database.
#[derive(Clone, Copy, Debug)]
pub struct SpanRules<'a> {
    rules: &'a Rules,
    shows_query: bool,
    /// How statements are written; `None` where they are not touched.
    statements: Option<Dialect>,
    title: Title,
}

/// What a span's name and resource are.
#[derive(Clone, Copy, Debug)]
enum Title {
    /// A statement, or what is no longer one.
    Statement,
    /// Words, among which an address may be.
    Words,
}

impl<'a> SpanRules<'a> {
    /// The rules for a span with these attributes; `span_type` is Datadog's, where it is known from elsewhere.
    #[must_use]
    pub fn new<P: Pair>(rules: &'a Rules, kind: SpanKind, span_type: Option<&str>, attributes: &[P]) -> Self {
        let is_sql = span_type == Some("sql") || text(attributes, &["datadog.type", "span.type"]) == Some("sql");
        let system = text(attributes, &["db.system.name", "db.system"]).map(str::to_ascii_lowercase);
        let of_system = system.as_deref().map(Dialect::of_system);
        let dialect = of_system.unwrap_or(Some(Dialect::Unknown)).or(is_sql.then_some(Dialect::Unknown));
        let title = if is_sql || of_system.flatten().is_some() { Title::Statement } else { Title::Words };
        let statements = dialect.filter(|_| rules.sql);
        SpanRules { rules, shows_query: rules.shows_query(kind), statements, title }
    }

    /// Hides the secrets of a span's name.
    pub fn scrub_name(&self, name: &mut Cow<'static, str>) {
        let scrubbed = self.title(name);
        replace(name, scrubbed);
    }

    /// Hides the secrets in attributes of the span, of its events or of its links.
    pub fn scrub<P: Pair>(&self, attributes: &mut Vec<P>) {
        if !self.shows_query {
            attributes.retain(|pair| !QUERIES.contains(&pair.key()));
        }
        for pair in attributes {
            let Some(content) = Content::of(pair.key()) else { continue };
            match content {
                Content::Address => pair.edit(&|address| scrubbed_address(address, self.rules, self.shows_query)),
                Content::Query => pair.edit(&|query| scrubbed_query(query, 0, self.rules)),
                Content::Statement => pair.edit(&|statement| self.statement(statement)),
                Content::Title => pair.edit(&|title| self.title(title)),
                Content::Connection => pair.edit(&scrubbed_connection),
                Content::Credential => pair.replace(REDACTED_TEXT),
            }
        }
    }

    fn statement(&self, statement: &str) -> Option<String> {
        scrubbed_sql(statement, self.statements?)
    }

    fn title(&self, title: &str) -> Option<String> {
        match self.title {
            Title::Statement => self.statement(title),
            Title::Words => scrubbed_title(title, self.rules, self.shows_query),
        }
    }
}

/// Hides the secrets of a span, its events and its links. Doing it again changes nothing, unless the user's pattern finds what
/// stands for a secret.
pub fn scrub_span(span: &mut Span, rules: &Rules) {
    let rules = SpanRules::new(rules, span.kind, span.span_type.as_deref(), &span.attributes);
    rules.scrub_name(&mut span.name);
    span.operation_name.iter_mut().for_each(|name| rules.scrub_name(name));
    rules.scrub(&mut span.attributes);
    span.events.iter_mut().for_each(|event| rules.scrub(&mut event.attributes));
    span.links.iter_mut().for_each(|link| rules.scrub(&mut link.attributes));
}

/// The first of the attributes that is text and not empty.
fn text<'a, P: Pair>(attributes: &'a [P], keys: &[&str]) -> Option<&'a str> {
    keys.iter()
        .find_map(|key| attributes.iter().find(|pair| pair.key() == *key)?.text().filter(|text| !text.is_empty()))
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

#[cfg(test)]
mod tests;
