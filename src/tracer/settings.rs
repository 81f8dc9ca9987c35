//! What a tracer goes by.

use crate::config::Config;
use crate::propagation::Propagation;
use crate::sampling::OwnedSampler;
use crate::semconv::SERVICE;
use crate::span::{Resource, Value};
use std::borrow::Cow;
use std::string::{String, ToString};
use std::vec::Vec;

/// How much a span may hold. The defaults are OpenTelemetry's (`OTEL_*_LIMIT`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Attributes of a span; further ones are left out and counted.
    pub attributes: u32,
    /// Characters of a text in an attribute of a span; `None` is no limit.
    pub attribute_length: Option<u32>,
    /// Events of a span.
    pub events: u32,
    /// Links of a span.
    pub links: u32,
    /// Attributes of an event.
    pub event_attributes: u32,
    /// Attributes of a link.
    pub link_attributes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            attributes: 128,
            attribute_length: None,
            events: 128,
            links: 128,
            event_attributes: 128,
            link_attributes: 128,
        }
    }
}

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
    pub limits: Limits,
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
            limits: Limits::default(),
            propagation: config.propagation,
            sampler: OwnedSampler::new(config.sampling.clone()),
            baggage_tag_keys: config.baggage_tag_keys.clone(),
        }
    }
}
