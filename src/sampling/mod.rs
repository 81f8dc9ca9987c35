//! Which traces are kept, and which single spans of those that are not.
//!
//! The decision is taken once for each trace in a process, on the local root, as late as it can be: when the context
//! leaves the process, or when the trace is sent.
//!
//! In-process code: no allocation, no reachable panic.

use crate::context::{Mechanism, Priority};

/// What was decided about a trace, and by what: leaves its tags on the first span of each chunk.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Decision {
    /// Whether the trace is kept.
    pub priority: Priority,
    /// Who decided it.
    pub mechanism: Mechanism,
    /// The rate of the rule or of the Agent that was applied, 0 to 1: `_dd.rule_psr` or `_dd.agent_psr`, and `_dd.p.ksr`.
    pub rate: Option<f64>,
    /// The limiter's effective rate, 0 to 1, where it was asked: `_dd.limit_psr`.
    pub limit_rate: Option<f64>,
}

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
}

/// A span as rules see it: the local root as it is when the decision is taken, or a single span at its end.
pub trait Sampled {
    /// Its service.
    fn service(&self) -> &[u8];
    /// Its operation name.
    fn name(&self) -> &[u8];
    /// Its resource.
    fn resource(&self) -> &[u8];
    /// Its tag of that name.
    fn tag(&self, name: &[u8]) -> Option<TagValue<'_>>;
}
