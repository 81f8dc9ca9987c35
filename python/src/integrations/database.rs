//! Statements to databases, by the semantic conventions for database spans (1.44).

use super::client::is_client;
use super::describe::Told;
use super::{Call, Integration};
use crate::ffi::text;
use crate::store;
use ddtrace::http::Attributes;
use ddtrace::scrub::redis::{MOST_MARKS, mark, shows_argument};
use ddtrace::scrub::sql::{Dialect, Summary};
use ddtrace::semconv::network::*;
use ddtrace::span::SpanKind;
use ddtrace::tracer::SpanData;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString, PyTuple};
use std::borrow::Cow;

/// The longest summary, and the longest text of a statement, in bytes.
const MAX_SUMMARY: usize = 255;
const MAX_STATEMENT: usize = 64 * 1024;
/// So much of a statement is looked at for its summary.
const MAX_SUMMARIZED: usize = 2048;

/// Where a database is: its namespace, host and port.
#[derive(FromPyObject)]
pub(super) struct Place(Option<String>, Option<String>, Option<u16>);

impl Place {
    fn describe(&self, data: &mut SpanData, system: &str, default_port: u16) {
        let Place(namespace, host, port) = self;
        let mut told = Told(data);
        told.text(DB_SYSTEM_NAME, system.as_bytes());
        told.text(DB_NAMESPACE, namespace.as_deref().unwrap_or_default().as_bytes());
        let host = host.as_deref().unwrap_or_default();
        told.text(SERVER_ADDRESS, host.as_bytes());
        if host.starts_with('/') {
            told.text(NETWORK_TRANSPORT, b"unix");
        } else if let Some(port) = port.filter(|port| *port != default_port) {
            told.integer(SERVER_PORT, port.into());
        }
    }
}

fn default_port(system: &str) -> u16 {
    match system {
        "postgresql" => 5432,
        "mysql" | "mariadb" => 3306,
        "redis" => 6379,
        _ => 0,
    }
}

/// Operations and what they are about.
fn summary(statement: &str, system: &str) -> String {
    let dialect = Dialect::of_system(system).unwrap_or_default();
    let mut summary = String::new();
    let statement = statement.as_bytes();
    for word in Summary::new(statement.get(..MAX_SUMMARIZED).unwrap_or(statement), dialect) {
        if summary.len() + word.len() >= MAX_SUMMARY {
            break;
        }
        if !summary.is_empty() {
            summary.push(' ');
        }
        let word = String::from_utf8_lossy(word);
        summary.push_str(&if dialect == Dialect::Sqlite { unquoted(word) } else { word });
    }
    summary
}

/// A name without its double quotes, if it is one without them, too: names of spans are scrubbed as statements are, and where
/// they stand there, these would be around a string.
fn unquoted(name: Cow<'_, str>) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'"');
    if name.contains('"') && !name.contains("\"\"") && name.bytes().all(is_plain) {
        return Cow::Owned(name.replace('"', ""));
    }
    name
}

/// What is shown of a command's arguments.
fn command_text(name: &str, arguments: &Bound<'_, PyTuple>) -> String {
    let mut out = String::from(name);
    for (index, argument) in arguments.iter().skip(1).take(MOST_MARKS as usize).enumerate() {
        let number = index as u32 + 1;
        let seen = if number == 1 { shown_argument(name, &argument) } else { None };
        match seen {
            Some(seen) => {
                out.push(' ');
                out.push_str(&seen);
            }
            None => out.push_str(&String::from_utf8_lossy(mark(number))),
        }
    }
    out
}

fn shown_argument(name: &str, argument: &Bound<'_, PyAny>) -> Option<String> {
    let seen = if let Ok(string) = argument.cast_exact::<PyString>() {
        text(string).into_owned()
    } else if let Ok(bytes) = argument.cast_exact::<PyBytes>() {
        String::from_utf8_lossy(bytes.as_bytes()).into_owned()
    } else {
        argument.cast_exact::<PyInt>().ok()?.extract::<i64>().ok()?.to_string()
    };
    shows_argument(name.as_bytes(), seen.len() as u64).then_some(seen)
}

impl Integration {
    fn begin_client(&self, py: Python<'_>, name: &str, fill: impl FnOnce(&mut SpanData)) -> PyResult<Option<Call>> {
        let before = store::active(py)?;
        if is_client(&before) {
            return Ok(None);
        }
        let span = self.begin(py, name, SpanKind::Client, before.clone(), fill)?;
        Ok(Some(Call::new(span, SpanKind::Client, &before)))
    }
}

