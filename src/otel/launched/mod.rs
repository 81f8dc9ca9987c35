//! The API's traits over the engine: for programs that `ddtrace-run` started.

mod fork;
mod span;
mod tracer;

pub(super) use fork::decide_before_forks;
pub use span::RecordedSpan;
pub use tracer::RecordingTracer;

use crate::span::Scope;
use crate::tracer::Tracer;
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::TracerProvider;
use std::borrow::ToOwned;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

/// Gives tracers that record into the memory shared with `ddtrace-run`.
#[derive(Clone, Debug)]
pub struct RecordingProvider {
    tracer: Arc<Tracer>,
}

impl RecordingProvider {
    pub(super) fn new(tracer: Arc<Tracer>) -> RecordingProvider {
        RecordingProvider { tracer }
    }
}

impl TracerProvider for RecordingProvider {
    type Tracer = RecordingTracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> RecordingTracer {
        let scope = Scope {
            name: scope.name().to_owned(),
            version: scope.version().map(String::from).unwrap_or_default(),
            // Records have no place for them.
            attributes: Vec::new(),
        };
        RecordingTracer::new(Arc::clone(&self.tracer), Arc::new(scope))
    }
}
