//! Reading attributes, events and links.

use super::read::{Field, fields};
use crate::ids::{SpanId, TraceId};

/// The name in front of an attribute's value, and the value.
pub(super) fn attribute_name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_le_bytes(*length).into())
}

/// An event, borrowed from a record.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ReadEvent<'a> {
    /// Nanoseconds since the Unix epoch.
    pub time_unix_ns: u64,
    /// Its name.
    pub name: &'a [u8],
    fields: &'a [u8],
}

impl<'a> ReadEvent<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (time, rest) = bytes.split_first_chunk::<8>()?;
        let (name, fields) = attribute_name(rest)?;
        Some(ReadEvent { time_unix_ns: u64::from_le_bytes(*time), name, fields })
    }

    /// Its attributes.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        fields(self.fields)
    }
}

/// A link, borrowed from a record.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ReadLink<'a> {
    /// The trace linked to.
    pub trace_id: TraceId,
    /// The span linked to.
    pub span_id: SpanId,
    /// W3C trace flags of that span, and what is known of its context ([`link_flags`](crate::context::link_flags)).
    pub flags: u16,
    /// Its `tracestate`, or empty.
    pub trace_state: &'a [u8],
    fields: &'a [u8],
}

impl<'a> ReadLink<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (trace_id, rest) = bytes.split_first_chunk::<16>()?;
        let (span_id, rest) = rest.split_first_chunk::<8>()?;
        let (flags, rest) = rest.split_first_chunk::<2>()?;
        let (trace_state, fields) = attribute_name(rest)?;
        Some(ReadLink {
            trace_id: TraceId(u128::from_le_bytes(*trace_id)),
            span_id: SpanId(u64::from_le_bytes(*span_id)),
            flags: u16::from_le_bytes(*flags),
            trace_state,
            fields,
        })
    }

    /// Its attributes.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        fields(self.fields)
    }
}
