//! What the program's environment gets, so that tracers in it and in its children, of either dialect, agree.
//!
//! Handed on is what was set and is no secret. A variable that is there already stays, unless the command line or
//! Datadog's fleet-managed file overrules the environment.

mod resource;
mod styles;

use super::Config;
use super::mask::masked_url;
use super::parse::resource_items;
use super::pick::{Pick, Picks};
use super::sampling::{is_hidden, rate};
use super::sources::{Environment, Layer};
use super::table::{Id, Kind, Reading, Setting};
use super::value::Value;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// The variables to set.
pub(crate) fn hand_on(picks: &Picks, config: &Config, env: &Environment<'_>) -> Vec<(String, String)> {
    let mut given = Given { env, variables: Vec::new() };
    for pick in picks.iter().filter(|pick| pick.layer != Layer::Default && !pick.setting.secret) {
        let id = pick.setting.id;
        if is_hidden(picks, id) {
            continue;
        }
        if pick.setting.hand_on.datadog()
            && id != Id::AgentUrl
            && needs_datadog(pick, picks)
            && let Some(text) = datadog_text(pick, config)
        {
            given.put(pick.setting.dd, pick.setting.dd.first(), pick.layer, text);
        }
        let said_already = id == Id::Service && !pick.layer.overrules_environment() && given.otel_has_service();
        if pick.setting.hand_on.otel() && pick.layer != Layer::OtelEnv && id != Id::Tags && !said_already {
            given.put_otel(pick);
        }
    }
    given.sampler(picks);
    given.agent(picks, config);
    given.otlp_endpoint(picks, config);
    given.sides_of_propagation(picks);
    let attributes = env.non_empty(resource::VARIABLE).map(|value| value.to_str());
    given.variables.extend(resource::attributes(attributes, picks, config));
    // An escape in a file can make a zero byte, which no environment can carry.
    given.variables.retain(|(_, value)| !value.contains('\0'));
    given.variables
}

/// Whether Datadog's tracers would not find the value by themselves: they read `DD_*` and Datadog's files.
fn needs_datadog(pick: &Pick, picks: &Picks) -> bool {
    match pick.layer {
        Layer::Fleet | Layer::Stable => false,
        // A value within tags that are about to be replaced would go with them.
        Layer::DatadogEnv => pick.from_tags && picks.get(Id::Tags).layer.overrules_environment(),
        _ => true,
    }
}

struct Given<'a> {
    env: &'a Environment<'a>,
    variables: Vec<(String, String)>,
}

impl Given<'_> {
    /// Sets the strongest of the names that is there, or `new`.
    fn put(&mut self, names: &[&'static str], new: Option<&&'static str>, layer: Layer, text: String) {
        // An empty variable is none for OpenTelemetry, but a value for Datadog.
        let is_there = |name: &&&'static str| match self.env.get(name) {
            Some(value) => !value.is_empty() || name.starts_with("DD_"),
            None => false,
        };
        let name = match names.iter().find(is_there) {
            Some(name) if layer.overrules_environment() && self.env.get(name) != Some(text.as_ref()) => *name,
            Some(_) => return,
            None => match new {
                Some(name) => *name,
                None => return,
            },
        };
        self.variables.push((name.into(), text));
    }

    /// The general variable, unless the one of the signal is there, which would hide it.
    fn put_otel(&mut self, pick: &Pick) {
        let names: Vec<&'static str> = pick
            .setting
            .otel
            .iter()
            .filter(|otel| is_written(pick.setting, otel.reading))
            .map(|otel| otel.name)
            .collect();
        if let Some(text) = otel_text(pick) {
            self.put(&names, names.last(), pick.layer, text);
        }
    }

    /// Datadog's rate in OpenTelemetry's words, both variables or none.
    fn sampler(&mut self, picks: &Picks) {
        const NAMES: [&str; 2] = ["OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"];
        let overrules = picks.get(Id::SamplingRate).layer.overrules_environment();
        if let Some(rate) = rate(picks)
            && (overrules || self.env.non_empty(NAMES[0]).is_none())
        {
            for (name, value) in NAMES.iter().zip(["parentbased_traceidratio", rate]) {
                self.variables.push(((*name).into(), value.into()));
            }
        }
    }

    /// The Agent's address as a URL, which every tracer prefers to host and port, unless Datadog's tracers find it by
    /// themselves.
    fn agent(&mut self, picks: &Picks, config: &Config) {
        const NAME: &str = "DD_TRACE_AGENT_URL";
        let [url, host, port] = [Id::AgentUrl, Id::AgentHost, Id::AgentPort].map(|id| picks.get(id));
        let parts = host.layer.min(port.layer);
        let deciding = if url.layer <= parts { [url, url] } else { [host, port] };
        let overrules = url.layer.min(parts).overrules_environment();
        if deciding.iter().any(|pick| pick.layer != Layer::Default && needs_datadog(pick, picks))
            && (overrules || self.env.non_empty(NAME).is_none())
        {
            self.variables.push((NAME.into(), config.agent.url.to_string()));
        }
    }

    /// A base address that overrules the environment must not be hidden by the address of the signal in it.
    fn otlp_endpoint(&mut self, picks: &Picks, config: &Config) {
        const NAME: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        let base = picks.get(Id::OtlpEndpoint);
        let hidden = base.layer.overrules_environment()
            && base.layer < picks.get(Id::OtlpTracesEndpoint).layer
            && self.env.non_empty(NAME).is_some();
        if hidden && masked_url(&config.otlp.endpoint) == config.otlp.endpoint {
            self.variables.push((NAME.into(), config.otlp.endpoint.clone()));
        }
    }

    /// Styles that overrule the environment must not be hidden by those of one side in it.
    fn sides_of_propagation(&mut self, picks: &Picks) {
        let styles = picks.get(Id::PropagationStyles);
        for side in [Id::PropagationInject, Id::PropagationExtract].map(|id| picks.get(id)) {
            let name = side.setting.dd.first().filter(|name| self.env.get(name).is_some());
            let hidden = styles.layer.overrules_environment() && styles.layer < side.layer;
            let text = styles::written(picks.names(Id::PropagationStyles), &styles::OF_DATADOG);
            if let (Some(name), Some(text), true) = (name, text, hidden) {
                self.variables.push(((*name).into(), text));
            }
        }
    }

    /// `service.name` among the resource attributes is a statement of the user's that `OTEL_SERVICE_NAME` would hide.
    fn otel_has_service(&self) -> bool {
        let attributes = self.env.non_empty(resource::VARIABLE).and_then(|value| value.to_str()).unwrap_or("");
        resource_items(attributes).any(|(_, key, _)| key == "service.name")
    }
}

