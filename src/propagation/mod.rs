//! How a trace context is written into headers and environment variables, and read back, in each dialect.
//!
//! [`Propagation`] says which styles, in which order and by whose rules; a [`Carrier`] is what they are read from. What a
//! request brings is untrusted: a malformed part of it is left out, and nothing of it can end a header that is written.
//!
//! Deviations from Datadog's Python tracer, on purpose: `%` is encoded in baggage (it decodes, so it would be decoded
//! twice), properties of baggage stay beside its value, an undecided context has no empty `tracestate`, `:` and `;` in the
//! names of tags are replaced in the member `dd`, and tags or baggage that receivers would take for malformed as a whole
//! (without a value) are not written.
//!
//! In-process code: no allocation, no reachable panic.

mod b3;
#[cfg(feature = "std")]
pub mod baggage;
mod baggage_header;
mod carrier;
mod composite;
mod datadog;
mod dd_member;
pub mod environment;
pub mod header_text;
mod jaeger;
mod ottrace;
mod style;
mod text;
pub mod tracecontext;
mod tracestate;
#[cfg(feature = "std")]
pub mod w3c_form;
mod xray;

#[cfg(test)]
mod tests;

pub use carrier::{
    BaggageSink, BaggageSource, Carrier, CarrierMut, EachMember, HeaderList, NoBaggage, is_header, key_of_header,
};
pub use style::{Dialect, Style, Styles};

use crate::context::{Bounded, MAX_TAGS, MAX_TRACE_STATE, Priority, SpanContext, TraceContext};

/// What becomes of an incoming context (`DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ExtractBehaviour {
    /// The trace goes on.
    #[default]
    Continue,
    /// A new trace begins, linked to the incoming one; baggage is kept.
    Restart,
    /// Nothing is taken from it.
    Ignore,
}

/// How contexts are written and read. Copied into whatever needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Propagation {
    /// The styles that are written, in order.
    pub inject: Styles,
    /// The styles that are read, in order.
    pub extract: Styles,
    /// Whose rules hold where they differ: those of the dialect that named the styles.
    pub dialect: Dialect,
    /// Read the first listed style only, even if it finds nothing, as `baggage` does. Baggage is read all the same.
    pub extract_first: bool,
    /// What becomes of what was read.
    pub behaviour: ExtractBehaviour,
    /// The longest `x-datadog-tags` that is written, 0 to 512 bytes; 0 writes none. Up to 512 bytes are always read.
    pub tags_max_length: u16,
    /// Whether the style `datadog` has baggage as well, in headers `ot-baggage-<key>`
    /// (`DD_TRACE_PROPAGATION_HTTP_BAGGAGE_ENABLED`).
    pub http_baggage: bool,
    /// The most members of a `baggage` header that are written and read.
    pub baggage_max_items: u16,
    /// The longest `baggage` header that is written and read, in bytes.
    pub baggage_max_bytes: u16,
}

/// What a carrier brought.
#[derive(Clone, Debug, Default)]
pub struct Extracted {
    /// The context to continue, if there was one. Without a trace id it only says whether the trace that begins is kept.
    pub context: Option<TraceContext>,
    /// Contexts of other traces, to be linked from the next local root.
    pub links: [Option<TerminatedLink>; 8],
    /// The whole `tracestate`, Datadog's member included, that belongs to the link whose style is `tracecontext`; empty
    /// for none.
    pub link_trace_state: Bounded<MAX_TRACE_STATE>,
    /// Whether the carrier brought baggage; it went to the sink.
    pub has_baggage: bool,
}

impl Extracted {
    /// The context to continue where it has a trace, but no span in it: whoever continues it begins the trace's first span.
    #[cfg(feature = "std")]
    pub(crate) fn rootless(&self) -> Option<&TraceContext> {
        self.context.as_ref().filter(|context| context.span.trace_id.is_valid() && !context.span.span_id.is_valid())
    }
}

/// A context that is not continued but linked to.
#[derive(Clone, Debug, PartialEq)]
pub struct TerminatedLink {
    /// Which span. Its flags are 1 where its priority keeps the trace, else 0.
    pub span: SpanContext,
    /// The style that found it: the link's attribute `context_headers`.
    pub style: Style,
    /// Why it is not continued: the link's attribute `reason`.
    pub reason: &'static str,
}

/// What is to be written.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// The span that the receiver shall have as its parent.
    pub span: SpanContext,
    /// Whether that is a span of this process, and not a context that is merely passed on.
    pub is_local: bool,
    /// What the trace carries.
    pub trace: &'a TraceContext,
    /// The baggage.
    pub baggage: &'a dyn BaggageSource,
}

impl Outgoing<'_> {
    /// Whether the styles of B3 and Jaeger are to ask for the trace come what may. In Datadog's dialect that is what a
    /// decision by a user or a rule means; in OpenTelemetry's it is only handed on, and a decision of a tracer is none.
    fn is_debug(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::Datadog => self.span.priority.is_some_and(|priority| priority > Priority::AUTO_KEEP),
            Dialect::OpenTelemetry => self.trace.is_debug && self.span.priority.is_some_and(Priority::keeps),
        }
    }
}

impl Propagation {
    /// The one form in which two tracers of a process hand a context to each other, whatever goes outside: nothing of it is
    /// lost.
    #[must_use]
    pub fn between_tracers() -> Propagation {
        Propagation { tags_max_length: MAX_TAGS as u16, ..Propagation::default() }
    }

    /// How a process reads the context of its own span, which the launcher's variables carry in one form: whatever is to
    /// become of contexts from outside, and in which styles.
    #[must_use]
    pub fn of_process(&self) -> Propagation {
        // Of baggage no form has been vetted: what stands there may have come from outside.
        let takes_baggage = self.behaviour != ExtractBehaviour::Ignore && self.extract.contains(Style::Baggage);
        let baggage = takes_baggage.then_some(Style::Baggage);
        Propagation {
            extract: [Style::TraceContext].into_iter().chain(baggage).collect(),
            behaviour: ExtractBehaviour::Continue,
            extract_first: false,
            ..*self
        }
    }
}
