//! `--info`: what is resolved, where it came from, what is reachable, and what is wrong.
//!
//! Made once as a [`Report`]; shown to people by [`Report::text`], to programs by [`Report::json`].

mod probe;
mod text;

use ddtrace::config::{Exporter, FileState, Origin, Resolution, masked_tag, masked_url};
use nix::unistd::{AccessFlags, access};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the report needs to know besides the configuration.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The version of this program.
    pub version: String,
    /// The preload library, and where else it was looked for if it is not there.
    pub preload: PathBuf,
    /// The directory that Pythons load our package from.
    pub python: PathBuf,
    /// The directory of store, spool and log that will be used.
    pub state_dir: PathBuf,
    /// The file that the sidecar will log to.
    pub log_file: PathBuf,
    /// Whether processes would become spans, and why.
    pub process_spans: (bool, String),
    /// The longest that backends are waited for; at most a second makes sense.
    pub probe_limit: Duration,
}

/// Everything that `--info` tells. The fields are those of its JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of this program.
    pub version: String,
    /// Whether anything is traced.
    pub enabled: bool,
    /// The backends, used or not.
    pub destinations: Vec<Destination>,
    /// The library that is put into native programs.
    pub preload: Place,
    /// The directory that Pythons load our package from.
    pub python: Place,
    /// The directory of store, spool and log.
    pub state_dir: Place,
    /// The file that the sidecar logs to.
    pub log_file: Place,
    /// Whether processes become spans.
    pub process_spans: Decision,
    /// What is to be said of the program that was named, if one was.
    pub target: Option<String>,
    /// Every setting with its value and origin.
    pub settings: Vec<Setting>,
    /// The configuration files, strongest first.
    pub files: Vec<File>,
    /// Variables that the program gets besides those it has.
    pub handed_on: BTreeMap<String, String>,
    /// What keeps tracing from working.
    pub errors: Vec<String>,
    /// What was not right in the configuration.
    pub warnings: Vec<String>,
    /// What would make traces more useful.
    pub hints: Vec<String>,
}

/// A variable's value: lists of names and values lose the values of secrets.
fn without_secrets(value: &str) -> String {
    let item = |item: &str| match item.split_once([':', '=']) {
        Some((name, text)) if masked_tag(name.trim(), text) != text => {
            format!("{name}{}{}", &item[name.len()..=name.len()], masked_tag(name.trim(), text))
        }
        _ => item.to_owned(),
    };
    value.split(',').map(item).collect::<Vec<_>>().join(",")
}

/// A backend.
#[derive(Clone, Debug, Serialize)]
pub struct Destination {
    /// `datadog`, `otlp`, `local` or `console`.
    pub exporter: &'static str,
    /// Where it is.
    pub address: String,
    /// Where the address came from.
    pub origin: String,
    /// Whether spans would go there now.
    pub used: bool,
    /// Whether it answered; `None` where there is nothing to ask.
    pub reachable: Option<bool>,
    /// What it said, or why it did not.
    pub detail: String,
}

/// A file or directory.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// Where it is.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Whether it can be used.
    pub usable: bool,
    /// Why not.
    pub problem: Option<String>,
}

/// Something that was decided.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    /// What.
    pub on: bool,
    /// Why.
    pub reason: String,
}

/// A setting.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// Its key in `ddtrace.toml`.
    pub key: &'static str,
    /// Its value as text, masked if it is secret; `null` where there is neither a value nor a default.
    pub value: Option<String>,
    /// What happens where there is no value, in words.
    pub otherwise: Option<String>,
    /// The kind of source: `command_line`, `fleet_file`, `env`, `otel_env`, `file`, `stable_file` or `default`.
    pub source: &'static str,
    /// The source by name.
    pub origin: String,
}

/// A configuration file.
#[derive(Clone, Debug, Serialize)]
pub struct File {
    /// What it is for.
    pub role: String,
    /// Where it is.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// `read`, `missing` or `failed`.
    pub state: &'static str,
    /// Why it failed.
    pub problem: Option<String>,
}

/// JSON has no paths that are not UTF-8; the rest of the report is worth more than their exact bytes.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// Asks the backends and looks at the files.
#[must_use]
pub fn report(resolution: &Resolution, facts: &Facts) -> Report {
    let mut report = Report {
        target: None,
        version: facts.version.clone(),
        enabled: resolution.config.enabled,
        destinations: destinations(resolution, facts),
        preload: readable(&facts.preload),
        python: readable(&facts.python),
        state_dir: writable(&facts.state_dir),
        log_file: writable(&facts.log_file),
        process_spans: Decision { on: facts.process_spans.0, reason: facts.process_spans.1.clone() },
        settings: settings(resolution),
        files: files(resolution),
        handed_on: resolution.hand_on.iter().map(|(name, value)| (name.clone(), without_secrets(value))).collect(),
        errors: Vec::new(),
        warnings: resolution.warnings.iter().map(|warning| warning.message.clone()).collect(),
        hints: hints(resolution),
    };
    report.errors = errors(&report, resolution);
    report
}

impl Report {
    /// For people; `colours` only if they look at a terminal that has them.
    #[must_use]
    pub fn text(&self, colours: bool) -> String {
        text::render(self, colours)
    }

