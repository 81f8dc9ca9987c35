//! Resolving the configuration: a pure function of the [`Sources`] and the files they name.

use super::assemble::assemble;
use super::hand_on::hand_on;
use super::mask;
use super::pick::{Complaint, Opened, Pick, Picks};
use super::sources::{FileSeen, Origin, Sources, Warning};
use super::table::{Id, Setting, by_key};
use super::{Config, suggest};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// A setting, what it came to, and where that came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The setting.
    pub setting: &'static Setting,
    /// The value as text, without secrets; where there is none, what happens instead.
    pub value: String,
    /// Whether there is a value, be it the default.
    pub has_value: bool,
    /// Where it came from.
    pub origin: Origin,
}

/// The configuration and everything that is to be known about it.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// The values that count.
    pub config: Config,
    /// For each setting, in the order of the table, its value and where it came from.
    pub origins: Vec<Resolved>,
    /// Where the address of the OTLP receiver in `config` came from.
    pub otlp_origin: Origin,
    /// What was wrong; nothing of it stops anything.
    pub warnings: Vec<Warning>,
    /// Variables to set for the program, over those it has.
    pub hand_on: Vec<(String, String)>,
    /// The files that were looked for.
    pub files: Vec<FileSeen>,
}

impl Resolution {
    /// What a setting came to.
    ///
    /// # Panics
    /// Never: there is one entry for each setting.
    #[must_use]
    pub fn of(&self, id: Id) -> &Resolved {
        &self.origins[id as usize]
    }
}

/// Resolves the configuration. Reads files, but neither the environment nor the arguments of this process.
///
/// Precedence: command line, Datadog's fleet-managed file, `DD_*`, `OTEL_*`, the file named by `--config` or
/// `DD_TRACE_CONFIG_FILE`, the user's file, the system's file, Datadog's local stable configuration, the default. What
/// cannot be used is complained about and passed over.
#[must_use]
pub fn resolve(sources: &Sources) -> Resolution {
    let mut warnings = Vec::new();
    let mut complaints = Vec::new();
    let opened = Opened::open(sources, &mut warnings);
    let picks = opened.pick(&mut complaints);
    let assembled = assemble(&picks, sources, &mut warnings);
    let origins: Vec<Resolved> = picks
        .iter()
        .map(|pick| match pick.setting.id {
            // Several settings make one address; what came of them is shown.
            Id::AgentUrl => Resolved {
                setting: pick.setting,
                value: assembled.config.agent.url.to_string(),
                has_value: true,
                origin: assembled.agent_origin.clone(),
            },
            _ => Resolved {
                setting: pick.setting,
                value: shown(pick),
                has_value: pick.value.is_some(),
                origin: pick.origin.clone(),
            },
        })
        .collect();
    for (key, _) in &sources.cli {
        if by_key(key).is_none() {
            warnings.push(Warning::new(format!("command line: unknown setting {key:?}{}", suggest::hint(key))));
        }
    }
    for complaint in complaints {
        warnings.push(finished(&complaint, &picks, &origins));
    }
    config_file_of_opentelemetry(&opened, &mut warnings);
    let hand_on = if assembled.config.enabled { hand_on(&picks, &assembled.config, &opened.env) } else { Vec::new() };
    let mut files = Vec::with_capacity(5);
    files.push(opened.fleet.seen);
    files.extend(opened.files.into_iter().map(|file| file.seen));
    files.push(opened.stable.seen);
    Resolution { config: assembled.config, origins, otlp_origin: assembled.otlp_origin, warnings, hand_on, files }
}

fn shown(pick: &Pick) -> String {
    match &pick.value {
        Some(value) => mask::shown(pick.setting, value),
        None => pick.setting.unset.replace('`', ""),
    }
}

/// The sentence with what is used instead.
fn finished(complaint: &Complaint, picks: &Picks, origins: &[Resolved]) -> Warning {
    let pick = picks.get(complaint.id);
    let used = origins.get(complaint.id as usize).map_or("", |resolved| resolved.value.as_str());
    let used = if used.is_empty() { "\"\"" } else { used };
    // The origin is named where it is not the text complained about.
    let origin = pick.origin.to_string();
    if pick.origin == Origin::Default || complaint.sentence.starts_with(&origin) {
        Warning::new(format!("{}; using {used}", complaint.sentence))
    } else {
        Warning::new(format!("{}; using {used} ({origin})", complaint.sentence))
    }
}

/// OpenTelemetry SDKs ignore all other variables when a configuration file is named.
fn config_file_of_opentelemetry(opened: &Opened<'_>, warnings: &mut Vec<Warning>) {
    for name in ["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"] {
        if let Some(path) = opened.env.non_empty(name) {
            warnings.push(Warning::new(format!(
                "{name}={path:?} is for OpenTelemetry SDKs, not read here; an SDK in the program that reads it ignores \
                 every other OTEL_* variable, those handed on to it included, unless the file refers to them"
            )));
        }
    }
}
