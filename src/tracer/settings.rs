//! What a tracer goes by.

use crate::config::Config;
use crate::propagation::{Propagation, Styles};
use crate::sampling::OwnedSampler;
use crate::semconv::SERVICE;
use crate::settings;
use crate::span::{Resource, SpanLimits, Value};
use std::borrow::Cow;
use std::string::{String, ToString};
use std::vec::Vec;

/// What a tracer goes by.
#[derive(Debug)]
pub struct Settings {
    /// The service, if somebody named one; else what the sidecar calls the run.
    pub service: Option<String>,
    /// The deployment environment, or empty.
    pub env: String,
    /// The program's language, as `telemetry.sdk.language` has it.
    pub language: &'static str,
    /// What records here, as far as the configuration says.
    pub resource: Resource,
    /// Whether new trace ids have 128 bits.
    pub trace_id_128_bit: bool,
    /// How much a span may hold.
    pub limits: SpanLimits,
    /// How contexts are written and read.
    pub propagation: Propagation,
    /// What decides whether a trace is kept.
    pub sampler: OwnedSampler,
    /// The keys of baggage that become tags `baggage.<key>` of local roots; `*` is all of them.
    pub baggage_tag_keys: Vec<String>,
}

impl Settings {
    /// What the configuration says, for a program in `language`.
    #[must_use]
    pub fn of(config: &Config, language: &'static str) -> Settings {
        let named = [
            (SERVICE, &config.service),
            ("service.version", &config.version),
            ("deployment.environment.name", &config.env),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_string(), value.clone()?)));
        let attribute = |(name, value): (String, String)| (Cow::Owned(name), Value::from(value));
        Settings {
            service: config.service.clone(),
            env: config.env.clone().unwrap_or_default(),
            language,
            resource: Resource { attributes: named.chain(config.tags.iter().cloned()).map(attribute).collect() },
            trace_id_128_bit: config.trace_id_128_bit,
            limits: config.span_limits,
            propagation: config.propagation,
            sampler: OwnedSampler::new(config.sampling.clone()),
            baggage_tag_keys: config.baggage_tag_keys.clone(),
        }
    }

    /// The name that a service's spans are sent under.
    #[must_use]
    pub fn service_as_sent<'a>(&'a self, service: &'a str) -> Cow<'a, str> {
        let renamed = self.sampler.sampler().service_names.get(service.as_bytes());
        renamed.map_or(Cow::Borrowed(service), String::from_utf8_lossy)
    }

    /// Whether baggage of that key becomes a tag of local roots.
    pub(crate) fn shows_baggage(&self, key: &str) -> bool {
        self.baggage_tag_keys.iter().any(|name| name == "*" || name == key)
    }

    /// What the launcher has told this process ([`settings::VARIABLE`]) and its environment has no words for: the name that
    /// it gave the run, and whose rules hold for the styles, if they are still those that it handed on.
    pub fn complete(&mut self, told: &[u8]) {
        let Some(told) = settings::Settings::parse(told) else { return };
        if self.service.is_none() && !told.service.is_empty() {
            let service = String::from_utf8_lossy(told.service).into_owned();
            self.resource.attributes.push((Cow::Borrowed(SERVICE), Value::from(service.clone())));
            self.service = Some(service);
        }
        // The variables of Datadog's tracers name only the styles that those know, and so the lists may be shorter.
        let known = |styles: Styles| styles.iter().filter(|style| style.is_known_to_datadog()).collect::<Styles>();
        let handed_on = |own: Styles, theirs: Styles| own == theirs || own == known(theirs);
        let (own, theirs) = (&mut self.propagation, told.propagation);
        if handed_on(own.inject, theirs.inject) && handed_on(own.extract, theirs.extract) {
            *own = theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, resolve};
    use crate::propagation::Dialect;
    use std::ffi::OsString;

    fn resolved(env: &[(OsString, OsString)]) -> crate::config::Resolution {
        resolve(&Sources { env: env.to_vec(), root: "/nonexistent".into(), ..Sources::default() })
    }

    #[test]
    fn a_program_under_the_launcher_decides_and_propagates_as_the_launcher_was_told() {
        for (name, value, dialect) in [
            ("OTEL_PROPAGATORS", "tracecontext,baggage", Dialect::OpenTelemetry),
            ("OTEL_PROPAGATORS", "tracecontext,jaeger", Dialect::OpenTelemetry),
            ("OTEL_PROPAGATORS", "xray", Dialect::OpenTelemetry),
            ("DD_TRACE_PROPAGATION_STYLE", "tracecontext", Dialect::Datadog),
            ("DD_TRACE_PROPAGATION_STYLE", "ottrace,datadog", Dialect::Datadog),
            ("OTEL_TRACES_SAMPLER", "always_off", Dialect::Datadog),
            ("OTEL_TRACES_SAMPLER", "parentbased_always_off", Dialect::Datadog),
            ("DD_TRACE_SAMPLING_RULES", r#"[{"resource":"GET *","sample_rate":0.5}]"#, Dialect::Datadog),
            ("DD_TRACE_SAMPLE_RATE", "0.25", Dialect::Datadog),
        ] {
            let mut env = Vec::from([(name.into(), value.into())]);
            let launchers = resolved(&env);
            env.extend(launchers.hand_on.iter().map(|(name, value)| (name.into(), value.into())));
            let config = &launchers.config;
            let (told, _) = settings::Given {
                service: "run",
                env: "",
                version: "",
                tags: &config.tags,
                trace_id_128_bit: config.trace_id_128_bit,
                native: config.native,
                propagation: &config.propagation,
                baggage_tags: &config.baggage_tag_keys,
                header_tags: &config.header_tags,
                client_address: config.client_address(),
                sampling: &config.sampling,
            }
            .to_text();
            let programs = resolved(&env).config;
            let mut settings = Settings::of(&programs, "rust");
            settings.complete(told.as_bytes());
            assert_eq!(settings.propagation, config.propagation, "{name}={value}");
            assert_eq!(settings.propagation.dialect, dialect, "{name}={value}");
            // What stands behind a rule for everything is never asked.
            let sampling = |config: &Config| (config.sampling.rules.clone(), config.sampling.respects_parent);
            assert_eq!(sampling(&programs), sampling(config), "{name}={value}");
            assert_eq!(settings.service.as_deref(), Some("run"));
        }
    }
}
