//! One provider for both ways.

use super::launched::RecordingProvider;
use opentelemetry::InstrumentationScope;
use opentelemetry::global::{BoxedTracer, ObjectSafeTracerProvider};
use opentelemetry::trace::TracerProvider;
use std::fmt;
use std::sync::Arc;

/// Gives tracers, whichever way their spans take.
#[derive(Clone)]
pub struct Provider(Arc<dyn ObjectSafeTracerProvider + Send + Sync>);

impl Provider {
    pub(super) fn launched(provider: RecordingProvider) -> Provider {
        Provider(Arc::new(provider))
    }

    #[cfg(feature = "direct")]
    pub(super) fn direct(provider: opentelemetry_sdk::trace::SdkTracerProvider) -> Provider {
        Provider(Arc::new(super::direct::ContinuingProvider::new(provider)))
    }
}

impl TracerProvider for Provider {
    type Tracer = BoxedTracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> BoxedTracer {
        BoxedTracer::new(self.0.boxed_tracer(scope))
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Provider")
    }
}
