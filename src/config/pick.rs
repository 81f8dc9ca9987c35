//! Which of the sources gives the value of each setting.

use super::file::{self, File};
use super::mask;
use super::parse::{Dialect, Read, read, read_otel};
use super::sources::{Environment, FileRole, Layer, Origin, Sources, Warning};
use super::stable::{self, StableFile};
use super::table::{COUNT, Id, Kind, Reading, Setting, settings};
use super::value::Value;
use std::ffi::OsStr;
use std::format;
use std::path::PathBuf;
use std::string::{String, ToString};
use std::time::Duration;
use std::vec::Vec;

/// What a setting came to.
#[derive(Debug)]
pub(crate) struct Pick {
    pub setting: &'static Setting,
    /// `None` where there is neither a value nor a default.
    pub value: Option<Value>,
    pub layer: Layer,
    pub origin: Origin,
    /// Whether it was found within the tags.
    pub from_tags: bool,
}

/// A text that could not be used as it stands.
#[derive(Debug)]
pub(crate) struct Complaint {
    pub id: Id,
    /// Name, text and what is wrong with it; what is used instead is known when all is resolved.
    pub sentence: String,
}

/// All settings, by their ids.
#[derive(Debug)]
pub(crate) struct Picks(Vec<Pick>);

impl Picks {
    pub(crate) fn get(&self, id: Id) -> &Pick {
        &self.0[id as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pick> {
        self.0.iter()
    }

    pub(crate) fn text(&self, id: Id) -> Option<&str> {
        match &self.get(id).value {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn name(&self, id: Id) -> &'static str {
        match self.get(id).value {
            Some(Value::Name(name)) => name,
            _ => "",
        }
    }

    pub(crate) fn names(&self, id: Id) -> &[&'static str] {
        match &self.get(id).value {
            Some(Value::Names(names)) => names,
            _ => &[],
        }
    }

    pub(crate) fn flag(&self, id: Id) -> bool {
        matches!(self.get(id).value, Some(Value::Bool(true)))
    }

    pub(crate) fn number(&self, id: Id) -> Option<u64> {
        match self.get(id).value {
            Some(Value::Number(number) | Value::Bytes(number)) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn duration(&self, id: Id) -> Duration {
        match self.get(id).value {
            Some(Value::Duration(duration)) => duration,
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn path(&self, id: Id) -> Option<PathBuf> {
        match &self.get(id).value {
            Some(Value::Path(path)) => Some(path.clone()),
            _ => None,
        }
    }

    pub(crate) fn pairs(&self, id: Id) -> &[(String, String)] {
        match &self.get(id).value {
            Some(Value::Pairs(pairs)) => pairs,
            _ => &[],
        }
    }
}

/// The sources, read.
pub(crate) struct Opened<'a> {
    sources: &'a Sources,
    pub env: Environment<'a>,
    pub fleet: StableFile,
    pub files: Vec<File>,
    pub stable: StableFile,
}

/// What one source says about a setting.
struct Candidate {
    layer: Layer,
    origin: Origin,
    read: Read,
    /// How a message names it, built only where there is something to complain about.
    subject: Option<String>,
    from_tags: bool,
}

/// The tags of one source.
struct TagSource {
    layer: Layer,
    origin: Origin,
    pairs: Vec<(String, String)>,
}

impl<'a> Opened<'a> {
    pub(crate) fn open(sources: &'a Sources, warnings: &mut Vec<Warning>) -> Self {
        let env = Environment::of(sources);
        let (fleet, stable) = stable::load_both(sources, &env, warnings);
        let files = file::load_all(sources, &env, warnings);
        Self { sources, env, fleet, files, stable }
    }

    /// Chooses the value of every setting.
    pub(crate) fn pick(&self, complaints: &mut Vec<Complaint>) -> Picks {
        let tags = self.tag_sources();
        let mut picks = Vec::with_capacity(COUNT);
        for setting in settings() {
            let mut candidates = self.candidates(setting);
            self.add_from_tags(setting, &tags, &mut candidates);
            if setting.id == Id::Tags && self.datadog_tags_are_set() {
                candidates.retain(|candidate| candidate.layer != Layer::OtelEnv);
            }
            let mut pick = first_usable(setting, candidates, complaints);
            pick.value = pick.value.map(|value| match value {
                Value::Path(path) => Value::Path(self.sources.absolute(path)),
                other => other,
            });
            picks.push(pick);
        }
        Picks(picks)
    }

    /// Everything that is said about a setting, strongest first.
    fn candidates(&self, setting: &'static Setting) -> Vec<Candidate> {
        let mut found = Vec::new();
        if let Some(text) = self.command_line(setting) {
            let read = read(setting, Dialect::Plain, &text);
            let subject = read
                .complaint
                .is_some()
                .then(|| format!("command line: {}={}", setting.key, mask::quoted(setting, &text)));
            found.push(Candidate {
                layer: Layer::CommandLine,
                origin: Origin::CommandLine,
                read,
                subject,
                from_tags: false,
            });
        }
        self.add_stable_file(&self.fleet, Layer::Fleet, setting, &mut found);
        for name in setting.dd {
            if let Some(value) = self.env.get(name) {
                let read = read_os(setting, value, |text| read(setting, Dialect::Datadog, text));
                found.push(of_variable(Layer::DatadogEnv, Origin::Env(name), setting, name, value, read));
            }
        }
        self.add_otel(setting, &mut found);
        for file in &self.files {
            let layer = match file.seen.role {
                FileRole::Named => Layer::NamedFile,
                FileRole::User => Layer::UserFile,
                _ => Layer::SystemFile,
            };
            // The parser refuses a key that is there twice.
            if let Some(entry) = file.entries.iter().find(|entry| entry.setting.id == setting.id) {
                let origin = Origin::File(file.seen.path.clone(), entry.line);
                let text =
                    entry.text.as_ref().map_or_else(String::new, |text| format!(" = {}", mask::quoted(setting, text)));
                let subject = entry.read.complaint.is_some().then(|| format!("{origin}: {}{text}", setting.key));
                found.push(Candidate { layer, origin, read: entry.read.clone(), subject, from_tags: false });
            }
        }
        self.add_stable_file(&self.stable, Layer::Stable, setting, &mut found);
        found
    }

    /// The last of equal keys; lists and tags add up.
    fn command_line(&self, setting: &Setting) -> Option<String> {
        let mut given = self.sources.cli.iter().filter(|(key, _)| key == setting.key).map(|(_, value)| value.as_str());
        if matches!(setting.kind, Kind::List | Kind::Choices(_) | Kind::Tags | Kind::Headers) {
            let all: Vec<&str> = given.collect();
            return match all.as_slice() {
                [] => None,
                [only] => Some((*only).into()),
                // The final comma keeps blanks from being taken for separators within a single item.
                several => Some(format!("{},", several.join(","))),
            };
        }
        given.next_back().map(ToString::to_string)
    }

    fn add_stable_file(&self, file: &StableFile, layer: Layer, setting: &'static Setting, found: &mut Vec<Candidate>) {
        for name in setting.dd {
            if let Some(text) = file.get(name) {
                let path = file.seen.path.clone();
                let read = read(setting, Dialect::Datadog, text);
                let subject = read
                    .complaint
                    .is_some()
                    .then(|| format!("{}: {name}={}", path.display(), mask::quoted(setting, text)));
                let origin = if layer == Layer::Fleet { Origin::FleetFile(path) } else { Origin::StableFile(path) };
                found.push(Candidate { layer, origin, read, subject, from_tags: false });
            }
        }
    }

    fn add_otel(&self, setting: &'static Setting, found: &mut Vec<Candidate>) {
        let first = found.len();
        for otel in setting.otel {
            if let Some(value) = self.env.get(otel.name) {
                let read = read_os(setting, value, |text| read_otel(setting, otel.reading, text));
                found.push(of_variable(Layer::OtelEnv, Origin::OtelEnv(otel.name), setting, otel.name, value, read));
            }
        }
        // Each of the switches of OpenTelemetry turns tracing off by itself, whatever the other says.
        if setting.otel.iter().any(|otel| otel.reading == Reading::Inverted)
            && let Some(candidates) = found.get_mut(first..)
        {
            candidates.sort_by_key(|candidate| candidate.read.value != Some(Value::Bool(false)));
        }
    }

    /// A set `DD_TAGS`, even an empty one, hides `OTEL_RESOURCE_ATTRIBUTES` as a whole.
    fn datadog_tags_are_set(&self) -> bool {
        self.fleet.get("DD_TAGS").is_some() || self.env.get("DD_TAGS").is_some()
    }

    /// The tags of every source, strongest first.
    fn tag_sources(&self) -> Vec<TagSource> {
        let hidden = self.datadog_tags_are_set();
        let setting = settings().find(|setting| setting.id == Id::Tags);
        let candidates = setting.map(|setting| self.candidates(setting)).unwrap_or_default();
        candidates
            .into_iter()
            .filter(|candidate| !(hidden && candidate.layer == Layer::OtelEnv))
            .filter_map(|candidate| match candidate.read.value {
                Some(Value::Pairs(pairs)) => {
                    Some(TagSource { layer: candidate.layer, origin: candidate.origin, pairs })
                }
                _ => None,
            })
            .collect()
    }

    /// What tags say about a setting counts after what the sources of the same rank say themselves: the command line
    /// and the environment are one rank, each file is one.
    fn add_from_tags(&self, setting: &'static Setting, tags: &[TagSource], found: &mut Vec<Candidate>) {
        if setting.tag.is_empty() {
            return;
        }
        for TagSource { layer, origin, pairs } in tags {
            let of_key = |key: &str| pairs.iter().find(|(present, _)| present == key).map(|(_, value)| value.as_str());
            let value = if *layer == Layer::OtelEnv {
                setting.resource.iter().find_map(|key| of_key(key))
            } else {
                of_key(setting.tag).or_else(|| setting.resource.iter().find_map(|key| of_key(key)))
            };
            if let Some(text) = value {
                let rank = (*layer).max(Layer::OtelEnv);
                let place = found.iter().position(|candidate| candidate.layer > rank).unwrap_or(found.len());
                let read = read(setting, Dialect::Plain, text);
                found.insert(
                    place,
                    Candidate { layer: *layer, origin: origin.clone(), read, subject: None, from_tags: true },
                );
            }
        }
    }
}

fn read_os(setting: &Setting, value: &OsStr, read: impl FnOnce(&str) -> Read) -> Read {
    match value.to_str() {
        Some(text) => read(text),
        None if setting.kind == Kind::Path => Read::good(Value::Path(PathBuf::from(value))),
        None => Read::bad("is not UTF-8"),
    }
}

fn of_variable(layer: Layer, origin: Origin, setting: &Setting, name: &str, value: &OsStr, read: Read) -> Candidate {
    let subject =
        read.complaint.is_some().then(|| format!("{name}={}", mask::quoted(setting, &value.to_string_lossy())));
    Candidate { layer, origin, read, subject, from_tags: false }
}

/// The first candidate with a value; what is wrong with it and with those before it is complained about.
fn first_usable(setting: &'static Setting, candidates: Vec<Candidate>, complaints: &mut Vec<Complaint>) -> Pick {
    for candidate in candidates {
        if let (Some(subject), Some(complaint)) = (&candidate.subject, &candidate.read.complaint) {
            complaints.push(Complaint { id: setting.id, sentence: format!("{subject} {complaint}") });
        }
        if candidate.read.value.is_some() {
            let Candidate { layer, origin, read, from_tags, .. } = candidate;
            return Pick { setting, value: read.value, layer, origin, from_tags };
        }
    }
    let value = if setting.default.is_empty() { None } else { read(setting, Dialect::Plain, setting.default).value };
    Pick { setting, value, layer: Layer::Default, origin: Origin::Default, from_tags: false }
}
