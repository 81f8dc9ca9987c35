//! Which traces are kept, and which single spans of those that are not.
//!
//! The decision is taken once for each trace in a process, on the local root, as late as it can be: when the context
//! leaves the process, or when the trace is sent. [`Sampler`] takes it; what it decides by is borrowed, so that the
//! preload can hold it in a mapped page and everything else in an [`OwnedSampler`]:
//!
//! - [`RuleSet`], the rules, in a compact form that is matched without parsing ([`Sampled`] is what they see);
//! - [`Limiter`], how many of the traces that a rule keeps are kept in a second;
//! - [`Base`] and [`AgentRates`], what decides where no rule matches.
//!
//! [`SpanSampler`] keeps single spans of traces that are not kept. `docs/sampling.md` tells all of it to users.
//!
//! In-process code: no allocation, no reachable panic. With feature `std` there is also what reads a configuration
//! ([`rules`], [`SamplingConfig`]) and the Agent's answer ([`AgentRateTable`]).

#[cfg(feature = "std")]
mod agent_rates;
#[cfg(feature = "std")]
mod config;
mod decision;
mod glob;
mod handed_on;
mod hash;
mod limiter;
mod pairs;
mod rule_set;
#[cfg(feature = "std")]
pub mod rules;
mod sampler;
mod sent;
#[cfg(test)]
mod tests;

#[cfg(feature = "std")]
pub use agent_rates::AgentRateTable;
#[cfg(feature = "std")]
pub use config::{OwnedSampler, SamplingConfig};
pub use decision::Decision;
pub use handed_on::HandedOn;
pub use hash::{keeps, keeps_ratio, keeps_span, rate_text};
pub use limiter::Limiter;
pub use pairs::Pairs;
pub use rule_set::{Rule, RuleSet, RuleSpan};
pub use sampler::{AgentRates, Base, NoRates, Sampler, SpanDecision, SpanSampler};
#[cfg(feature = "std")]
pub(crate) use sent::{has_version, is_users_own};
#[cfg(test)]
pub(crate) use sent::tag as sent_tag;

/// The value of a tag, as rules see it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum TagValue<'a> {
    /// Text.
    Text(&'a [u8]),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A list, which how it is written depends on the receiver: only wildcards match it.
    List,
}

/// A span as rules see it: the local root as it is when the decision is taken, or a single span at its end.
pub trait Sampled {
    /// Its service.
    fn service(&self) -> &[u8];
    /// Its operation name.
    fn name(&self) -> &[u8];
    /// Its resource.
    fn resource(&self) -> &[u8];
    /// The tag of that name that it says itself.
    fn tag(&self, name: &[u8]) -> Option<TagValue<'_>>;
    /// The service of the process that makes it, whose version only spans of that service have.
    fn main_service(&self) -> &[u8] {
        self.service()
    }
    /// What that process says of all its spans under this name: `env`, `version`, or an attribute of its resource. Which of
    /// them are sent as tags is not up to it.
    fn shared_tag(&self, _name: &[u8]) -> Option<TagValue<'_>> {
        None
    }
}
