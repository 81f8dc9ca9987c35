//! Contexts that leave the process, and those that come in.

use super::Tracer;
use super::handle::Handle;
use super::pool::Taken;
use super::span::Subject;
use super::trace::{TRACES, Trace, TraceRef};
use super::verdict::Outcome;
use crate::environment::{self, kept};
use crate::process;
use ddtrace::context::SpanContext;
use ddtrace::identity::Identity;
use ddtrace::propagation::{Carrier, CarrierMut, Outgoing, Propagation};

impl Tracer {
    /// Writes a context into headers: that of a span, which decides about its trace, or an extracted one as it came.
    /// Whether there was one.
    pub(super) fn inject(&'static self, number: u64, headers: &mut dyn CarrierMut) -> bool {
        self.inject_as(number, &self.settings.propagation, headers, true)
    }

    /// As [`Tracer::inject`], in the form in which tracers of one process tell each other.
    pub(super) fn hand_over(&'static self, number: u64, headers: &mut dyn CarrierMut) -> bool {
        self.inject_as(number, &Propagation::between_tracers(), headers, false)
    }

    /// `decides`: also about what is lent.
    fn inject_as(&'static self, number: u64, form: &Propagation, headers: &mut dyn CarrierMut, decides: bool) -> bool {
        let Some(subject) = self.subject(number) else { return false };
        let outcome = match subject.local_root.filter(|_| decides || !subject.is_lent) {
            Some(local_root) => self.settle(&subject.trace, local_root),
            None => subject.trace.verdict.outcome(),
        };
        self.write_context(&subject, form, outcome, headers);
        true
    }

    #[inline(never)]
    fn write_context(
        &self,
        subject: &Subject,
        form: &Propagation,
        outcome: Option<Outcome>,
        headers: &mut dyn CarrierMut,
    ) {
        let Subject { ref trace, span_id, local_root, .. } = *subject;
        let context = trace.context(outcome);
        let outgoing = Outgoing {
            span: SpanContext { span_id, ..context.span },
            is_local: local_root.is_some(),
            trace: &context,
            baggage: &trace.baggage,
        };
        let error = form.inject(&outgoing, headers);
        if let (Some(error), Some(local_root)) = (error, local_root) {
            process::record_span(|record| {
                record.amend(local_root);
                record.propagation_error(error);
            });
        }
    }

    /// Takes a context over from the headers of a request, and gives its handle; `None` where they bring nothing.
    pub(super) fn extract(&'static self, headers: &dyn Carrier) -> Option<u64> {
        let mut taken = self.read(headers)?;
        if self.settings.sampling.respects_parent {
            self.remember_brought(taken.value());
        }
        Some(Handle::Context(taken.open()).number(self.epoch))
    }

    /// Reads a context from headers; `None` where they bring nothing.
    pub(super) fn read(&'static self, headers: &dyn Carrier) -> Option<Taken<Trace, TRACES>> {
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
        Some(taken)
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
