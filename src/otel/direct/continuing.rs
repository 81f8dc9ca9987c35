//! Traces that come in without a span of theirs to hang under: the SDK knows no such parent, but asks for a trace's id where
//! it has none.

use crate::otel::carried::Incoming;
use crate::propagation::Extracted;
use opentelemetry::trace::{SpanBuilder, TraceContextExt, TraceId, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};

/// The SDK's provider, whose spans continue such a trace.
#[derive(Clone, Debug)]
pub(in crate::otel) struct ContinuingProvider(SdkTracerProvider);

impl ContinuingProvider {
    pub(in crate::otel) fn new(provider: SdkTracerProvider) -> ContinuingProvider {
        ContinuingProvider(provider)
    }
}

impl TracerProvider for ContinuingProvider {
    type Tracer = ContinuingTracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> ContinuingTracer {
        ContinuingTracer(self.0.tracer_with_scope(scope))
    }
}

/// Starts spans by the SDK's tracer.
#[derive(Clone, Debug)]
pub(in crate::otel) struct ContinuingTracer(SdkTracer);

impl Tracer for ContinuingTracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, context: &Context) -> Span {
        let is_first = !context.span().span_context().is_valid();
        let rootless = Incoming::of(context).filter(|_| is_first).and_then(Extracted::rootless);
        let _told = rootless.map(|found| {
            let trace_id = TraceId::from(found.span.trace_id.0);
            Context::current_with_value(Continued(trace_id)).attach()
        });
        self.0.build_with_context(builder, context)
    }
}

/// The trace that the span which is being started continues: a value of the API's current context, for as long as that
/// takes.
#[derive(Clone, Copy)]
struct Continued(TraceId);

/// That trace, if there is one.
pub(super) fn continued() -> Option<TraceId> {
    Context::map_current(|context| context.get::<Continued>().map(|continued| continued.0))
}
