//! The context of a trace: what one process tells the next, whatever the dialect of the headers.
//!
//! [`SpanContext`] is the small part that every span has, and is copied freely. [`TraceContext`] adds what all spans of
//! a trace share in a process (origin, tags, the vendors' state); its texts lie inside of it, bounded by what the formats
//! allow, so that it can stand on a stack, in a slot of shared memory or in an `Arc`, and nothing is allocated.
//!
//! In-process code: no allocation, no reachable panic.

mod bounded;
mod priority;
mod tags;

pub use bounded::{Bounded, DoesNotFit};
pub use priority::{Mechanism, Priority};
pub(crate) use tags::PREFIX as TAG_PREFIX;
pub use tags::TraceTags;

use crate::ids::{SpanId, TraceId};

/// Bit of the W3C trace flags: the trace is kept.
pub const FLAG_SAMPLED: u8 = 0x01;
/// Above the W3C flags, in the flags of OTLP's spans and links: it is known whether the parent, or what is linked to, came
/// from elsewhere.
pub const HAS_IS_REMOTE: u16 = 0x100;
/// It did.
pub const IS_REMOTE: u16 = 0x200;

/// The flags of a link to a context with these W3C flags.
#[must_use]
pub const fn link_flags(flags: u8, is_remote: bool) -> u16 {
    flags as u16 | HAS_IS_REMOTE | if is_remote { IS_REMOTE } else { 0 }
}
/// Bit of the W3C trace flags: the low seven bytes of the trace id are random (Trace Context, Level 2).
pub const FLAG_RANDOM: u8 = 0x02;

/// The longest origin (`x-datadog-origin`) that is kept, in bytes; a longer one is dropped.
pub const MAX_ORIGIN: usize = 128;
/// The longest `_dd.p.*` tags that are kept, as they stand in `x-datadog-tags`, in bytes.
pub const MAX_TAGS: usize = 512;
/// The longest `tracestate` of other vendors that is kept, in bytes.
pub const MAX_TRACE_STATE: usize = 512;
/// The longest text that is shown of a malformed high half of a trace id, in bytes.
pub const MAX_MALFORMED_TID: usize = 64;
/// The longest `ot` member of a `tracestate`, in bytes.
pub const MAX_OT_MEMBER: usize = 256;

/// Which span of which trace, and whether the trace is kept. Cheap to copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpanContext {
    /// The trace; zero in a context that only brings baggage.
    pub trace_id: TraceId,
    /// The span; zero where only the trace is known.
    pub span_id: SpanId,
    /// The sampling priority; `None` while undecided.
    pub priority: Option<Priority>,
    /// W3C trace flags as they came in. Bit 0 follows the priority when they are written.
    pub flags: u8,
}

impl SpanContext {
    /// The W3C trace flags to write: bit 0 by the priority, bit 1 as it came, all others zero.
    #[must_use]
    pub fn trace_flags(&self) -> u8 {
        let sampled = match self.priority {
            Some(priority) => priority.keeps(),
            None => self.flags & FLAG_SAMPLED != 0,
        };
        u8::from(sampled) | (self.flags & FLAG_RANDOM)
    }
}

/// What all spans of a trace share in one process: what came in with the trace, and what was decided here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceContext {
    /// The span that sent it, or that is to be the parent of what follows.
    pub span: SpanContext,
    /// Whether it came from outside of this process.
    pub is_remote: bool,
    /// Where the trace began, such as `synthetics` or `rum`; empty for none. Decoded.
    pub origin: Bounded<MAX_ORIGIN>,
    /// The `_dd.p.*` tags without `_dd.p.tid`, which is the trace id's high half.
    pub tags: TraceTags,
    /// The members of the `tracestate` that are neither Datadog's (`dd`) nor OpenTelemetry's (`ot`), in order.
    pub trace_state: Bounded<MAX_TRACE_STATE>,
    /// OpenTelemetry's member of the `tracestate`, without `ot=`; empty for none.
    pub ot: Bounded<MAX_OT_MEMBER>,
    /// The last span of a Datadog tracer before the sender (`_dd.parent_id`); zero for none.
    pub last_parent: SpanId,
    /// The sender has asked for the trace come what may, by the debug flag of B3 or Jaeger, which is to be handed on.
    pub is_debug: bool,
    /// What of the incoming context could not be read (`_dd.propagation_error`).
    pub error: Option<PropagationError>,
}

impl TraceContext {
    /// Whether the other context carries the same besides ids and decision: where the trace began, and what services before
    /// have given it to carry on.
    #[must_use]
    pub fn carries_the_same(&self, other: &TraceContext) -> bool {
        let of_decisions = |name: &[u8]| matches!(name, b"_dd.p.dm" | b"_dd.p.ksr");
        let tags = |context: &'_ TraceContext, others: &'_ TraceContext| {
            let mut given = context.tags.iter().filter(|(name, _)| !of_decisions(name));
            given.all(|(name, value)| others.tags.get(name) == Some(value))
        };
        self.origin.as_bytes() == other.origin.as_bytes()
            && self.trace_state.as_bytes() == other.trace_state.as_bytes()
            && tags(self, other)
            && tags(other, self)
    }
}

/// Why a part of a context was left out; the value of the tag `_dd.propagation_error`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PropagationError {
    /// The incoming tags are too long.
    ExtractMaxSize,
    /// The incoming tags are malformed.
    Decoding,
    /// The incoming `_dd.p.tid` is malformed; the tag's value continues with what came: of more than 64 bytes
    /// the first 61 and `...`.
    MalformedTid([u8; MAX_MALFORMED_TID]),
    /// The outgoing tags are too long.
    InjectMaxSize,
    /// An outgoing tag has a character that the header cannot carry.
    Encoding,
    /// The configuration sends no tags.
    Disabled,
}

impl PropagationError {
    /// The tag's value, without the malformed id of [`PropagationError::MalformedTid`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ExtractMaxSize => "extract_max_size",
            Self::Decoding => "decoding_error",
            Self::MalformedTid(_) => "malformed_tid",
            Self::InjectMaxSize => "inject_max_size",
            Self::Encoding => "encoding_error",
            Self::Disabled => "disabled",
        }
    }
}
