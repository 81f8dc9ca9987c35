//! Contexts that leave the process, and those that come in.

use super::Tracer;
use super::handle::Handle;
use super::trace::{Trace, TraceRef};
use crate::environment::{self, kept};
use crate::process;
use ddtrace::context::SpanContext;
use ddtrace::identity::Identity;
use ddtrace::ids::SpanId;
use ddtrace::propagation::{Carrier, CarrierMut, Outgoing};

impl Tracer {
    /// Writes a context into headers: that of a span, which decides about its trace, or an extracted one as it came.
    /// Whether there was one.
    pub(super) fn inject(&'static self, number: u64, headers: &mut dyn CarrierMut) -> bool {
        let number = if number == 0 { self.surroundings() } else { number };
        match self.handle(number) {
            Some(Handle::Span(key)) => {
                let Some(span) = self.spans.enter(key) else { return false };
                let outcome = self.settle(&span.trace);
                self.write_context(&span.trace, span.span_id, true, outcome, headers);
                true
            }
            Some(Handle::Context(key)) => {
                let Some(trace) = self.traces.enter(key) else { return false };
                let (sender, _) = trace.parent();
                self.write_context(&trace, sender, false, trace.verdict.outcome(), headers);
                true
            }
            None => false,
        }
    }

    #[inline(never)]
    fn write_context(
        &self,
        trace: &Trace,
        span_id: SpanId,
        is_local: bool,
        outcome: Option<super::verdict::Outcome>,
        headers: &mut dyn CarrierMut,
    ) {
        let context = trace.context(outcome);
        let outgoing = Outgoing {
            span: SpanContext { span_id, ..context.span },
            is_local,
            trace: &context,
            baggage: &trace.baggage,
        };
        let error = self.settings.propagation.inject(&outgoing, headers);
        if let (Some(error), true) = (error, trace.local_root().is_valid()) {
            process::record_span(|record| {
                record.amend(trace.local_root());
                record.propagation_error(error);
            });
        }
    }

    /// Reads a context from headers, and gives its handle; `None` where they bring nothing.
    pub(super) fn extract(&'static self, headers: &dyn Carrier) -> Option<u64> {
        let mut taken = self.take_trace()?;
        let respected = self.settings.sampling.respects_parent;
        let brings = taken.value().go_on(
            || self.new_trace_id(),
            respected,
            |found, baggage| {
                self.settings.propagation.extract_into(headers, baggage, found);
            },
        );
        if !brings {
            taken.cancel();
            return None;
        }
        Some(Handle::Context(taken.open()).number(self.epoch))
    }

    /// Gives an extracted context back.
    pub(super) fn release(&'static self, number: u64) {
        if let Some(Handle::Context(key)) = self.handle(number) {
            drop(self.traces.close(key));
        }
    }

    /// A trace below the process's own span. `None` where the process is no span that is sent for certain; the inner one
    /// where no slot is free.
    pub(super) fn trace_of_process(&'static self) -> Option<Option<TraceRef>> {
        let identity = process::identity();
        if !identity.is_parent() {
            return None;
        }
        let Some(mut taken) = self.take_trace() else { return Some(None) };
        let propagation = self.settings.propagation.of_process();
        taken.value().go_on(
            || identity.trace_id,
            true,
            |found, baggage| {
                propagation.extract_into(&OwnContext { identity }, baggage, found);
                if let Some(context) = &mut found.context {
                    context.is_remote = false;
                }
            },
        );
        Some(Some(taken.share()))
    }
}

/// The context of the process's own span, and the state and baggage that came with its trace.
struct OwnContext<'a> {
    identity: &'a Identity,
}

impl Carrier for OwnContext<'_> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let of = |entry: &'static [u8], name: &[u8]| entry.strip_prefix(name).unwrap_or_default();
        match name {
            "traceparent" => each(&environment::traceparent(self.identity).format()),
            "tracestate" => each(of(kept().tracestate.as_bytes(), environment::TRACESTATE)),
            "baggage" => each(of(kept().baggage.as_bytes(), environment::BAGGAGE)),
            _ => {}
        }
    }
}
