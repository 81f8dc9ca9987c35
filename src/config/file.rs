//! `ddtrace.toml`.

use super::parse::{Dialect, Read, header_is_sendable, read};
use super::sources::{
    Environment, FileRole, FileSeen, FileState, Sources, Unreadable, Warning, one_line, read_regular_file,
};
use super::suggest;
use super::table::{Kind, Setting, by_key, settings};
use super::value::Value;
use std::format;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;
use toml::de::{DeTable, DeValue};

/// Far beyond any real one, and still read at once.
const LIMIT: u64 = 1 << 20;

/// The file of the system.
pub const SYSTEM_FILE: &str = "/etc/ddtrace/ddtrace.toml";

/// A setting as a file has it.
pub(crate) struct Entry {
    pub setting: &'static Setting,
    /// What stands after the key, where a message can quote it.
    pub text: Option<String>,
    pub line: usize,
    pub read: Read,
}

/// A file and the settings in it.
pub(crate) struct File {
    pub seen: FileSeen,
    pub entries: Vec<Entry>,
}

/// The files that count, strongest first: the named one, the user's, the system's.
pub(crate) fn load_all(sources: &Sources, env: &Environment<'_>, warnings: &mut Vec<Warning>) -> Vec<File> {
    let home = env.non_empty("HOME").map(PathBuf::from);
    let named = sources.config_file.clone().or_else(|| env.non_empty("DD_TRACE_CONFIG_FILE").map(PathBuf::from));
    let named = named.map(|path| sources.absolute(path));
    // The XDG base directory specification has relative paths ignored.
    let config_home = env.non_empty("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let user = config_home
        .or_else(|| home.as_ref().map(|home| home.join(".config")))
        .map(|directory| directory.join("ddtrace/ddtrace.toml"));
    [(FileRole::Named, named), (FileRole::User, user), (FileRole::System, Some(sources.at(SYSTEM_FILE)))]
        .into_iter()
        .filter_map(|(role, path)| Some(load(role, path?, home.as_deref(), warnings)))
        .collect()
}

fn load(role: FileRole, path: PathBuf, home: Option<&Path>, warnings: &mut Vec<Warning>) -> File {
    let mut entries = Vec::new();
    let state = match read_regular_file(&path, LIMIT) {
        Ok(text) => match DeTable::parse(&text) {
            Ok(document) => {
                let mut walk = Walk { path: &path, text: &text, home, entries: &mut entries, warnings };
                walk.table("", document.get_ref());
                entries.sort_by_key(|entry| entry.line);
                FileState::Read
            }
            Err(error) => {
                let why = syntax_error(&text, &error);
                warnings.push(Warning::new(format!("{}:{why}; nothing in this file is used", path.display())));
                FileState::Failed(format!("line {why}"))
            }
        },
        Err(Unreadable::Missing) => {
            if role == FileRole::Named {
                warnings.push(Warning::new(format!("{} does not exist; going on without it", path.display())));
            }
            FileState::Missing
        }
        Err(Unreadable::Failed(why)) => {
            warnings.push(Warning::new(format!("{} {why}; going on without it", path.display())));
            FileState::Failed(why.into())
        }
    };
    File { seen: FileSeen { role, path, state }, entries }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// Line, key (where the line has one) and reason.
fn syntax_error(text: &str, error: &toml::de::Error) -> String {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    let key = text.lines().nth(line - 1).and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
    let reason = error.message().replace('\n', ", ");
    one_line(match key.filter(|key| !key.is_empty() && key.len() <= 64) {
        Some(key) => format!("{line}: {key}: {reason}"),
        None => format!("{line}: {reason}"),
    })
}

struct Walk<'a> {
    path: &'a Path,
    text: &'a str,
    home: Option<&'a Path>,
    entries: &'a mut Vec<Entry>,
    warnings: &'a mut Vec<Warning>,
}

impl Walk<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key =
                if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
            let line = line_of(self.text, name.span().start);
            let is_table =
                || settings().any(|setting| setting.key.strip_prefix(&*key).is_some_and(|rest| rest.starts_with('.')));
            if let Some(setting) = by_key(&key) {
                let read = self.read(setting, value.get_ref());
                self.entries.push(Entry { setting, text: quotable(value.get_ref()), line, read });
            } else if let (DeValue::Table(table), true) = (value.get_ref(), is_table()) {
                self.table(&key, table);
            } else {
                let problem = if is_table() {
                    format!("{key} is of type {}, but must be a table; going on without it", value.get_ref().type_str())
                } else {
                    format!("unknown key {key:?}{}", suggest::hint(&key))
                };
                self.warnings.push(Warning::new(format!("{}:{line}: {problem}", self.path.display())));
            }
        }
    }

    fn read(&self, setting: &Setting, value: &DeValue<'_>) -> Read {
        let as_text = |text: &str| read(setting, Dialect::Plain, text);
        match (setting.kind, value) {
            (Kind::Path, DeValue::String(text)) => self.path_value(text),
            // Percent-encoding belongs to the variable; in a file the value stands as it is.
            (Kind::Headers, DeValue::Table(table)) => headers(table),
            (Kind::Tags, DeValue::Table(table)) => {
                let mut pairs = Vec::new();
                match flatten("", table, &mut pairs) {
                    Ok(()) => Read::good(Value::Pairs(in_order(pairs))),
                    Err(key) => Read::bad(format!("has {key:?}, which is neither text nor number nor truth value")),
                }
            }
            (Kind::Bool, DeValue::Boolean(truth)) => Read::good(Value::Bool(*truth)),
            (
                Kind::Number { .. }
                | Kind::Limit { .. }
                | Kind::Port
                | Kind::Bytes { .. }
                | Kind::Duration { .. }
                | Kind::Rate
                | Kind::PerSecond,
                DeValue::Integer(number),
            ) => match i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
                Ok(number) => as_text(&number.to_string()),
                Err(_) => as_text(number.as_str()),
            },
            (Kind::Rate, DeValue::Float(number)) => as_text(&number.as_str().replace('_', "")),
            (Kind::Rules, DeValue::Array(_)) => as_text(&json(value).to_string()),
            (Kind::Duration { .. }, DeValue::Float(seconds)) => as_text(&seconds.as_str().replace('_', "")),
            (Kind::Choice(names), DeValue::Boolean(truth)) if names.names.contains(&"true") => {
                as_text(&truth.to_string())
            }
            (Kind::Bool | Kind::Number { .. } | Kind::Limit { .. } | Kind::Port | Kind::Rate | Kind::PerSecond, _) => {
                wrong_type(setting.kind, value)
            }
            (Kind::List | Kind::Choices(_) | Kind::Tags, DeValue::Array(items)) => {
                let items: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
                match items {
                    // A list item may hold a comma, which the joined text could not.
                    Some(items) if setting.kind == Kind::List => {
                        Read::good(Value::List(items.iter().map(ToString::to_string).collect()))
                    }
                    Some(items) => as_text(&format!("{},", items.join(","))),
                    None => Read::bad("is a list of something other than texts"),
                }
            }
            (_, DeValue::String(text)) => as_text(text),
            _ => wrong_type(setting.kind, value),
        }
    }

    /// `~/` is the home directory; other relative paths begin where the file lies.
    fn path_value(&self, text: &str) -> Read {
        if text.is_empty() {
            return Read::NOTHING;
        }
        let path = match (text.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_), None) => return Read::bad("needs a home directory, and HOME is not set"),
            _ => self.path.parent().unwrap_or(Path::new("")).join(text),
        };
        Read::good(Value::Path(path))
    }
}

