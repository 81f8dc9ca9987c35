//! How the two families of sampling settings combine: Datadog's rules and rate, and OpenTelemetry's sampler.
//!
//! Rules are asked first, then the rate, then the sampler. A sampler of a stronger source than the rules or the rate
//! stands alone.

use super::mask;
use super::pick::{Pick, Picks};
use super::sources::{Layer, Origin, Unreadable, Warning, read_regular_file};
use super::table::Id;
use super::value::Value;
use crate::sampling::rules::{OwnedRules, check_json, parse_json, parse_span_json};
use crate::sampling::{Base, Pairs, SamplingConfig};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// Far beyond any real one, and still read at once.
const FILE_LIMIT: u64 = 1 << 20;

pub(crate) fn sampling(picks: &Picks, warnings: &mut Vec<Warning>) -> SamplingConfig {
    let mut warn = |message: String| warnings.push(Warning::new(message));
    let sampler = picks.get(Id::Sampler);
    for id in [Id::SamplingRules, Id::SamplingRate] {
        let pick = picks.get(id);
        if pick.layer != Layer::Default && is_hidden(picks, id) {
            warn(format!("{} is of a weaker source than {}; going on without it", name(pick), quoted(sampler)));
        }
    }
    let rules = trace_rules(picks, &mut warn);
    let limit = picks.get(Id::SamplingRateLimit);
    if rules.as_set().is_empty() && limit.layer != Layer::Default {
        warn(format!("{} has no effect without sampling rules or a sampling rate", quoted(limit)));
    }
    let (base, respects_parent) = base(picks, !rules.as_set().is_empty(), &mut warn);
    SamplingConfig {
        rules,
        rate_limit: match limit.value {
            Some(Value::Integer(limit)) => limit,
            _ => SamplingConfig::default().rate_limit,
        },
        base,
        respects_parent,
        span_rules: span_rules(picks, &mut warn),
        service_names: Pairs::to_text(picks.pairs(Id::ServiceMapping)),
    }
}

/// Whether a setting is without effect because of another one, and would mislead the children.
pub(crate) fn is_hidden(picks: &Picks, id: Id) -> bool {
    let layer = |id| picks.get(id).layer;
    let is_set = |id| layer(id) != Layer::Default;
    match id {
        Id::SamplingRules | Id::SamplingRate => layer(Id::Sampler) < layer(id),
        // The rate leaves nothing for it.
        Id::Sampler | Id::SamplerArgument => is_set(Id::SamplingRate) && layer(Id::SamplingRate) <= layer(Id::Sampler),
        Id::SpanSamplingRules => layer(Id::SpanSamplingRulesFile) < layer(id),
        Id::SpanSamplingRulesFile => is_set(Id::SpanSamplingRules) && layer(Id::SpanSamplingRules) <= layer(id),
        _ => false,
    }
}

/// The rate in force, as text.
pub(crate) fn rate(picks: &Picks) -> Option<&str> {
    if is_hidden(picks, Id::SamplingRate) { None } else { picks.text(Id::SamplingRate) }
}

fn trace_rules(picks: &Picks, warn: &mut impl FnMut(String)) -> OwnedRules {
    let mut rules = OwnedRules::default();
    if let (Some(text), false) = (picks.text(Id::SamplingRules), is_hidden(picks, Id::SamplingRules)) {
        let (read, complaints) = parse_json(text);
        rules = read;
        tell(&name(picks.get(Id::SamplingRules)), complaints, warn);
    }
    match rate(picks).and_then(|rate| rate.parse().ok()) {
        Some(rate) => rules.with_last(rate),
        None => rules,
    }
}

fn tell(name: &str, complaints: Vec<String>, warn: &mut impl FnMut(String)) {
    for complaint in complaints {
        warn(format!("{name}: {complaint}"));
    }
}

