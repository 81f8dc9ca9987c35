//! Several styles together: what is written, what is read, and which of several contexts counts.

use super::baggage_header::Room;
use super::text::MAX_TEXT;
use super::{
    BaggageSink, Carrier, CarrierMut, Dialect, ExtractBehaviour, Extracted, Outgoing, Propagation, Style, Styles,
    TerminatedLink, b3, baggage_header, datadog, jaeger, ottrace, tracecontext, tracestate, xray,
};
use crate::context::{Priority, FLAG_SAMPLED, PropagationError, SpanContext, TraceContext};
use crate::ids::SpanId;

/// Why a context of another trace is linked to: another style found a trace before.
const TERMINATED: &str = "terminated_context";
/// Why a context is linked to where every request begins a new trace.
const RESTARTED: &str = "propagation_behavior_extract";

impl Default for Propagation {
    /// Datadog's defaults: `datadog,tracecontext,baggage`, tags of 512 bytes, baggage of 64 members and 8192 bytes.
    fn default() -> Self {
        let styles: Styles = [Style::Datadog, Style::TraceContext, Style::Baggage].into_iter().collect();
        Propagation {
            inject: styles,
            extract: styles,
            dialect: Dialect::Datadog,
            extract_first: false,
            behaviour: ExtractBehaviour::Continue,
            tags_max_length: 512,
            http_baggage: false,
            baggage_max_items: 64,
            baggage_max_bytes: 8192,
        }
    }
}

impl Propagation {
    /// Reads what a carrier brings. Baggage goes to the sink, and only if it is valid as a whole where the dialect says so.
    ///
    /// Of several contexts the first counts in Datadog's dialect, and the others are compared with it; in OpenTelemetry's
    /// the last. Baggage is read whatever context counts, even with `extract_first`.
    pub fn extract(&self, carrier: &dyn Carrier, baggage: &mut dyn BaggageSink) -> Extracted {
        let mut found = Extracted::default();
        self.extract_into(carrier, baggage, &mut found);
        found
    }

    /// As [`Propagation::extract`], in the place of what is in `found`: it is large to move.
    pub fn extract_into(&self, carrier: &dyn Carrier, baggage: &mut dyn BaggageSink, found: &mut Extracted) {
        found.context = None;
        found.links = Default::default();
        found.link_trace_state.clear();
        found.has_baggage = false;
        if self.behaviour == ExtractBehaviour::Ignore {
            return;
        }
        let mut listed = self.extract.iter();
        let style = match self.dialect {
            // That may be `baggage`, in which no context is found.
            _ if self.extract_first => listed.next().filter(|style| self.read(*style, carrier, &mut found.context)),
            Dialect::Datadog => self.first_compared(listed, carrier, found),
            // What a later one finds replaces what earlier ones did.
            Dialect::OpenTelemetry => listed.rev().find(|style| self.read(*style, carrier, &mut found.context)),
        };
        match (style, self.behaviour) {
            (Some(style), ExtractBehaviour::Restart) => restart(style, carrier, found),
            (None, ExtractBehaviour::Continue) => self.read_state_alone(carrier, &mut found.context),
            _ => {}
        }
        found.has_baggage = self.read_baggage(carrier, baggage);
    }

    /// Calls `each` with every context that a carrier brings, in whatever style, whether that is to be read or not. Ids of
    /// traces may be the lower half alone, as the styles have them.
    pub fn contexts(&self, carrier: &dyn Carrier, each: &mut dyn FnMut(&SpanContext)) {
        let mut place = None;
        for style in Style::ALL {
            // A trace without a span is one that `x-datadog-trace-id` names; balancers put such a one into `x-amzn-trace-id`
            // of everybody's requests.
            if self.read(style, carrier, &mut place)
                && let Some(context) = &place
                && context.span.trace_id.is_valid()
                && (context.span.span_id.is_valid() || style == Style::Datadog)
            {
                each(&context.span);
            }
        }
    }

