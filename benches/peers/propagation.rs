//! What writing and reading a context costs in each style, next to OpenTelemetry's propagators and to those of Datadog's
//! tracer for Rust. All write into and read from the same map of headers.
#![expect(deprecated, reason = "B3 and Jaeger are, and still spoken")]

#[path = "../side_by_side/mod.rs"]
mod side_by_side;

use criterion::{Criterion, criterion_group, criterion_main};
use datadog_opentelemetry::configuration::{Config, TracePropagationStyle};
use datadog_opentelemetry::propagation::context::{InjectSpanContext, Sampling};
use datadog_opentelemetry::propagation::{DatadogCompositePropagator, carrier};
use ddtrace::context::{Priority, SpanContext, TraceContext};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::propagation::baggage::Baggage;
use ddtrace::propagation::{Carrier, CarrierMut, Outgoing, Propagation, Style};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue, trace};
use opentelemetry_aws::trace::XrayPropagator;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_zipkin::{B3Encoding, Propagator as B3Propagator};
use side_by_side::SideBySide;
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

const TRACE: u128 = 0x640c_fd8d_0000_0000_abcd_efab_1234_5678;
const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;
const STATE: &str = "vend=1,congo=t61rcWkgMzE";
const BAGGAGE: [(&str, &str); 3] = [("user.id", "Am\u{e9}lie 1,2"), ("account.id", "123456"), ("region", "eu-west-1")];

/// Names in lower case, as HTTP/2 has them.
#[derive(Default)]
struct Headers(HashMap<String, String>);

impl Carrier for Headers {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        if let Some(value) = self.0.get(name) {
            each(value.as_bytes());
        }
    }
}

impl CarrierMut for Headers {
    fn set(&mut self, name: &str, value: &[u8]) {
        let value = String::from_utf8(value.to_vec()).expect("headers are ASCII");
        self.0.insert(name.to_owned(), value);
    }
}

/// The traits of each version of OpenTelemetry and of Datadog's tracer.
macro_rules! carrier {
    ($($api:path),*) => {$(
        const _: () = {
            use $api as api;

            impl api::Extractor for Headers {
                fn get(&self, key: &str) -> Option<&str> {
                    match self.0.get(key) {
                        Some(value) => Some(value),
                        // X-Ray's propagator asks for `X-Amzn-Trace-Id`.
                        None => self.0.get(&key.to_ascii_lowercase()).map(String::as_str),
                    }
                }

                fn keys(&self) -> Vec<&str> {
                    self.0.keys().map(String::as_str).collect()
                }
            }

            impl api::Injector for Headers {
                fn set(&mut self, key: &str, value: String) {
                    self.0.insert(key.to_owned(), value);
                }
            }
        };
    )*};
}
carrier!(opentelemetry::propagation, opentelemetry_0_32::propagation, carrier);

fn context() -> TraceContext {
    let span =
        SpanContext { trace_id: TraceId(TRACE), span_id: SpanId(SPAN), priority: Some(Priority::AUTO_KEEP), flags: 1 };
    let mut context = TraceContext { span, ..TraceContext::default() };
    context.tags.set(b"_dd.p.dm", b"-1").expect("it fits");
    context.trace_state.set(STATE.as_bytes()).expect("it fits");
    context
}

fn of_opentelemetry() -> Context {
    let state = trace::TraceState::from_str(STATE).expect("a trace state");
    let span = trace::SpanContext::new(
        trace::TraceId::from(TRACE),
        trace::SpanId::from(SPAN),
        trace::TraceFlags::SAMPLED,
        true,
        state,
    );
    let context = Context::new().with_remote_span_context(span);
    context.with_baggage(BAGGAGE.map(|(key, value)| KeyValue::new(key, value)))
}

fn of_opentelemetry_0_32() -> opentelemetry_0_32::Context {
    use opentelemetry_0_32::trace::{self, TraceContextExt};
    let span = trace::SpanContext::new(
        trace::TraceId::from(TRACE),
        trace::SpanId::from(SPAN),
        trace::TraceFlags::SAMPLED,
        true,
        trace::TraceState::from_str(STATE).expect("a trace state"),
    );
    opentelemetry_0_32::Context::new().with_remote_span_context(span)
}

fn of_datadog(styles: &[TracePropagationStyle]) -> DatadogCompositePropagator<Config> {
    let config = Config::builder()
        .set_trace_propagation_style_inject(styles.to_vec())
        .set_trace_propagation_style_extract(styles.to_vec())
        .build();
    DatadogCompositePropagator::new(Arc::new(config))
}

/// One style, or several, and who else knows them.
struct Case {
    inject: &'static str,
    extract: &'static str,
    ours: &'static [Style],
    opentelemetry: Vec<(&'static str, Box<dyn TextMapPropagator>)>,
    datadog: Option<Vec<TracePropagationStyle>>,
    jaeger: bool,
}

impl Case {
    fn of(inject: &'static str, extract: &'static str, ours: &'static [Style]) -> Self {
        Case { inject, extract, ours, opentelemetry: Vec::new(), datadog: None, jaeger: false }
    }

    fn and(mut self, name: &'static str, propagator: impl TextMapPropagator + 'static) -> Self {
        self.opentelemetry.push((name, Box::new(propagator)));
        self
    }

    fn and_datadog(self, styles: &[TracePropagationStyle]) -> Self {
        Case { datadog: Some(styles.to_vec()), ..self }
    }