/// What OpenTelemetry's sampler comes to, and whether a decision that came in stands.
fn base(picks: &Picks, has_rules: bool, warn: &mut impl FnMut(String)) -> (Base, bool) {
    let pick = picks.get(Id::Sampler);
    let name = picks.name(Id::Sampler);
    let (is_bare, kind) = match name.strip_prefix("parentbased_") {
        Some(kind) => (false, kind),
        None => (name != "xray", name),
    };
    // Datadog's rules never overrule a decision that came in, and one process has one answer to that.
    let respects_parent = !is_bare || has_rules;
    let prefix = if respects_parent { "parentbased_" } else { "" };
    let (ratio, acts_as) = match kind {
        "always_on" => (1.0, kind),
        "always_off" => (0.0, kind),
        "traceidratio" => (ratio(picks, picks.text(Id::SamplerArgument), warn), kind),
        "jaeger_remote" => {
            let ratio = ratio(picks, picks.text(Id::SamplerArgument).and_then(initial_rate), warn);
            warn(format!(
                "{} would fetch its rates from Jaeger, which is not done; using {prefix}traceidratio with {ratio}",
                quoted(pick)
            ));
            (ratio, "traceidratio")
        }
        "xray" => {
            warn(format!(
                "{} would fetch its rules from AWS X-Ray, which is not done; using parentbased_always_on",
                quoted(pick)
            ));
            (1.0, "always_on")
        }
        _ => return (Base::Agent, true),
    };
    if is_bare && has_rules {
        warn(format!(
            "{} overrules the parent's decision, which rules do not; using parentbased_{acts_as}",
            quoted(pick)
        ));
    }
    let base = if !respects_parent && acts_as == "traceidratio" { Base::Ratio(ratio) } else { Base::Rate(ratio) };
    (base, respects_parent)
}

/// `initialSamplingRate` of `endpoint=…,pollingIntervalMs=…,initialSamplingRate=…`.
fn initial_rate(argument: &str) -> Option<&str> {
    argument.split(',').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key.trim() == "initialSamplingRate").then_some(value)
    })
}

/// The specification's default for a missing one is 1, and so is what SDKs take for one that they cannot use.
fn ratio(picks: &Picks, text: Option<&str>, warn: &mut impl FnMut(String)) -> f64 {
    let Some(text) = text.map(str::trim) else { return 1.0 };
    match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
        _ => {
            warn(format!("{} is not a ratio from 0 to 1; using 1", quoted(picks.get(Id::SamplerArgument))));
            1.0
        }
    }
}

fn span_rules(picks: &Picks, warn: &mut impl FnMut(String)) -> OwnedRules {
    let [rules, file] = [Id::SpanSamplingRules, Id::SpanSamplingRulesFile].map(|id| picks.get(id));
    for (pick, other) in [(rules, file), (file, rules)] {
        // Within one file the one is what the other falls back to.
        let is_fallback = matches!(pick.origin, Origin::File(..)) && pick.layer == other.layer;
        if pick.layer != Layer::Default && is_hidden(picks, pick.setting.id) && !is_fallback {
            warn(format!("{} is not read, as there is {}", name(pick), name(other)));
        }
    }
    if let (Some(path), false) = (picks.path(Id::SpanSamplingRulesFile), is_hidden(picks, Id::SpanSamplingRulesFile)) {
        let text = match read_regular_file(&path, FILE_LIMIT) {
            Ok(text) => text,
            Err(unreadable) => {
                let why = match unreadable {
                    Unreadable::Missing => "does not exist".into(),
                    Unreadable::Failed(why) => why.to_string(),
                };
                warn(format!("{} {why}; going on without rules for single spans", quoted(file)));
                return OwnedRules::default();
            }
        };
        let (rules, complaints) = match check_json(&text) {
            Ok(()) => parse_span_json(&text),
            Err(why) => {
                warn(format!("{} {why}; going on without rules for single spans", path.display()));
                return OwnedRules::default();
            }
        };
        tell(&path.display().to_string(), complaints, warn);
        return rules;
    }
    match picks.text(Id::SpanSamplingRules) {
        Some(text) => {
            let (read, complaints) = parse_span_json(text);
            tell(&name(rules), complaints, warn);
            read
        }
        None => OwnedRules::default(),
    }
}

/// A variable's name, or file, line and key.
fn name(pick: &Pick) -> String {
    match pick.origin {
        Origin::Env(name) | Origin::OtelEnv(name) => name.into(),
        _ => format!("{}: {}", pick.origin, pick.setting.key),
    }
}

/// Name and value.
fn quoted(pick: &Pick) -> String {
    let value = pick.value.as_ref().map_or_else(String::new, ToString::to_string);
    let equals = if matches!(pick.origin, Origin::Env(_) | Origin::OtelEnv(_)) { "=" } else { " = " };
    format!("{}{equals}{}", name(pick), mask::quoted(pick.setting, &value))
}