    /// Writes a context. An invalid span context (trace or span id zero) writes only baggage. The error, if any, is for
    /// the tag `_dd.propagation_error`.
    pub fn inject(&self, outgoing: &Outgoing<'_>, carrier: &mut dyn CarrierMut) -> Option<PropagationError> {
        let is_valid = outgoing.span.trace_id.is_valid() && outgoing.span.span_id.is_valid();
        let mut error = None;
        let mut with_tid = false;
        for style in self.inject.iter().filter(|style| is_valid || *style == Style::Baggage) {
            match style {
                Style::Datadog => {
                    error = datadog::write(outgoing, self.tags_max_length, carrier);
                    with_tid = true;
                    if self.http_baggage {
                        ottrace::write_baggage(outgoing.baggage, self.room(), carrier);
                    }
                }
                Style::TraceContext => tracecontext::write(outgoing, self.dialect, with_tid, carrier),
                Style::Baggage => baggage_header::write(outgoing.baggage, self.dialect, self.room(), carrier),
                Style::B3 => b3::write_single(outgoing, self.dialect, carrier),
                Style::B3Multi => b3::write_multi(outgoing, self.dialect, carrier),
                Style::Jaeger => jaeger::write(outgoing, self.dialect, self.room(), carrier),
                Style::XRay => xray::write(outgoing, carrier),
                Style::OtTrace => ottrace::write(outgoing, self.room(), carrier),
            }
        }
        error
    }

    /// Calls `each` with every name that [`Propagation::inject`] may write, but for those that end in a key of baggage
    /// (`uberctx-`, `ot-baggage-`).
    pub fn fields(&self, each: &mut dyn FnMut(&str)) {
        for style in self.inject.iter() {
            let names: &[&str] = match style {
                Style::Datadog => &datadog::FIELDS,
                Style::TraceContext => &tracecontext::FIELDS,
                Style::Baggage => &[baggage_header::NAME],
                Style::B3 => &b3::SINGLE_FIELDS,
                Style::B3Multi => &b3::MULTI_FIELDS,
                Style::Jaeger => &jaeger::FIELDS,
                Style::XRay => &xray::FIELDS,
                Style::OtTrace => &ottrace::FIELDS,
            };
            names.iter().for_each(|name| each(name));
        }
    }

    fn room(&self) -> Room {
        Room { items: self.baggage_max_items, bytes: usize::from(self.baggage_max_bytes).min(MAX_TEXT) }
    }

    /// Reads one style into `place`. Whether it brought a context; `place` is empty if not.
    fn read(&self, style: Style, carrier: &dyn Carrier, place: &mut Option<TraceContext>) -> bool {
        let context = place.insert(TraceContext::default());
        context.is_remote = true;
        let any_form = self.dialect == Dialect::OpenTelemetry;
        let found = match style {
            Style::Datadog => datadog::read(carrier, context),
            Style::TraceContext => tracecontext::read(carrier, context),
            Style::Baggage => false,
            Style::B3 | Style::B3Multi if any_form => {
                b3::read_single(carrier, self.dialect, context) || b3::read_multi(carrier, self.dialect, context)
            }
            Style::B3 => b3::read_single(carrier, self.dialect, context),
            Style::B3Multi => b3::read_multi(carrier, self.dialect, context),
            Style::Jaeger => jaeger::read(carrier, context),
            Style::XRay => xray::read(carrier, context),
            Style::OtTrace => ottrace::read(carrier, context),
        };
        if matches!(style, Style::B3 | Style::B3Multi | Style::Jaeger) {
            // No other word of theirs says as much.
            context.is_debug = context.span.priority == Some(Priority::USER_KEEP);
        }
        if !found {
            *place = None;
        }
        found
    }

