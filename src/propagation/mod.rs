//! How a trace context is written into headers and environment variables, and read back.

pub mod tracecontext;
