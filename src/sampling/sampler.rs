//! Taking the decision.

use super::{Decision, Limiter, Pairs, Rule, RuleSet, Sampled, TagValue, keeps, keeps_ratio, keeps_span};
use crate::context::{Mechanism, Priority};
use crate::ids::{SpanId, TraceId};

/// The sampling rates that an Agent has told.
pub trait AgentRates {
    /// The rate, 0 to 1, for new traces of a service in an environment: that under `service:<service>,env:<env>`, else
    /// that under `service:,env:`; `None` where there is neither.
    fn rate(&self, service: &[u8], env: &[u8]) -> Option<f64>;
}

/// No Agent has told any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRates;

impl AgentRates for NoRates {
    fn rate(&self, _service: &[u8], _env: &[u8]) -> Option<f64> {
        None
    }
}

/// What decides where no rule matches.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Base {
    /// The Agent's rates; everything is kept until there are some.
    #[default]
    Agent,
    /// A fixed rate, 0 to 1, by Datadog's arithmetic: OpenTelemetry's `always_on` (1), `always_off` (0) and
    /// `parentbased_traceidratio`.
    Rate(f64),
    /// A fixed ratio, 0 to 1, by OpenTelemetry's own arithmetic: its bare `traceidratio`, which is evaluated in every
    /// service and must come to the same there as in an OpenTelemetry SDK.
    Ratio(f64),
}

/// Decides about traces. Borrows everything; cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Sampler<'a> {
    /// The rules, first match first.
    pub rules: RuleSet<'a>,
    /// The limiter of each rule, by its index; consulted for rules with a limit of their own.
    pub rule_limiters: &'a [Limiter],
    /// What all traces that a rule has kept must also pass.
    pub limiter: &'a Limiter,
    /// What decides where no rule matches.
    pub base: Base,
    /// Whether a decision that came in with the trace stands. Where not, each local root is decided anew, by
    /// OpenTelemetry's bare samplers; what this process has propagated already is never changed.
    pub respects_parent: bool,
    /// Services that are sent under another name, and that name: rules and the Agent's rates are for what is sent.
    pub service_names: Pairs<'a>,
}

/// A span under the name of the service that it is sent with.
struct Renamed<'a> {
    span: &'a dyn Sampled,
    service: &'a [u8],
}

impl Sampled for Renamed<'_> {
    fn service(&self) -> &[u8] {
        self.service
    }

    fn name(&self) -> &[u8] {
        self.span.name()
    }

    fn resource(&self) -> &[u8] {
        self.span.resource()
    }

    fn tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        self.span.tag(name)
    }

    /// Not that which it is sent with.
    fn main_service(&self) -> &[u8] {
        self.span.main_service()
    }

    fn shared_tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        self.span.shared_tag(name)
    }
}

