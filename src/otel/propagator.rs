//! The API's propagator: headers in every style that the configuration names.

use super::carried::{BaggageOf, Members, active, enter, passed_on};
use super::values;
use crate::propagation::environment::EnvironmentCarrier;
use crate::propagation::{Carrier, CarrierMut, Outgoing, Propagation};
use crate::tracer::Tracer;
use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;

/// Reads and writes contexts as `DD_TRACE_PROPAGATION_STYLE` or `OTEL_PROPAGATORS` say.
///
/// What the API's `SpanContext` has no room for (priority, origin, tags, links) goes along in the `Context`.
#[derive(Clone, Debug)]
pub struct Propagator {
    propagation: Propagation,
    fields: Vec<String>,
    /// Knows the traces of this process, and decides about them when they leave it.
    tracer: Option<Arc<Tracer>>,
}

impl Propagator {
    pub(super) fn new(propagation: Propagation, tracer: Option<Arc<Tracer>>) -> Propagator {
        let mut fields = Vec::new();
        propagation.fields(&mut |name| fields.push(name.to_string()));
        Propagator { propagation, fields, tracer }
    }

    /// The context that the environment carries, over `context`.
    pub(super) fn extract_environment(&self, context: &Context) -> Context {
        let variable = |name: &[u8]| std::env::var_os(OsStr::from_bytes(name)).map(OsStringExt::into_vec);
        self.extract_from(context, &EnvironmentCarrier(variable))
    }

    pub(super) fn extract_from(&self, context: &Context, carrier: &dyn Carrier) -> Context {
        let mut baggage = Members::default();
        let extracted = self.propagation.extract(carrier, &mut baggage);
        enter(context, extracted, baggage)
    }

    fn inject_span(&self, context: &Context, span: &SpanContext, carrier: &mut dyn CarrierMut) {
        let baggage = BaggageOf(context);
        let of_this_process = self.tracer.as_ref().filter(|_| !span.is_remote());
        if let Some(trace) = of_this_process.and_then(|tracer| active(tracer, span)) {
            return trace.inject(values::span_id(span.span_id()), &baggage, carrier);
        }
        let carried = passed_on(context, span);
        let outgoing = Outgoing { span: carried.span, is_local: !span.is_remote(), trace: &carried, baggage: &baggage };
        // There is no span of ours that could tell of what was left out.
        let _ = self.propagation.inject(&outgoing, carrier);
    }
}

impl TextMapPropagator for Propagator {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        self.inject_span(context, context.span().span_context(), &mut Into(injector));
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        self.extract_from(context, &From(extractor))
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}

struct From<'a>(&'a dyn Extractor);

impl Carrier for From<'_> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        for value in self.0.get_all(name).unwrap_or_default() {
            each(value.as_bytes());
        }
    }

    fn with_prefix(&self, prefix: &str, each: &mut dyn FnMut(&[u8], &[u8])) {
        for key in self.0.keys() {
            let (Some(start), Some(rest)) = (key.get(..prefix.len()), key.get(prefix.len()..)) else { continue };
            if start.eq_ignore_ascii_case(prefix)
                && let Some(value) = self.0.get(key)
            {
                each(rest.as_bytes(), value.as_bytes());
            }
        }
    }
}

struct Into<'a>(&'a mut dyn Injector);

impl CarrierMut for Into<'_> {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.0.set(name, String::from_utf8_lossy(value).into_owned());
    }
}