fn wrong_type(kind: Kind, value: &DeValue<'_>) -> Read {
    let expected = match kind {
        Kind::Bool => "true or false",
        Kind::Rate => "a number from 0 to 1 without quotes",
        Kind::Rules => "a list of tables or JSON in quotes",
        Kind::Number { .. } | Kind::Limit { .. } | Kind::Port | Kind::PerSecond => "a whole number without quotes",
        Kind::Bytes { .. } => "a number of bytes or text such as \"64MiB\"",
        Kind::Duration { .. } => "a number of seconds or text such as \"500ms\"",
        Kind::List | Kind::Choices(_) => "a list of texts",
        Kind::Tags | Kind::Headers => "a table",
        _ => "text in quotes",
    };
    Read::bad(format!("is of type {}, but must be {expected}", value.type_str()))
}

/// Rules that are tables, as what the variable would hold.
fn json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(name, value)| (name.get_ref().to_string(), json(value.get_ref()))).collect()
        }
        DeValue::Boolean(truth) => (*truth).into(),
        // Both spell decimal numbers alike but for the underscores, and TOML's `inf` and `nan` are none in JSON.
        DeValue::Integer(number) => match i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
            Ok(number) => number.into(),
            Err(_) => number.as_str().into(),
        },
        DeValue::Float(number) => match number.as_str().replace('_', "").parse::<f64>() {
            Ok(number) => number.into(),
            Err(_) => number.as_str().into(),
        },
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Datetime(time) => time.to_string().into(),
    }
}

/// Short values are quoted in messages; others are named by their line.
fn quotable(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().to_string()),
        DeValue::Float(number) => Some(number.as_str().to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Where the pair stands in the file, its key and its value.
type Placed = (usize, String, String);

/// Tables within the table are dotted keys, such as `git.commit.sha`. Errs with the key of a value that is no scalar.
fn flatten(prefix: &str, table: &DeTable<'_>, pairs: &mut Vec<Placed>) -> Result<(), String> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) => flatten(&key, inner, pairs)?,
            scalar => match quotable(scalar) {
                Some(text) => pairs.push((name.span().start, key, text)),
                None => return Err(key),
            },
        }
    }
    Ok(())
}

fn in_order(mut pairs: Vec<Placed>) -> Vec<(String, String)> {
    pairs.sort_by_key(|(place, ..)| *place);
    pairs.into_iter().map(|(_, key, value)| (key, value)).collect()
}

fn headers(table: &DeTable<'_>) -> Read {
    let mut pairs = Vec::new();
    if let Err(name) = flatten("", table, &mut pairs) {
        return Read::bad(format!("has {name:?}, which is not text"));
    }
    let pairs: Vec<_> = in_order(pairs)
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
        .collect();
    let (good, bad): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, value)| header_is_sendable(name, value));
    let complaint = bad.first().map(|(name, _)| format!("has the header {name:?}, which HTTP does not allow"));
    Read { value: (!good.is_empty()).then_some(Value::Pairs(good)), complaint }
}
