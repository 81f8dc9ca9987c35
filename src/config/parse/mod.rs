//! From text to values: the rules of each dialect, each once.
//!
//! A parser never fails: it says what it understood, if anything, and what was wrong with the text.

mod address;
mod otel;
mod pairs;
mod scalar;
mod url;

pub(crate) use address::{agent_url_of, grpc_target, host_and_port_of, http_traces_url};
pub(crate) use otel::read_otel;
pub(crate) use pairs::{header_is_sendable, is_whole, resource_items};

use super::table::{Kind, Setting};
use super::value::Value;
use crate::sampling::rules::check_json;
use std::string::String;

/// Whose spelling rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `DD_*` variables, and the same names in Datadog's files. An empty text is a value.
    Datadog,
    /// `OTEL_*` variables. An empty text is none.
    Otel,
    /// The command line and `ddtrace.toml`.
    Plain,
}

/// What came of reading a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// What was understood; `None`: as if the setting were not there.
    pub value: Option<Value>,
    /// What was wrong, as the end of a sentence that begins with the name and the text.
    pub complaint: Option<String>,
}

impl Read {
    pub(crate) const NOTHING: Self = Self { value: None, complaint: None };

    pub(crate) const fn good(value: Value) -> Self {
        Self { value: Some(value), complaint: None }
    }

    pub(crate) fn bad(complaint: impl Into<String>) -> Self {
        Self { value: None, complaint: Some(complaint.into()) }
    }

    pub(crate) fn doubtful(value: Value, complaint: impl Into<String>) -> Self {
        Self { value: Some(value), complaint: Some(complaint.into()) }
    }
}

/// Reads the value of a setting.
pub(crate) fn read(setting: &Setting, dialect: Dialect, text: &str) -> Read {
    if text.is_empty() && (dialect == Dialect::Otel || empty_is_unset(setting.kind)) {
        return Read::NOTHING;
    }
    match setting.kind {
        Kind::Text => Read::good(Value::Text(text.into())),
        Kind::Bool => scalar::boolean(dialect, text),
        Kind::Number { min, max } => scalar::number(text, min, max),
        Kind::Limit { max } => scalar::limit(text, max),
        Kind::Port => scalar::port(text),
        Kind::Bytes { min, max } => scalar::bytes(dialect, text, min, max),
        Kind::Duration { min, max } => scalar::duration(dialect, text, min, max),
        Kind::Rate => scalar::rate(text),
        Kind::PerSecond => scalar::per_second(text),
        Kind::Rules => rules(text),
        Kind::Choice(names) => scalar::choice(names, text),
        Kind::Choices(names) => scalar::choices(names, text),
        Kind::List => scalar::list(text),
        Kind::Path => Read::good(Value::Path(text.into())),
        Kind::Tags if dialect == Dialect::Otel => pairs::resource_attributes(text),
        Kind::Tags => Read::good(Value::Pairs(pairs::datadog_tags(text))),
        Kind::Headers => pairs::headers(text),
        Kind::AgentUrl => address::agent_url(text),
        Kind::Host => address::host(text),
        Kind::Endpoint => address::endpoint(text),
        Kind::Repository => Read::good(Value::Text(url::without_credentials(text))),
    }
}

/// What is wrong with single rules is told when they are read as such; here a weaker source still gets its turn.
fn rules(text: &str) -> Read {
    match check_json(text) {
        Ok(()) => Read::good(Value::Text(text.into())),
        Err(complaint) => Read::bad(complaint),
    }
}

// Datadog's tracers take an empty address or host as none given, although other empty variables are values; an empty
// path names no file, and an empty number is none.
const fn empty_is_unset(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::AgentUrl | Kind::Host | Kind::Endpoint | Kind::Path | Kind::Headers | Kind::Rate | Kind::PerSecond
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::{Reading, settings};
    use proptest::prelude::*;

    #[test]
    fn every_default_and_every_choice_is_readable() {
        for setting in settings() {
            if !setting.default.is_empty() {
                let read = read(setting, Dialect::Plain, setting.default);
                let value = read.value.unwrap_or_else(|| panic!("{}: {:?}", setting.key, read.complaint));
                assert_eq!(read.complaint, None, "{}", setting.key);
                assert_eq!(std::format!("{value}"), setting.default, "{}", setting.key);
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,40}|[a-z0-9:/.,=%\\[\\]@ -]{0,40}|-?[0-9.e]{0,30}[a-zA-Z]{0,3}") {
            for setting in settings() {
                for dialect in [Dialect::Datadog, Dialect::Otel, Dialect::Plain] {
                    let first = read(setting, dialect, &text);
                    prop_assert!(first.value.is_some() || first.complaint.is_some() || text.is_empty() || text.trim().is_empty() || matches!(setting.kind, Kind::Headers | Kind::Choices(_)), "{} {text:?}", setting.key);
                }
                for reading in [Reading::Plain, Reading::Inverted, Reading::ExporterSwitch, Reading::ExporterChoice, Reading::ExporterProtocol, Reading::DebugLevel] {
                    let _ = read_otel(setting, reading, &text);
                }
            }
        }
    }
}