    /// Datadog's rule: the first style that brings a trace is continued, and its name is given; later ones add to it or
    /// become links.
    fn first_compared(
        &self,
        styles: impl Iterator<Item = Style>,
        carrier: &dyn Carrier,
        found: &mut Extracted,
    ) -> Option<Style> {
        let mut primary = None;
        let mut datadog_parent = SpanId(0);
        for style in styles {
            if primary.is_some() {
                self.compare(style, carrier, &mut datadog_parent, found);
            } else if self.read(style, carrier, &mut found.context) {
                primary = Some(style);
                if style == Style::Datadog {
                    datadog_parent = found.context.as_ref().map_or(SpanId(0), |context| context.span.span_id);
                }
            }
        }
        primary
    }

    #[inline(never)]
    fn compare(&self, style: Style, carrier: &dyn Carrier, datadog_parent: &mut SpanId, found: &mut Extracted) {
        let mut place = None;
        self.read(style, carrier, &mut place);
        let (Some(other), Some(primary)) = (place, &mut found.context) else { return };
        if other.span.trace_id != primary.span.trace_id {
            add_link(link_to(other.span, style, TERMINATED), carrier, found);
            return;
        }
        match style {
            Style::Datadog => *datadog_parent = other.span.span_id,
            Style::TraceContext => {
                primary.trace_state = other.trace_state;
                primary.ot = other.ot;
                primary.span.flags = other.span.flags;
                // The headers disagree: a tracer that knows only W3C's was in between.
                if primary.span.span_id != other.span.span_id {
                    primary.span.span_id = other.span.span_id;
                    let known = [other.last_parent, *datadog_parent].into_iter().find(|parent| parent.is_valid());
                    primary.last_parent = known.unwrap_or(primary.last_parent);
                }
            }
            _ => {}
        }
    }

    /// Datadog's rule: B3 may say without a trace whether the one that begins here is kept.
    fn read_state_alone(&self, carrier: &dyn Carrier, place: &mut Option<TraceContext>) {
        if self.dialect == Dialect::OpenTelemetry {
            return;
        }
        let listed = self.extract.iter().take(if self.extract_first { 1 } else { usize::MAX });
        let mut of_b3 = listed.filter(|style| matches!(style, Style::B3 | Style::B3Multi));
        if let Some(priority) = of_b3.find_map(|style| b3::state_alone(carrier, style)) {
            let context = place.insert(TraceContext::default());
            context.is_remote = true;
            context.span.priority = Some(priority);
        }
    }

    fn read_baggage(&self, carrier: &dyn Carrier, sink: &mut dyn BaggageSink) -> bool {
        let mut any = false;
        for style in self.extract.iter() {
            any |= match style {
                Style::Baggage => baggage_header::read(carrier, self.dialect, self.room(), sink),
                Style::Jaeger => jaeger::read_baggage(carrier, self.room(), sink),
                Style::OtTrace => ottrace::read_baggage(carrier, ottrace::TRACE_ID, self.room(), sink),
                Style::Datadog if self.http_baggage => {
                    ottrace::read_baggage(carrier, datadog::TRACE_ID, self.room(), sink)
                }
                _ => false,
            };
        }
        any
    }
}

/// A new trace begins, which links to the one that would have been continued and to no other.
fn restart(style: Style, carrier: &dyn Carrier, found: &mut Extracted) {
    found.links = Default::default();
    found.link_trace_state.clear();
    if let Some(context) = found.context.take() {
        add_link(link_to(context.span, style, RESTARTED), carrier, found);
    }
}

fn link_to(span: SpanContext, style: Style, reason: &'static str) -> Option<TerminatedLink> {
    let keeps = span.priority.is_some_and(crate::context::Priority::keeps);
    let span = SpanContext { flags: if keeps { FLAG_SAMPLED } else { 0 }, ..span };
    span.span_id.is_valid().then_some(TerminatedLink { span, style, reason })
}

fn add_link(link: Option<TerminatedLink>, carrier: &dyn Carrier, found: &mut Extracted) {
    let (Some(link), Some(place)) = (link, found.links.iter_mut().find(|place| place.is_none())) else { return };
    if link.style == Style::TraceContext {
        tracestate::whole(carrier, &mut found.link_trace_state);
    }
    *place = Some(link);
}