/// Of the variables that speak of a setting in a way of their own, only the choice of exporters is written.
fn is_written(setting: &Setting, reading: Reading) -> bool {
    reading == Reading::Plain || (setting.id == Id::Exporter && reading == Reading::ExporterChoice)
}

fn datadog_text(pick: &Pick, config: &Config) -> Option<String> {
    match pick.value.as_ref()? {
        Value::Pairs(_) if pick.setting.id == Id::Tags => datadog_tags(&config.tags),
        Value::Pairs(pairs) => datadog_tags(pairs),
        Value::Path(path) => path.to_str().map(ToString::to_string),
        // `none` voids all others to OpenTelemetry, and none to Datadog.
        Value::Names(names) if pick.layer == Layer::OtelEnv && names.contains(&"none") => Some("none".into()),
        Value::Names(names) => styles::written(names, &styles::OF_DATADOG),
        Value::Duration(duration) => Some(duration.as_secs_f64().to_string()),
        Value::Bytes(bytes) => Some(bytes.to_string()),
        other => Some(other.to_string()),
    }
}

fn otel_text(pick: &Pick) -> Option<String> {
    match pick.value.as_ref()? {
        Value::Names(names) if pick.setting.id == Id::PropagationStyles => {
            let is_theirs = pick.layer == Layer::OtelEnv;
            styles::written(names, if is_theirs { &styles::OF_OPENTELEMETRY } else { &styles::BUILT_IN })
        }
        // A program that prints its spans would mix them into its output.
        Value::Names(names) => names.contains(&"otlp").then(|| "otlp".into()),
        // An address with credentials or a query may be a secret.
        Value::Text(text) if pick.setting.kind == Kind::Endpoint && masked_url(text) != *text => None,
        Value::Text(text) if text.is_empty() => None,
        Value::Path(path) => path.to_str().map(ToString::to_string),
        Value::Duration(duration) => Some(duration.as_millis().to_string()),
        other => Some(other.to_string()),
    }
}

/// `None` if nothing of them can be written; a key or value with a separator in it cannot.
fn datadog_tags(tags: &[(String, String)]) -> Option<String> {
    let writable = |(key, value): &&(String, String)| !key.contains([':', ',']) && !value.contains(',');
    let items: Vec<String> = tags.iter().filter(writable).map(|(key, value)| format!("{key}:{value}")).collect();
    match items.as_slice() {
        [] => None,
        // Without any comma, blanks would separate.
        [only] if only.contains(' ') => Some(format!("{only},")),
        several => Some(several.join(",")),
    }
}
