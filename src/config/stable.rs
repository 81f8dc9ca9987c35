//! Datadog's stable configuration: a file that the fleet manages and one of the host, with rules for programs.

use super::sources::{
    Environment, FileRole, FileSeen, FileState, Sources, Unreadable, Warning, one_line, read_regular_file,
};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::format;
use std::path::PathBuf;
use std::string::{String, ToString};
use std::vec::Vec;

/// Datadog's libraries ignore larger files.
const LIMIT: u64 = 100 << 20;

/// The file of the host, the weakest source.
pub const LOCAL_FILE: &str = "/etc/datadog-agent/application_monitoring.yaml";
/// The file that the fleet manages, stronger than the environment.
pub const FLEET_FILE: &str = "/etc/datadog-agent/managed/datadog-agent/stable/application_monitoring.yaml";

/// A file and what it says about this program.
pub(crate) struct StableFile {
    pub seen: FileSeen,
    /// `DD_*` names and values; the last of equal names counts.
    settings: Vec<(String, String)>,
}

impl StableFile {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(present, _)| present == name).map(|(_, value)| value.as_str())
    }
}

/// The fleet's file and the host's file.
pub(crate) fn load_both(
    sources: &Sources,
    env: &Environment<'_>,
    warnings: &mut Vec<Warning>,
) -> (StableFile, StableFile) {
    let mut at = |role, variable: &str, path: &str| {
        let path = env.non_empty(variable).map_or_else(|| sources.at(path), PathBuf::from);
        load(role, path, sources, warnings)
    };
    (
        at(FileRole::Fleet, "_DD_SC_MANAGED_FILE_OVERRIDE", FLEET_FILE),
        at(FileRole::Stable, "_DD_SC_LOCAL_FILE_OVERRIDE", LOCAL_FILE),
    )
}

fn load(role: FileRole, path: PathBuf, sources: &Sources, warnings: &mut Vec<Warning>) -> StableFile {
    let outcome = match read_regular_file(&path, LIMIT) {
        Ok(text) => read(&text, sources),
        Err(Unreadable::Missing) => {
            return StableFile { seen: FileSeen { role, path, state: FileState::Missing }, settings: Vec::new() };
        }
        Err(Unreadable::Failed(why)) => Err(why.into()),
    };
    let (state, settings) = match outcome {
        Ok(settings) => (FileState::Read, settings),
        Err(why) => {
            warnings.push(Warning::new(format!("{} {why}; going on without it", path.display())));
            (FileState::Failed(one_line(why)), Vec::new())
        }
    };
    StableFile { seen: FileSeen { role, path, state }, settings }
}

fn read(text: &str, sources: &Sources) -> Result<Vec<(String, String)>, String> {
    let is_comment = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(is_comment) {
        return Ok(Vec::new());
    }
    let document: Document = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or_else(String::new, |place| format!(" in line {}", place.line()));
        // The library draws the lines around the fault below its first line, and they may hold secrets.
        let reason = error.without_snippet().to_string();
        format!("has an error{line} ({})", reason.lines().next().unwrap_or("not YAML").trim())
    })?;
    document.settings_for(sources)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    apm_configuration_default: BTreeMap<String, Scalar>,
    tags: BTreeMap<String, Scalar>,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    selectors: Vec<Selector>,
    configuration: BTreeMap<String, Scalar>,
}

#[derive(Deserialize)]
struct Selector {
    origin: Subject,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    matches: Vec<Scalar>,
    operator: Operator,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Subject {
    Language,
    ProcessArguments,
    EnvironmentVariables,
    Tags,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operator {
    Exists,
    Equals,
    PrefixMatches,
    SuffixMatches,
}

impl Document {
    /// The defaults, then the first rule whose selectors all match, which goes over them.
    fn settings_for(self, sources: &Sources) -> Result<Vec<(String, String)>, String> {
        let matching =
            self.rules.iter().find(|rule| rule.selectors.iter().all(|selector| selector.matches(&self.tags, sources)));
        let mut settings: Vec<_> =
            self.apm_configuration_default.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
        if let Some(rule) = matching {
            for (name, value) in &rule.configuration {
                settings.push((name.clone(), filled_in(&value.0, &self.tags, sources)?));
            }
        }
        Ok(settings)
    }
}

impl Selector {
    fn matches(&self, tags: &BTreeMap<String, Scalar>, sources: &Sources) -> bool {
        match (self.origin, &self.key) {
            (Subject::Language, _) => sources.language.as_deref().is_some_and(|language| self.accepts(language)),
            (Subject::ProcessArguments, Some(key)) => argument(sources, key).is_some_and(|value| self.accepts(value)),
            (Subject::ProcessArguments, None) => texts(&sources.program).any(|argument| self.accepts(argument)),
            (Subject::EnvironmentVariables, Some(key)) => {
                variable(sources, key).is_some_and(|value| self.accepts(value))
            }
            (Subject::EnvironmentVariables, None) => sources
                .env
                .iter()
                .filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value.to_str()?)))
                .any(|pair| self.accepts(&pair)),
            (Subject::Tags, Some(key)) => tags.get(key).is_some_and(|value| self.accepts(&value.0)),
            (Subject::Tags, None) => false,
        }
    }

    fn accepts(&self, value: &str) -> bool {
        let mut wanted = self.matches.iter().map(|scalar| scalar.0.as_str());
        match self.operator {
            Operator::Exists => true,
            Operator::Equals => wanted.any(|wanted| value == wanted),
            Operator::PrefixMatches => wanted.any(|wanted| value.starts_with(wanted)),
            Operator::SuffixMatches => wanted.any(|wanted| value.ends_with(wanted)),
        }
    }
}

fn texts(program: &[OsString]) -> impl Iterator<Item = &str> {
    program.iter().filter_map(|argument| argument.to_str())
}

/// Arguments of the form `key=value`; of equal keys the last counts.
fn argument<'a>(sources: &'a Sources, key: &str) -> Option<&'a str> {
    texts(&sources.program)
        .filter_map(|argument| argument.split_once('='))
        .filter(|(name, _)| *name == key)
        .last()
        .map(|(_, value)| value)
}

fn variable<'a>(sources: &'a Sources, key: &str) -> Option<&'a str> {
    sources.env.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.to_str())
}

/// Puts values in for `{{language}}`, `{{environment_variables[X]}}`, `{{process_arguments[k]}}` and `{{tags[k]}}`.
fn filled_in(text: &str, tags: &BTreeMap<String, Scalar>, sources: &Sources) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (template, tail) =
            after.split_once("}}").ok_or_else(|| format!("has a template without }}}} in {text:?}"))?;
        let (name, index) = match template.trim().split_once('[') {
            Some((name, index)) => (name, index.split_once(']').map(|(index, _)| index.trim())),
            None => (template.trim(), None),
        };
        let value = match (name, index) {
            ("language", _) => sources.language.as_deref(),
            ("environment_variables", Some(key)) => variable(sources, key),
            ("process_arguments", Some(key)) => argument(sources, key),
            ("tags", Some(key)) => tags.get(key).map(|scalar| scalar.0.as_str()),
            _ => None,
        };
        out.push_str(before);
        out.push_str(value.unwrap_or("UNDEFINED"));
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// A scalar of YAML as text: `true` is `"true"`.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("text, a number or a truth value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.into()))
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Scalar, E> {
                Ok(Scalar(truth.to_string()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
