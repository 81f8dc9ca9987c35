//! The formats, each by tables of cases, and all of them together.

mod b3;
mod baggage;
mod datadog;
mod older;
mod properties;
mod several;
mod w3c;

use super::baggage::Baggage;
use super::{Carrier, CarrierMut, Dialect, Extracted, NoBaggage, Outgoing, Propagation, Style};
use crate::context::{Priority, PropagationError, SpanContext, TraceContext};
use crate::ids::{SpanId, TraceId};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// Headers in order; names in any letter case, several of one name.
#[derive(Clone, Debug, Default, PartialEq)]
struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    fn of(headers: &[(&str, &str)]) -> Self {
        Headers(headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect())
    }

    fn and(mut self, headers: &[(&str, &str)]) -> Self {
        self.0.extend(Self::of(headers).0);
        self
    }

    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(present, _)| present == name)?;
        Some(std::str::from_utf8(value).unwrap())
    }

    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

impl Carrier for Headers {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        assert_eq!(name, name.to_lowercase(), "names are asked for in lower case");
        self.0.iter().filter(|(present, _)| present.eq_ignore_ascii_case(name)).for_each(|(_, value)| each(value));
    }

    fn with_prefix(&self, prefix: &str, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.0 {
            if let Some(rest) = name.to_lowercase().strip_prefix(prefix) {
                each(rest.as_bytes(), value);
            }
        }
    }
}

impl CarrierMut for Headers {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.0.retain(|(present, _)| present != name);
        self.0.push((name.to_string(), value.to_vec()));
    }
}

fn styles(styles: &[Style]) -> Propagation {
    let list = styles.iter().copied().collect();
    Propagation { inject: list, extract: list, ..Propagation::default() }
}

fn of_otel(list: &[Style]) -> Propagation {
    Propagation { dialect: Dialect::OpenTelemetry, ..styles(list) }
}

fn read(propagation: Propagation, headers: &[(&str, &str)]) -> Extracted {
    propagation.extract(&Headers::of(headers), &mut NoBaggage)
}

/// The context that a style reads, if any.
fn context(style: Style, headers: &[(&str, &str)]) -> Option<TraceContext> {
    read(styles(&[style]), headers).context
}

/// Trace, span and priority.
fn ids(context: &TraceContext) -> (u128, u64, Option<i32>) {
    (context.span.trace_id.0, context.span.span_id.0, context.span.priority.map(|priority| priority.0))
}

fn span(trace_id: u128, span_id: u64, priority: Option<i32>) -> SpanContext {
    SpanContext { trace_id: TraceId(trace_id), span_id: SpanId(span_id), priority: priority.map(Priority), flags: 0 }
}

/// What is written for a context that is passed on.
fn written(propagation: Propagation, context: &TraceContext, baggage: &Baggage) -> Headers {
    let mut headers = Headers::default();
    let outgoing = Outgoing { span: context.span, is_local: false, trace: context, baggage };
    propagation.inject(&outgoing, &mut headers);
    headers
}

/// What a child of the context writes.
fn written_by_child(propagation: Propagation, context: &TraceContext, child: u64) -> Headers {
    let mut headers = Headers::default();
    let span = SpanContext { span_id: SpanId(child), ..context.span };
    let outgoing = Outgoing { span, is_local: true, trace: context, baggage: &NoBaggage };
    assert_eq!(propagation.inject(&outgoing, &mut headers), None);
    headers
}

/// The trace of the reference's vectors.
const TRACE: u128 = 0x640c_fd8d_0000_0000_abcd_efab_1234_5678;
const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;

fn reference() -> TraceContext {
    let mut context = TraceContext { span: span(TRACE, SPAN, Some(2)), ..TraceContext::default() };
    context.tags.set(b"_dd.p.dm", b"-4").unwrap();
    context.tags.set(b"_dd.p.usr.id", b"a=b;c~d").unwrap();
    context
}

fn name_of(error: Option<PropagationError>) -> &'static str {
    error.map_or("", PropagationError::name)
}

#[test]
fn the_names_of_the_fields_are_those_that_are_written() {
    let all = [Style::Datadog, Style::TraceContext, Style::B3, Style::B3Multi, Style::XRay, Style::OtTrace];
    for style in all.into_iter().chain([Style::Jaeger, Style::Baggage]) {
        let propagation = styles(&[style]);
        let mut names = Vec::new();
        propagation.fields(&mut |name| names.push(name.to_string()));
        let mut context = reference();
        let _ = context.origin.set(b"rum");
        for priority in [None, Some(Priority(1)), Some(Priority(2))] {
            context.span.priority = priority;
            let headers = written(propagation, &context, &Baggage::default());
            assert!(headers.names().iter().all(|name| names.contains(&name.to_string())), "{style:?} {headers:?}");
        }
    }
    let mut count = 0;
    Propagation::default().fields(&mut |_| count += 1);
    assert_eq!(count, 8);
}

#[test]
fn an_invalid_context_writes_only_baggage() {
    let mut baggage = Baggage::default();
    baggage.set("k", "v");
    for (trace_id, span_id) in [(0, 0), (0, 1), (1, 0)] {
        let context = TraceContext { span: span(trace_id, span_id, Some(1)), ..TraceContext::default() };
        let headers = written(styles(&Style::ALL), &context, &baggage);
        assert_eq!(headers, Headers::of(&[("baggage", "k=v")]));
    }
}

#[test]
fn no_style_reads_and_writes_nothing() {
    let none = styles(&[]);
    assert_eq!(written(none, &reference(), &Baggage::default()), Headers::default());
    let found = read(none, &[("traceparent", &format!("00-{TRACE:032x}-{SPAN:016x}-01"))]);
    assert!(found.context.is_none() && !found.has_baggage);
}