/// Begins the span of a statement in SQL; None where somebody else tells of it. `place` has a namespace, host and port.
pub(super) fn begin_statement(
    integration: &Integration,
    py: Python<'_>,
    system: &str,
    statement: &Bound<'_, PyAny>,
    place: &Place,
    batch: Option<usize>,
) -> PyResult<Option<Call>> {
    if !integration.is_on() || !integration.records() {
        return Ok(None);
    }
    let statement = if let Ok(string) = statement.cast::<PyString>() {
        text(string).into_owned()
    } else if let Ok(bytes) = statement.cast::<PyBytes>() {
        String::from_utf8_lossy(bytes.as_bytes()).into_owned()
    } else {
        String::new()
    };
    let summary = summary(&statement, system);
    let name = match (batch.filter(|size| *size > 1), summary.as_str()) {
        (_, "") => String::from(system),
        (Some(_), summary) => format!("BATCH {summary}"),
        (None, summary) => summary.into(),
    };
    integration.begin_client(py, &name, |data| {
        place.describe(data, system, default_port(system));
        let mut told = Told(data);
        if !summary.is_empty() {
            told.text(DB_QUERY_SUMMARY, name.as_bytes());
        }
        let end = statement.floor_char_boundary(MAX_STATEMENT);
        told.text(DB_QUERY_TEXT, &statement.as_bytes()[..end]);
        if let Some(size) = batch.filter(|size| *size != 1) {
            told.integer(b"db.operation.batch.size", size as i64);
        }
    })
}

/// Begins the span of a transaction's end that a connection is asked for, without a statement; None where somebody else tells
/// of it. `operation` is COMMIT or ROLLBACK.
pub(super) fn begin_end(
    integration: &Integration,
    py: Python<'_>,
    system: &str,
    operation: &str,
    place: &Place,
) -> PyResult<Option<Call>> {
    if !integration.is_on() || !integration.records() {
        return Ok(None);
    }
    integration.begin_client(py, operation, |data| {
        place.describe(data, system, default_port(system));
        Told(data).text(DB_OPERATION_NAME, operation.as_bytes());
    })
}

/// Begins the span of a command for Redis, or of several; None where somebody else tells of it.
pub(super) fn begin_commands(
    integration: &Integration,
    py: Python<'_>,
    commands: &[Bound<'_, PyTuple>],
    place: &Place,
    is_transaction: Option<bool>,
) -> PyResult<Option<Call>> {
    const SYSTEM: &str = "redis";
    /// More commands than so many are not shown.
    const MOST_SHOWN: usize = 32;
    if !integration.is_on() || !integration.records() || commands.is_empty() {
        return Ok(None);
    }
    let name_of = |arguments: &Bound<'_, PyTuple>| -> PyResult<String> {
        let name = if arguments.is_empty() { return Ok(String::new()) } else { arguments.get_item(0)? };
        Ok(match name.cast::<PyString>() {
            Ok(name) => text(name).into_owned(),
            Err(_) => match name.cast::<PyBytes>() {
                Ok(name) => String::from_utf8_lossy(name.as_bytes()).into_owned(),
                Err(_) => String::new(),
            },
        })
    };
    let mut names = Vec::new();
    let mut texts = Vec::new();
    for arguments in commands {
        let name = name_of(arguments)?;
        if texts.len() < MOST_SHOWN {
            texts.push(command_text(&name, arguments));
        }
        names.push(name);
    }
    let first = names.first().cloned().unwrap_or_default();
    let operation = match is_transaction {
        None => first,
        Some(is_transaction) => {
            let word = if is_transaction { "MULTI" } else { "PIPELINE" };
            if names.iter().all(|name| *name == first) { format!("{word} {first}") } else { String::from(word) }
        }
    };
    let shown = texts.join(if is_transaction.is_some() { "; " } else { "" });
    let words: Vec<&str> = names.iter().map(|name| name.split(' ').next().unwrap_or_default()).collect();
    let mut summary = words.join(" ");
    if summary.len() > MAX_SUMMARY {
        let end = summary.floor_char_boundary(MAX_SUMMARY);
        summary.truncate(summary[..end].rfind(' ').unwrap_or(0));
    }
    integration.begin_client(py, &operation, |data| {
        place.describe(data, SYSTEM, default_port(SYSTEM));
        let mut told = Told(data);
        told.text(DB_OPERATION_NAME, operation.as_bytes());
        told.text(DB_QUERY_TEXT, shown.as_bytes());
        if is_transaction.is_some() {
            told.text(DB_QUERY_SUMMARY, summary.as_bytes());
        }
        if is_transaction.is_some() && names.len() != 1 {
            told.integer(b"db.operation.batch.size", names.len() as i64);
        }
    })
}
