//! The forms that spans wait in: what a receiver takes as it is, or what is easily made of it.
//!
//! So a batch is encoded once, whatever happens until somebody takes it.

mod split;

use super::{Batch, otlp};
use ddtrace::span::datadog::AgentOptions;
use ddtrace::span::msgpack::encode_payload;
use ddtrace::span::{Span, TraceChunk};
use prost::Message;

pub use split::Half;

/// The form of a payload. The number is part of the spool's format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Format {
    /// Datadog's `v0.4`, in msgpack.
    Datadog = 1,
    /// OTLP's `ExportTraceServiceRequest`, in protobuf.
    Otlp = 2,
}

impl Format {
    /// The form with this number.
    pub fn of(number: u8) -> Option<Format> {
        [Format::Datadog, Format::Otlp].into_iter().find(|format| *format as u8 == number)
    }

    /// Encodes a batch; `None` where nothing of it is to be sent. `options` are those of an Agent.
    pub fn encode(self, batch: &Batch, options: AgentOptions) -> Option<Vec<u8>> {
        match self {
            Format::Datadog => {
                let payload = encode_payload(&batch.chunks, options);
                (payload.traces > 0).then_some(payload.body)
            }
            Format::Otlp => otlp::trace_request(batch).map(|request| request.encode_to_vec()),
        }
    }

    /// Whether a receiver of this form is sent a span of this chunk. An Agent is sent all: it counts them.
    pub fn is_sent(self, chunk: &TraceChunk, span: &Span) -> bool {
        match self {
            Format::Datadog => true,
            Format::Otlp => otlp::is_sent(chunk, span),
        }
    }

    /// Two payloads of about half the size, in order. `None` for a single span, and for what is malformed.
    pub fn halves(self, payload: &[u8]) -> Option<(Half, Half)> {
        match self {
            Format::Datadog => split::datadog(payload),
            Format::Otlp => split::otlp(payload),
        }
    }

    /// What is left of a payload without its first spans; `None` where there are not so many, and for what is malformed.
    pub fn after(self, payload: &[u8], spans: u64) -> Option<Vec<u8>> {
        match self {
            Format::Datadog => split::datadog_after(payload, spans),
            Format::Otlp => split::otlp_after(payload, spans),
        }
    }
}

#[cfg(test)]
mod tests;