impl Sampler<'_> {
    /// Decides about a trace by its local root. `now_ns` is of a clock that never goes back.
    ///
    /// That it is called once for each trace, and not at all where a decision came in that is
    /// [respected](Sampler::respects_parent), is up to the caller.
    #[inline]
    pub fn decide(
        &self,
        trace_id: TraceId,
        root: &dyn Sampled,
        env: &[u8],
        rates: &dyn AgentRates,
        now_ns: u64,
    ) -> Decision {
        if !self.service_names.is_empty()
            && let Some(service) = self.service_names.get(root.service())
        {
            return self.decide_as_sent(trace_id, &Renamed { span: root, service }, env, rates, now_ns);
        }
        self.decide_as_sent(trace_id, root, env, rates, now_ns)
    }

    #[inline]
    fn decide_as_sent(
        &self,
        trace_id: TraceId,
        root: &dyn Sampled,
        env: &[u8],
        rates: &dyn AgentRates,
        now_ns: u64,
    ) -> Decision {
        if !self.rules.is_empty()
            && let Some(rule) = self.rules.find(root)
        {
            return self.by_rule(trace_id, &rule, now_ns);
        }
        match self.base {
            Base::Agent => match rates.rate(root.service(), env_of(root).unwrap_or(env)) {
                Some(rate) => Decision {
                    priority: if keeps(trace_id, rate) { Priority::AUTO_KEEP } else { Priority::AUTO_REJECT },
                    mechanism: Mechanism::AGENT_RATE,
                    rate: Some(rate),
                    limit_rate: None,
                },
                None => Decision {
                    priority: Priority::AUTO_KEEP,
                    mechanism: Mechanism::DEFAULT,
                    rate: None,
                    limit_rate: None,
                },
            },
            Base::Rate(rate) => by_user(keeps(trace_id, rate), Mechanism::LOCAL_RULE, Some(rate), None),
            // A rate would claim that Datadog's arithmetic had decided.
            Base::Ratio(ratio) => by_user(keeps_ratio(trace_id, ratio), Mechanism::LOCAL_RULE, None, None),
        }
    }

    /// What the application said itself, by `manual.keep` or `manual.drop`.
    #[must_use]
    pub fn manual(keep: bool) -> Decision {
        by_user(keep, Mechanism::MANUAL, None, None)
    }

    fn by_rule(&self, trace_id: TraceId, rule: &Rule, now_ns: u64) -> Decision {
        if !keeps(trace_id, rule.rate) {
            return by_user(false, rule.mechanism, Some(rule.rate), None);
        }
        let own = rule.max_per_second.and_then(|_| self.rule_limiters.get(rule.index));
        let (mut kept, mut effective) = own.map_or((true, 1.0), |limiter| limiter.allow(now_ns));
        if kept {
            let (allowed, rate) = self.limiter.allow(now_ns);
            kept = allowed;
            effective *= rate;
        }
        by_user(kept, rule.mechanism, Some(rule.rate), Some(effective))
    }
}

/// The environment that a span is sent with, where it says one of its own.
fn env_of(span: &dyn Sampled) -> Option<&[u8]> {
    match span.tag(b"env")? {
        TagValue::Text(env) => Some(env),
        _ => None,
    }
}

fn by_user(keep: bool, mechanism: Mechanism, rate: Option<f64>, limit_rate: Option<f64>) -> Decision {
    let priority = if keep { Priority::USER_KEEP } else { Priority::USER_REJECT };
    Decision { priority, mechanism, rate, limit_rate }
}

/// A single span that is kept although its trace is not: leaves `_dd.span_sampling.mechanism` (8),
/// `_dd.span_sampling.rule_rate` and, with a limit, `_dd.span_sampling.max_per_second` on it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SpanDecision {
    /// The rate of the rule, 0 to 1.
    pub rule_rate: f64,
    /// The rule's limit, in spans a second.
    pub max_per_second: Option<f64>,
}

/// Decides about single spans, when the trace is sent and its priority is not above 0.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SpanSampler<'a> {
    /// The rules, first match first.
    pub rules: RuleSet<'a>,
    /// [`Sampler::service_names`].
    pub service_names: Pairs<'a>,
}

impl SpanSampler<'_> {
    /// Decides about a span. Rules with a limit take a token from the limiter at their index. `None`: it is not kept.
    pub fn decide(
        &self,
        span_id: SpanId,
        span: &dyn Sampled,
        limiters: &[Limiter],
        now_ns: u64,
    ) -> Option<SpanDecision> {
        let rule = match self.service_names.get(span.service()) {
            Some(service) => self.rules.find(&Renamed { span, service }),
            None => self.rules.find(span),
        }?;
        let limiter = rule.max_per_second.and_then(|_| limiters.get(rule.index));
        let kept = keeps_span(span_id, rule.rate) && limiter.is_none_or(|limiter| limiter.allow(now_ns).0);
        kept.then_some(SpanDecision { rule_rate: rule.rate, max_per_second: rule.max_per_second })
    }
}