    /// For programs: one JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        // Text, truth values and lists of them: nothing in it can fail to be written.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

fn destinations(resolution: &Resolution, facts: &Facts) -> Vec<Destination> {
    let config = &resolution.config;
    let configured = config.configured_exporters();
    let (agent, otlp) = probe::both(config, facts.probe_limit);
    let used = if !config.enabled {
        Vec::new()
    } else if !configured.is_empty() {
        configured
    } else if agent.answered {
        vec![Exporter::Datadog]
    } else if otlp.answered {
        vec![Exporter::Otlp]
    } else {
        vec![Exporter::Local]
    };
    let agent_origin = &resolution.of(ddtrace::config::table::Id::AgentUrl).origin;
    vec![
        Destination {
            exporter: "datadog",
            address: config.agent.url.to_string(),
            origin: agent_origin.to_string(),
            used: used.contains(&Exporter::Datadog),
            reachable: Some(agent.answered),
            detail: agent.detail,
        },
        Destination {
            exporter: "otlp",
            address: masked_url(&config.otlp.endpoint),
            origin: resolution.otlp_origin.to_string(),
            used: used.contains(&Exporter::Otlp),
            reachable: Some(otlp.answered),
            detail: otlp.detail,
        },
        Destination {
            exporter: "local",
            address: facts.state_dir.display().to_string(),
            origin: resolution.of(ddtrace::config::table::Id::StateDir).origin.to_string(),
            used: used.contains(&Exporter::Local),
            reachable: None,
            detail: "kept on this host, to be looked at with ddtrace-run view".into(),
        },
        Destination {
            exporter: "console",
            address: "standard error".into(),
            origin: Origin::Default.to_string(),
            used: used.contains(&Exporter::Console),
            reachable: None,
            detail: "shown after the end of the program".into(),
        },
    ]
}

fn settings(resolution: &Resolution) -> Vec<Setting> {
    let of_source = |origin: &Origin| match origin {
        Origin::CommandLine => "command_line",
        Origin::FleetFile(_) => "fleet_file",
        Origin::Env(_) => "env",
        Origin::OtelEnv(_) => "otel_env",
        Origin::File(..) => "file",
        Origin::StableFile(_) => "stable_file",
        Origin::Default => "default",
    };
    resolution
        .origins
        .iter()
        .map(|resolved| Setting {
            key: resolved.setting.key,
            value: resolved.has_value.then(|| resolved.value.clone()),
            otherwise: (!resolved.has_value).then(|| resolved.value.clone()),
            source: of_source(&resolved.origin),
            origin: resolved.origin.to_string(),
        })
        .collect()
}

fn files(resolution: &Resolution) -> Vec<File> {
    resolution
        .files
        .iter()
        .map(|seen| {
            let (state, problem) = match &seen.state {
                FileState::Read => ("read", None),
                FileState::Missing => ("missing", None),
                FileState::Failed(why) => ("failed", Some(why.clone())),
            };
            File { role: seen.role.to_string(), path: seen.path.clone(), state, problem }
        })
        .collect()
}

fn hints(resolution: &Resolution) -> Vec<String> {
    let config = &resolution.config;
    let is_empty = |value: &Option<String>| value.as_deref().is_none_or(str::is_empty);
    [
        (&config.service, "SERVICE NOT SET: it is inferred from the program; name it with DD_SERVICE"),
        (&config.env, "ENV NOT SET: traces of different environments mix; name it with DD_ENV"),
        (&config.version, "VERSION NOT SET: releases cannot be told apart; name it with DD_VERSION"),
    ]
    .into_iter()
    .filter(|(value, _)| is_empty(value))
    .map(|(_, hint)| hint.to_string())
    .collect()
}

fn errors(report: &Report, resolution: &Resolution) -> Vec<String> {
    let mut errors = Vec::new();
    for destination in report.destinations.iter().filter(|it| it.used && it.reachable == Some(false)) {
        let name = if destination.exporter == "otlp" { "OTLP receiver" } else { "Datadog Agent" };
        errors.push(format!(
            "{name} not reachable at {} ({}); spans wait on disk until it is",
            destination.address, destination.detail
        ));
    }
    let otlp = &resolution.config.otlp;
    let pem = [
        ("certificate", &otlp.certificate),
        ("client key", &otlp.client_key),
        ("client certificate", &otlp.client_certificate),
    ];
    for (what, path) in pem {
        if let Some(problem) = path.as_deref().map(readable).and_then(|place| place.problem) {
            errors.push(format!("OTLP {what}: {problem}"));
        }
    }
    let places = [
        ("preload library", &report.preload, "native programs are not traced"),
        ("Python package", &report.python, "Python programs are traced as native ones are"),
        ("state directory", &report.state_dir, "what cannot be delivered is kept in memory and may be lost"),
        ("sidecar's log", &report.log_file, "the sidecar cannot tell what goes wrong"),
    ];
    for (what, place, consequence) in places {
        if let Some(problem) = &place.problem {
            errors.push(format!("{what}: {problem}; {consequence}"));
        }
    }
    errors
}

fn readable(path: &Path) -> Place {
    place(path, path, AccessFlags::R_OK, "cannot be read")
}

/// A place that does not exist yet can be used if it can be made.
fn writable(path: &Path) -> Place {
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
    let flags = if existing.is_dir() { AccessFlags::W_OK | AccessFlags::X_OK } else { AccessFlags::W_OK };
    if existing != path && !existing.is_dir() {
        let problem = format!("{} is not a directory", existing.display());
        return Place { path: path.into(), usable: false, problem: Some(problem) };
    }
    place(path, existing, flags, "cannot be written")
}

fn place(path: &Path, existing: &Path, flags: AccessFlags, complaint: &str) -> Place {
    let problem =
        access(existing, flags).err().map(|error| format!("{} {complaint} ({})", existing.display(), error.desc()));
    Place { path: path.into(), usable: problem.is_none(), problem }
}

#[cfg(test)]
mod tests;
