//! The OpenTelemetry API over the same spans. The classes that its users subclass or name are made in Python
//! (`ddtrace_run/otel.py`), which registers these with the abstract ones.

pub(crate) mod baggage;
pub(crate) mod binding;
mod details;
pub(crate) mod processors;
pub(crate) mod propagator;
pub(crate) mod scope;
pub(crate) mod span;
mod suppressed;
pub(crate) mod tracer;
