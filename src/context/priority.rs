//! Whether a trace is kept, and who decided it: Datadog's sampling priority and mechanism.

/// A sampling priority. Four values have a meaning, others are carried through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Priority(pub i32);

impl Priority {
    /// A rule or a person dropped it.
    pub const USER_REJECT: Priority = Priority(-1);
    /// The sampler dropped it.
    pub const AUTO_REJECT: Priority = Priority(0);
    /// The sampler kept it.
    pub const AUTO_KEEP: Priority = Priority(1);
    /// A rule or a person kept it.
    pub const USER_KEEP: Priority = Priority(2);

    /// Whether the trace is kept.
    #[must_use]
    pub fn keeps(self) -> bool {
        self.0 > 0
    }
}

/// The decision maker: the number behind the dash of `_dd.p.dm`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mechanism(pub u8);

impl Mechanism {
    /// Nothing is known yet, everything is kept.
    pub const DEFAULT: Mechanism = Mechanism(0);
    /// The Agent's rate for the service.
    pub const AGENT_RATE: Mechanism = Mechanism(1);
    /// A sampling rule of the configuration.
    pub const LOCAL_RULE: Mechanism = Mechanism(3);
    /// The application said so.
    pub const MANUAL: Mechanism = Mechanism(4);
    /// A single span was kept of a dropped trace.
    pub const SINGLE_SPAN: Mechanism = Mechanism(8);
    /// A rule that a person set remotely.
    pub const REMOTE_RULE: Mechanism = Mechanism(11);
    /// A rule that the backend computed.
    pub const DYNAMIC_RULE: Mechanism = Mechanism(12);
}
