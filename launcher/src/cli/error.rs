//! A command line that cannot be understood.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
use std::fmt;

/// The exit code of a failure of our own, as env(1), nohup(1) and timeout(1) have it.
///
/// It is far from the small numbers that programs use, so that a script can tell who failed.
pub const EXIT_OWN_FAILURE: i32 = 125;

/// What was wrong with the command line, for the user to read; the program was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    message: String,
    /// The subcommand whose help tells more, with a blank before it.
    subcommand: String,
}

impl UsageError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), subcommand: String::new() }
    }

    /// The code to exit with.
    #[must_use]
    pub const fn exit_code(&self) -> i32 {
        EXIT_OWN_FAILURE
    }

    /// Says what the parser found wrong with our `words`, of `subcommand` if there is one, and names the flag.
    pub(super) fn from_parser(error: &clap::Error, words: &[OsString], subcommand: Option<&str>) -> Self {
        let flag = text(error, ContextKind::InvalidArg).map(without_placeholder).unwrap_or_default();
        let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
        let mut message = match error.kind() {
            ErrorKind::UnknownArgument if flag.starts_with('-') => format!("unknown flag '{flag}'"),
            ErrorKind::UnknownArgument => format!("unexpected word '{flag}'"),
            ErrorKind::InvalidValue if value.is_empty() => format!("'{flag}' needs a value"),
            ErrorKind::InvalidValue => format!("'{flag}' cannot be '{value}'"),
            ErrorKind::ValueValidation => match std::error::Error::source(error) {
                Some(reason) => format!("'{flag}' cannot be '{value}': {reason}"),
                None => format!("'{flag}' cannot be '{value}'"),
            },
            ErrorKind::TooManyValues => format!("'{flag}' takes no value"),
            ErrorKind::ArgumentConflict => {
                let other = text(error, ContextKind::PriorArg).map(without_placeholder).unwrap_or_default();
                format!("'{flag}' and '{other}' exclude each other")
            }
            ErrorKind::InvalidUtf8 => match words.iter().find(|word| word.to_str().is_none()) {
                Some(word) => format!("{word:?} is not valid UTF-8"),
                None => "a flag is not valid UTF-8".to_owned(),
            },
            _ => first_line(error),
        };
        let suggestion = text(error, ContextKind::SuggestedArg).or_else(|| text(error, ContextKind::SuggestedValue));
        if let Some(suggestion) = suggestion {
            message.push_str(&format!("; did you mean '{suggestion}'?"));
        } else if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue)
            && !values.is_empty()
        {
            message.push_str(&format!("; it can be {}", values.join(", ")));
        }
        if error.kind() == ErrorKind::UnknownArgument && flag.starts_with('-') && subcommand.is_none() {
            message.push_str("\nFlags of ddtrace-run stand before the program; those of the program, after it.");
        }
        Self { message, subcommand: subcommand.map(|name| format!(" {name}")).unwrap_or_default() }
    }
}

impl fmt::Display for UsageError {
    /// Writes what was wrong and where to read more; one or more lines, the last without an end of line.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}\nTry 'ddtrace-run{} --help'.", self.message, self.subcommand)
    }
}

impl std::error::Error for UsageError {}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        ContextValue::Strings(texts) => texts.first().map(String::as_str),
        _ => None,
    }
}

/// `--service <NAME>` is `--service` to the user, who never typed the rest, and `[SHELL]` is the shell.
fn without_placeholder(flag: &str) -> &str {
    flag.split_once(" <").map_or(flag, |(flag, _)| flag).trim_matches(['[', ']'])
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
