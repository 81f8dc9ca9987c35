//! Reading and writing contexts, in all styles.

use crate::context::context;
use crate::{any, bytes, probes, used};
use ddtrace::context::Bounded;
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::propagation::environment::{EnvironmentCarrier, EnvironmentWriter, normalised_name};
use ddtrace::propagation::header_text::HeaderBaggage;
use ddtrace::propagation::tracecontext::TraceParent;
use ddtrace::propagation::{
    BaggageSink, Carrier, CarrierMut, HeaderList, NoBaggage, Outgoing, Propagation, Style, Styles, is_header,
    key_of_header,
};

/// A carrier that has anything.
struct Anything;

impl Carrier for Anything {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        used(name);
        for _ in 0..any(2) {
            each(bytes());
        }
    }

    fn with_prefix(&self, prefix: &str, each: &mut dyn FnMut(&[u8], &[u8])) {
        used(prefix);
        for _ in 0..any(2) {
            each(bytes(), bytes());
        }
    }
}

impl CarrierMut for Anything {
    fn set(&mut self, name: &str, value: &[u8]) {
        used((name, value));
    }
}

impl BaggageSink for Anything {
    fn member(&mut self, key: &[u8], value: &[u8], properties: &[u8]) {
        used((key, value, properties));
    }
}

probes! {
    traceparent {
        used(TraceParent::parse(bytes()));
        let written = TraceParent { trace_id: any(TraceId(0)), span_id: any(SpanId(0)), flags: any(0) };
        used(written.format());
    }

    propagation {
        let propagation = any(any(Propagation::default()).of_process());
        used(propagation.extract(&any(Anything), &mut any(Anything)));
        propagation.contexts(&any(Anything), &mut |span| used(span.span_id));
        let mut found = any(propagation.extract(&any(Anything), &mut any(NoBaggage)));
        propagation.extract_into(&any(Anything), &mut any(Anything), &mut found);
        used(found);
        let trace = context();
        let outgoing = Outgoing { span: any(trace.span), is_local: any(true), trace: &trace, baggage: &any(NoBaggage) };
        used(propagation.inject(&outgoing, &mut any(Anything)));
        let outgoing = Outgoing { baggage: &any(HeaderBaggage(bytes())), ..outgoing };
        used(propagation.inject(&outgoing, &mut any(Anything)));
        propagation.fields(&mut |name| used(name));
    }

    environment {
        let carrier = any(EnvironmentCarrier(|name: &[u8]| {
            used(name);
            any(Some(bytes()))
        }));
        let propagation = any(any(Propagation::default()).of_process());
        used(propagation.extract(&carrier, &mut any(NoBaggage)));
        carrier.with_prefix(any("name"), &mut |name, value| used((name, value)));
        any(EnvironmentWriter(|name: &[u8], value: &[u8]| used((name, value)))).set(any("name"), bytes());
        used(normalised_name(any("name"), &mut Bounded::new()));
    }

    lists {
        let headers = any([(bytes(), bytes()), (bytes(), bytes())]);
        let list = HeaderList(headers.iter().copied());
        used(any(Propagation::between_tracers()).extract(&list, &mut any(NoBaggage)));
        list.with_prefix(any("name"), &mut |name, value| used((name, value)));
        used(is_header(bytes(), any("name")));
        key_of_header(bytes(), any("name"), |key| used(key));
    }

    styles {
        let mut styles: Styles = any([Style::B3]).into_iter().collect();
        styles.push(any(Style::B3));
        used((styles.contains(any(Style::B3)), styles.is_empty()));
        styles.iter().rev().for_each(|style| used(style.name()));
        used(Style::from_name(bytes()));
        used(any(Style::B3).is_known_to_datadog());
    }
}
