//! The JSON of `DD_TRACE_SAMPLING_RULES` and `DD_SPAN_SAMPLING_RULES`.
//!
//! Where a condition of a rule cannot be understood, the whole rule is left out: without the condition it would match
//! more than was meant.

use super::{OwnedRules, Provenance, WrittenRule};
use serde_json::{Map, Value};
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

/// Which rules a text holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Trace,
    Span,
}

impl Kind {
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Kind::Trace => {
                &["sample_rate", "service", "name", "resource", "tags", "provenance", "max_per_second"]
            }
            Kind::Span => &["sample_rate", "service", "name", "max_per_second"],
        }
    }
}

/// Whether a text is a JSON list at all.
///
/// # Errors
///
/// What is wrong with it, as the end of a sentence that begins with the text's name.
pub fn check_json(text: &str) -> Result<(), String> {
    list(text).map(|_| ())
}

/// Reads the rules for traces. Also tells what was wrong with them, each as a sentence without a point such as
/// `rule 2 has no sample_rate; going on without it`; rules are numbered from 1.
///
/// Rules of a customer are asked first, then dynamic ones, then all others; within each in the order of the list.
#[must_use]
pub fn parse_json(text: &str) -> (OwnedRules, Vec<String>) {
    parse(Kind::Trace, text)
}

/// Reads the rules for single spans, in the same way.
#[must_use]
pub fn parse_span_json(text: &str) -> (OwnedRules, Vec<String>) {
    parse(Kind::Span, text)
}

fn list(text: &str) -> Result<Vec<Value>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    match serde_json::from_str(text) {
        Ok(Value::Array(items)) => Ok(items),
        Ok(other) => Err(format!("is {}, but must be a JSON list of rules", type_of(&other))),
        Err(error) => Err(format!("is not JSON ({error})")),
    }
}

fn parse(kind: Kind, text: &str) -> (OwnedRules, Vec<String>) {
    let items = match list(text) {
        Ok(items) => items,
        Err(complaint) => return (OwnedRules::default(), vec![format!("{complaint}; going on without rules")]),
    };
    let mut warnings = Vec::new();
    let mut rules = Vec::new();
    for (position, item) in items.iter().enumerate() {
        let mut reader = Reader { kind, number: position + 1, warnings: &mut warnings };
        match reader.rule(item) {
            Ok(rule) => rules.push((reader.number, rule)),
            Err(why) => reader.warn(&format!("{why}; going on without it")),
        }
    }
    rules.sort_by_key(|(_, rule)| rule.provenance);
    let texts: Vec<String> = rules.iter().map(|(_, rule)| rule.text()).collect();
    let (owned, taken) = OwnedRules::of_texts(&texts);
    if let Some(left_out) = rules.get(taken..).filter(|left_out| !left_out.is_empty()) {
        let numbers: Vec<String> = left_out.iter().map(|(number, _)| number.to_string()).collect();
        warnings.push(format!(
            "the rules are longer than 64 KiB together; going on without rule {}",
            numbers.join(", ")
        ));
    }
    (owned, warnings)
}

/// Reads one rule.
struct Reader<'a> {
    kind: Kind,
    number: usize,
    warnings: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn warn(&mut self, what: &str) {
        self.warnings.push(format!("rule {} {what}", self.number));
    }

    /// Errs with the reason for which the rule cannot be used.
    fn rule(&mut self, item: &Value) -> Result<WrittenRule, String> {
        let Value::Object(rule) = item else {
            return Err(format!("is {}, but must be an object", type_of(item)));
        };
        let known = self.kind.keys();
        for key in rule.keys().filter(|key| !known.contains(&key.as_str())) {
            self.warn(&format!("has {key:?}, which is none of {}; going on without that", known.join(", ")));
        }
        let rate = self.rate(rule)?;
        let [service, name] = [glob(rule, "service")?, glob(rule, "name")?];
        if self.kind == Kind::Span && service.is_none() && name.is_none() {
            return Err("has neither service nor name".into());
        }
        let (resource, tags) = match self.kind {
            Kind::Trace => (glob(rule, "resource")?, tags(rule)?),
            Kind::Span => (None, Vec::new()),
        };
        let or_any = |glob: Option<String>| glob.unwrap_or_else(|| "*".into());
        Ok(WrittenRule {
            rate,
            max_per_second: self.max_per_second(rule),
            provenance: self.provenance(rule),
            service: or_any(service),
            name: or_any(name),
            resource: or_any(resource),
            tags,
        })
    }

    fn rate(&mut self, rule: &Map<String, Value>) -> Result<f64, String> {
        let rate = match (rule.get("sample_rate"), self.kind) {
            (Some(value), _) => {
                value.as_f64().ok_or_else(|| format!("has a sample_rate that is {}, but must be a number", type_of(value)))?
            }
            (None, Kind::Trace) => return Err("has no sample_rate".into()),
            (None, Kind::Span) => 1.0,
        };
        let clamped = rate.clamp(0.0, 1.0);
        if clamped != rate {
            self.warn(&format!("has the sample_rate {rate}, which is not between 0 and 1; using {clamped}"));
        }
        Ok(clamped)
    }

    /// Below 0 is no limit, as for `DD_TRACE_RATE_LIMIT`.
    fn max_per_second(&mut self, rule: &Map<String, Value>) -> Option<f64> {
        let value = rule.get("max_per_second").filter(|value| !value.is_null())?;
        let limit = value.as_f64();
        if limit.is_none() {
            self.warn(&format!(
                "has a max_per_second that is {}, but must be a number; going on without a limit",
                type_of(value)
            ));
        }
        limit.filter(|limit| *limit >= 0.0)
    }

    fn provenance(&mut self, rule: &Map<String, Value>) -> Provenance {
        match rule.get("provenance").filter(|value| self.kind == Kind::Trace && !value.is_null()) {
            None => Provenance::Default,
            Some(value) => match value.as_str() {
                Some("customer") => Provenance::Customer,
                Some("dynamic") => Provenance::Dynamic,
                Some("default") => Provenance::Default,
                _ => {
                    self.warn(&format!(
                        "has the provenance {value}, which is none of customer, dynamic, default; using default"
                    ));
                    Provenance::Default
                }
            },
        }
    }
}

fn glob(rule: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match rule.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(glob)) if has_control(glob) => Err(format!("has a control character in {key}")),
        Some(Value::String(glob)) => Ok(Some(glob.clone())),
        Some(other) => Err(format!("has a {key} that is {}, but must be text", type_of(other))),
    }
}

fn tags(rule: &Map<String, Value>) -> Result<Vec<(String, String)>, String> {
    let tags = match rule.get("tags") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(tags)) => tags,
        Some(other) => return Err(format!("has tags that are {}, but must be an object", type_of(other))),
    };
    tags.iter()
        .map(|(name, value)| {
            let glob = match value {
                Value::String(glob) => glob.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                other => return Err(format!("has {} for the tag {name:?}, but that must be text", type_of(other))),
            };
            if has_control(name) || has_control(&glob) {
                return Err(format!("has a control character in the tag {name:?}"));
            }
            Ok((name.clone(), glob))
        })
        .collect()
}

/// Whether it has a character that the text form separates by, or zero, which no environment carries.
fn has_control(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, 0 | 0x1c..=0x1f))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
