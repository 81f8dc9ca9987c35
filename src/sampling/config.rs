//! What the configuration says about sampling, and what decides by it.

use super::handed_on::{HandedOn, SETTING_END};
use super::rules::{OwnedRules, digits};
use super::{Base, Limiter, Pairs, Sampler, SpanSampler};
use std::boxed::Box;
use std::format;
use std::string::{String, ToString};

/// Which traces are kept, and which single spans of those that are not; read and checked.
#[derive(Clone, PartialEq, Debug)]
pub struct SamplingConfig {
    /// The rules for traces; a global rate is the last of them.
    pub rules: OwnedRules,
    /// How many traces that a rule keeps are kept in a second; below 0 all, with 0 none.
    pub rate_limit: i64,
    /// What decides where no rule matches.
    pub base: Base,
    /// Whether a decision that came in with a trace stands.
    pub respects_parent: bool,
    /// The rules for single spans.
    pub span_rules: OwnedRules,
    /// The names that services are sent under, as text for [`Pairs::of_text`].
    pub service_names: String,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        SamplingConfig {
            rules: OwnedRules::default(),
            rate_limit: 100,
            base: Base::Agent,
            respects_parent: true,
            span_rules: OwnedRules::default(),
            service_names: String::new(),
        }
    }
}

impl SamplingConfig {
    /// Reads what [`SamplingConfig::to_compact`] has written; `None` for what is none.
    #[must_use]
    pub fn from_compact(text: &str) -> Option<SamplingConfig> {
        let read = HandedOn::parse(text.as_bytes())?;
        Some(SamplingConfig {
            rules: OwnedRules::from_compact(read.rules),
            rate_limit: read.rate_limit,
            base: read.base,
            respects_parent: read.respects_parent,
            span_rules: OwnedRules::from_compact(read.span_rules),
            service_names: String::from_utf8_lossy(read.service_names.as_text()).into_owned(),
        })
    }

    /// All of it as text that [`HandedOn::parse`](super::HandedOn::parse) reads: without a zero byte, so that an
    /// environment variable can carry it.
    #[must_use]
    pub fn to_compact(&self) -> String {
        let base = match self.base {
            Base::Agent => "a".into(),
            Base::Rate(rate) => format!("k{}", digits(rate)),
            Base::Ratio(ratio) => format!("o{}", digits(ratio)),
        };
        let parent = if self.respects_parent { "p" } else { "" };
        [
            &*base,
            &format!("{:016x}", self.rate_limit),
            parent,
            &self.rules.to_compact(),
            &self.span_rules.to_compact(),
            &self.service_names,
        ]
        .join(&*char::from(SETTING_END).to_string())
    }
}

/// A configuration, and the limiters that it needs. One for each process.
#[derive(Debug)]
pub struct OwnedSampler {
    config: SamplingConfig,
    limiter: Limiter,
    rule_limiters: Box<[Limiter]>,
    span_limiters: Box<[Limiter]>,
}

impl OwnedSampler {
    /// With full buckets.
    #[must_use]
    pub fn new(config: SamplingConfig) -> OwnedSampler {
        OwnedSampler {
            limiter: Limiter::new(config.rate_limit),
            rule_limiters: config.rules.limiters(),
            span_limiters: config.span_rules.limiters(),
            config,
        }
    }

    /// What decides about traces.
    #[must_use]
    #[inline]
    pub fn sampler(&self) -> Sampler<'_> {
        Sampler {
            rules: self.config.rules.as_set(),
            rule_limiters: &self.rule_limiters,
            limiter: &self.limiter,
            base: self.config.base,
            respects_parent: self.config.respects_parent,
            service_names: self.service_names(),
        }
    }

    /// What decides about single spans, with [`OwnedSampler::span_limiters`].
    #[must_use]
    pub fn span_sampler(&self) -> SpanSampler<'_> {
        SpanSampler { rules: self.config.span_rules.as_set(), service_names: self.service_names() }
    }

    fn service_names(&self) -> Pairs<'_> {
        Pairs::of_text(self.config.service_names.as_bytes())
    }

    /// The limiters of the rules for single spans.
    #[must_use]
    pub fn span_limiters(&self) -> &[Limiter] {
        &self.span_limiters
    }
}
