//! The OpenTelemetry API over the same spans.

pub(crate) mod baggage;
pub(crate) mod binding;
