//! Several styles together: what is written, what is read, and which of several contexts counts.

use super::{BaggageSink, Carrier, CarrierMut, Dialect, ExtractBehaviour, Extracted, Outgoing, Propagation, Style, Styles};
use crate::context::PropagationError;

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
            baggage_max_items: 64,
            baggage_max_bytes: 8192,
        }
    }
}

impl Propagation {
    /// Reads what a carrier brings. Baggage goes to the sink, and only if it is valid as a whole where the dialect says so.
    pub fn extract(&self, carrier: &dyn Carrier, baggage: &mut dyn BaggageSink) -> Extracted {
        let _ = (carrier, baggage);
        Extracted::default()
    }

    /// Writes a context. An invalid span context (trace or span id zero) writes only baggage. The error, if any, is for
    /// the tag `_dd.propagation_error`.
    pub fn inject(&self, outgoing: &Outgoing<'_>, carrier: &mut dyn CarrierMut) -> Option<PropagationError> {
        let _ = (outgoing, carrier);
        None
    }

    /// Calls `each` with every name that [`Propagation::inject`] may write.
    pub fn fields(&self, each: &mut dyn FnMut(&str)) {
        let _ = each;
    }
}