    fn propagation(&self) -> Propagation {
        let styles = self.ours.iter().copied().collect();
        Propagation { inject: styles, extract: styles, ..Propagation::default() }
    }

    /// Where it has a header of its own: not all who speak Jaeger's and OpenTracing's dialect write theirs.
    fn baggage(&self) -> Baggage {
        let mut baggage = Baggage::default();
        for (key, value) in BAGGAGE.into_iter().filter(|_| self.ours.contains(&Style::Baggage)) {
            baggage.set(key, value);
        }
        baggage
    }

    fn inject(&self, criterion: &mut Criterion) {
        let mut table = SideBySide::new(criterion, self.inject, 1, "context");
        let (propagation, trace, baggage) = (self.propagation(), context(), self.baggage());
        let outgoing = Outgoing { span: trace.span, is_local: true, trace: &trace, baggage: &baggage };
        let mut headers = Headers::default();
        table.measure("ddtrace", || propagation.inject(&outgoing, &mut headers));
        let theirs = of_opentelemetry();
        for (name, propagator) in &self.opentelemetry {
            let mut headers = Headers::default();
            table.measure(name, || propagator.inject_context(&theirs, &mut headers));
        }
        if self.jaeger {
            use opentelemetry_0_32::propagation::TextMapPropagator;
            let propagator = opentelemetry_jaeger_propagator::Propagator::new();
            let (theirs, mut headers) = (of_opentelemetry_0_32(), Headers::default());
            table.measure("opentelemetry-jaeger-propagator", || propagator.inject_context(&theirs, &mut headers));
        }
        if let Some(styles) = &self.datadog {
            let (propagator, mut headers) = (of_datadog(styles), Headers::default());
            let mut tags = HashMap::from([("_dd.p.dm".to_owned(), "-1".to_owned())]);
            let sampling = Sampling { priority: "1".parse().ok(), mechanism: None };
            table.measure("datadog-opentelemetry", || {
                let mut context = InjectSpanContext {
                    trace_id: TRACE,
                    span_id: SPAN,
                    sampling,
                    origin: None,
                    tags: &mut tags,
                    is_remote: false,
                    tracestate: None,
                    ot_member: None,
                };
                propagator.inject(&mut context, &mut headers);
            });
        }
        table.finish();
    }

    fn extract(&self, criterion: &mut Criterion) {
        let mut table = SideBySide::new(criterion, self.extract, 1, "context");
        let (propagation, trace) = (self.propagation(), context());
        let outgoing = Outgoing { span: trace.span, is_local: true, trace: &trace, baggage: &self.baggage() };
        let mut headers = Headers::default();
        propagation.inject(&outgoing, &mut headers);
        table.measure("ddtrace", || {
            let mut baggage = Baggage::default();
            (propagation.extract(&headers, &mut baggage), baggage)
        });
        for (name, propagator) in &self.opentelemetry {
            table.measure(name, || propagator.extract_with_context(&Context::new(), &headers));
        }
        if self.jaeger {
            use opentelemetry_0_32::propagation::TextMapPropagator;
            let propagator = opentelemetry_jaeger_propagator::Propagator::new();
            let name = "opentelemetry-jaeger-propagator";
            table.measure(name, || propagator.extract_with_context(&opentelemetry_0_32::Context::new(), &headers));
        }
        if let Some(styles) = &self.datadog {
            let propagator = of_datadog(styles);
            table.measure("datadog-opentelemetry", || propagator.extract(&headers));
        }
        table.finish();
    }
}

fn propagation(criterion: &mut Criterion) {
    use TracePropagationStyle as Datadog;
    let jaeger = Case::of("inject: jaeger", "extract: jaeger", &[Style::Jaeger]);
    let cases = [
        Case::of("inject: datadog", "extract: datadog", &[Style::Datadog]).and_datadog(&[Datadog::Datadog]),
        Case::of("inject: tracecontext", "extract: tracecontext", &[Style::TraceContext])
            .and("opentelemetry_sdk", TraceContextPropagator::new())
            .and_datadog(&[Datadog::TraceContext]),
        Case::of("inject: baggage", "extract: baggage", &[Style::Baggage])
            .and("opentelemetry_sdk", BaggagePropagator::new()),
        Case::of("inject: b3", "extract: b3", &[Style::B3])
            .and("opentelemetry-zipkin", B3Propagator::with_encoding(B3Encoding::SingleHeader))
            .and_datadog(&[Datadog::B3SingleHeader]),
        Case::of("inject: b3multi", "extract: b3multi", &[Style::B3Multi])
            .and("opentelemetry-zipkin", B3Propagator::with_encoding(B3Encoding::MultipleHeader))
            .and_datadog(&[Datadog::B3Multi]),
        Case { jaeger: true, ..jaeger },
        Case::of("inject: xray", "extract: xray", &[Style::XRay]).and("opentelemetry-aws", XrayPropagator::new()),
        Case::of("inject: ottrace", "extract: ottrace", &[Style::OtTrace]),
        Case::of(
            "inject: datadog,tracecontext",
            "extract: datadog,tracecontext",
            &[Style::Datadog, Style::TraceContext],
        )
        .and_datadog(&[Datadog::Datadog, Datadog::TraceContext]),
    ];
    for case in &cases {
        case.inject(criterion);
        case.extract(criterion);
    }
}

criterion_group!(benches, propagation);
criterion_main!(benches);
