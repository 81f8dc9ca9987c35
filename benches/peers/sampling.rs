//! What a sampling decision costs, beside OpenTelemetry's SDK and Datadog's tracer for Rust.
//!
//! Datadog's is asked in two ways: as it samples an OpenTelemetry span, whose service, name and resource it works out
//! first, and for a span that has them, as ours is.

#[path = "../side_by_side/mod.rs"]
mod side_by_side;

use criterion::{Criterion, criterion_group, criterion_main};
use datadog_opentelemetry::sampling::{
    AttributeLike, DatadogSampler, OtelSamplingData, SamplingData, SamplingRule, SpanProperties, ValueLike,
};
use ddtrace::context::{SpanContext, TraceContext};
use ddtrace::ids::TraceId;
use ddtrace::sampling::rules::parse_json;
use ddtrace::sampling::{
    AgentRateTable, Base, NoRates, OwnedSampler, Sampled, SamplingConfig, TagValue, keeps, keeps_ratio,
};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler as SdkSampler, SamplingDecision, ShouldSample};
use side_by_side::SideBySide;
use std::borrow::Cow;
use std::cell::Cell;
use std::sync::RwLock;
use std::time::Instant;

const SERVICE: &str = "checkout-service";
const NAME: &str = "http.server.request";
const RESOURCE: &str = "GET /api/v1/orders/49/items";
const RATE: f64 = 0.5;

/// The local root, for our sampler and for Datadog's.
struct Root {
    trace_id: u128,
}

impl Sampled for Root {
    fn service(&self) -> &[u8] {
        SERVICE.as_bytes()
    }
    fn name(&self) -> &[u8] {
        NAME.as_bytes()
    }
    fn resource(&self) -> &[u8] {
        RESOURCE.as_bytes()
    }
    fn tag(&self, _name: &[u8]) -> Option<TagValue<'_>> {
        None
    }
}

/// An attribute that no span has.
struct NoAttribute;

impl AttributeLike for NoAttribute {
    type Value = NoAttribute;
    fn key(&self) -> &str {
        ""
    }
    fn value(&self) -> &NoAttribute {
        self
    }
}

impl ValueLike for NoAttribute {
    fn as_float(&self) -> Option<f64> {
        None
    }
    fn as_str(&self) -> Option<Cow<'_, str>> {
        None
    }
}

impl SpanProperties for Root {
    type Attribute<'a> = NoAttribute;
    fn operation_name(&self) -> Cow<'_, str> {
        NAME.into()
    }
    fn service(&self) -> Cow<'_, str> {
        SERVICE.into()
    }
    fn env(&self) -> Cow<'_, str> {
        "prod".into()
    }
    fn resource(&self) -> Cow<'_, str> {
        RESOURCE.into()
    }
    fn status_code(&self) -> Option<u32> {
        None
    }
    fn attributes(&self) -> impl Iterator<Item = NoAttribute> + '_ {
        std::iter::empty()
    }
    fn get_alternate_key<'b>(&self, _key: &'b str) -> Option<Cow<'b, str>> {
        None
    }
}

impl SamplingData for Root {
    type TraceId = u128;
    type Properties<'a> = Root;
    fn is_parent_sampled(&self) -> Option<bool> {
        None
    }
    fn trace_id(&self) -> &u128 {
        &self.trace_id
    }
    fn with_span_properties<S, T, F>(&self, sampler: &S, decide: F) -> T
    where
        F: Fn(&S, &Root) -> T,
    {
        decide(sampler, self)
    }
}

/// The glob for the resource of the rule with this number; the last of fifty is the first that matches.
fn resource(number: u32) -> String {
    format!("GET /api/v1/orders/{number}/*")
}

fn our_rules(numbers: std::ops::Range<u32>) -> String {
    let rule = |number| format!(r#"{{"sample_rate":{RATE},"service":"Checkout-*","resource":"{}"}}"#, resource(number));
    format!("[{}]", numbers.map(rule).collect::<Vec<_>>().join(","))
}

fn our_sampler(numbers: std::ops::Range<u32>, rate_limit: i64, base: Base) -> OwnedSampler {
    let (rules, warnings) = parse_json(&our_rules(numbers));
    assert!(warnings.is_empty(), "{warnings:?}");
    OwnedSampler::new(SamplingConfig { rules, rate_limit, base, ..SamplingConfig::default() })
}

fn datadogs_sampler(numbers: std::ops::Range<u32>, rate_limit: i32) -> DatadogSampler {
    let text = |text: &str| Some(text.to_owned());
    let rule = |number| SamplingRule::new(RATE, text("Checkout-*"), None, Some(resource(number)), None, None);
    DatadogSampler::new(numbers.map(rule).collect(), rate_limit)
}

/// Trace ids, as many as are wanted, at no cost worth speaking of.
struct Ids(Cell<u64>);

impl Ids {
    fn new() -> Ids {
        Ids(Cell::new(7))
    }

    fn next(&self) -> u128 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        TraceId::new(1_700_000_000, self.0.get()).0
    }
}

fn is_sampled(sampler: &SdkSampler, trace_id: u128) -> bool {
    let result = sampler.should_sample(None, trace_id.into(), NAME, &SpanKind::Server, &[], &[]);
    result.decision == SamplingDecision::RecordAndSample
}

/// Whoever decides faster must decide the same.
fn all_decide_alike() {
    let ids = Ids::new();
    let (ours, datadogs) = (our_sampler(49..50, -1, Base::Agent), datadogs_sampler(49..50, -1));
    let ratio = SdkSampler::TraceIdRatioBased(RATE);
    for _ in 0..100_000 {
        let root = Root { trace_id: ids.next() };
        let trace_id = TraceId(root.trace_id);
        let decision = ours.sampler().decide(trace_id, &root, b"prod", &NoRates, 0);
        assert_eq!(decision.priority.keeps(), datadogs.sample(&root).get_priority().is_keep(), "{trace_id}");
        assert_eq!(decision.priority.keeps(), keeps(trace_id, RATE), "the rule was not found");
        assert_eq!(keeps_ratio(trace_id, RATE), is_sampled(&ratio, root.trace_id), "{trace_id}");
    }
}

/// Datadog's sampler for a span of OpenTelemetry's API.
fn of_otel_span(
    sampler: &DatadogSampler,
    trace_id: u128,
    attributes: &[KeyValue],
    resource: &RwLock<Resource>,
) -> bool {
    let trace_id = trace_id.into();
    let data = OtelSamplingData::new(None, &trace_id, NAME, SpanKind::Server, attributes, resource);
    sampler.sample(&data).get_priority().is_keep()
}

fn decisions(criterion: &mut Criterion) {
    all_decide_alike();
    let ids = Ids::new();
    let attributes =
        [KeyValue::new("http.request.method", "GET"), KeyValue::new("http.route", "/api/v1/orders/49/items")];
    let service = RwLock::new(Resource::builder_empty().with_service_name(SERVICE).build());
    for (title, numbers) in [
        ("a decision by the ratio alone or without rules", 0..0),
        ("a decision by the only rule", 49..50),
        ("a decision by the last of 50 rules", 0..50),
    ] {
        let mut table = SideBySide::new(criterion, title, 1, "decision");
        let base = if numbers.is_empty() { Base::Ratio(RATE) } else { Base::Agent };
        let ours = our_sampler(numbers.clone(), -1, base);
        let datadogs = datadogs_sampler(numbers.clone(), -1);
        table.measure("ddtrace", || {
            let root = Root { trace_id: ids.next() };
            ours.sampler().decide(TraceId(root.trace_id), &root, b"prod", &NoRates, 0).priority.keeps()
        });
        if numbers.is_empty() {
            let mut rates = AgentRateTable::default();
            rates.update(br#"{"rate_by_service":{"service:,env:":1,"service:checkout-service,env:prod":0.5}}"#, None);
            let ours = OwnedSampler::new(SamplingConfig::default());
            table.measure("ddtrace, by the Agent's rates", || {
                let root = Root { trace_id: ids.next() };
                ours.sampler().decide(TraceId(root.trace_id), &root, b"prod", &rates, 0).priority.keeps()
            });
            let ratio = SdkSampler::TraceIdRatioBased(RATE);
            table.measure("opentelemetry_sdk, TraceIdRatioBased", || is_sampled(&ratio, ids.next()));
            let parent_based = SdkSampler::ParentBased(Box::new(SdkSampler::TraceIdRatioBased(RATE)));
            table.measure("opentelemetry_sdk, ParentBased", || is_sampled(&parent_based, ids.next()));
            datadogs.on_agent_response()(
                r#"{"rate_by_service":{"service:,env:":1,"service:checkout-service,env:prod":0.5}}"#,
            );
        }
        table.measure("datadog-opentelemetry, of a span with its names", || {
            datadogs.sample(&Root { trace_id: ids.next() }).get_priority().is_keep()
        });
        table.measure("datadog-opentelemetry, of an OpenTelemetry span", || {
            of_otel_span(&datadogs, ids.next(), &attributes, &service)
        });
        table.finish();
    }
}

fn with_a_limit(criterion: &mut Criterion) {
    let ids = Ids::new();
    let mut table = SideBySide::new(criterion, "a decision by the only rule, within a limit", 1, "decision");
    let ours = our_sampler(49..50, 100, Base::Agent);
    let start = Instant::now();
    table.measure("ddtrace, and a look at the clock", || {
        let root = Root { trace_id: ids.next() };
        ours.sampler()
            .decide(TraceId(root.trace_id), &root, b"prod", &NoRates, start.elapsed().as_nanos() as u64)
            .priority
            .keeps()
    });
    let datadogs = datadogs_sampler(49..50, 100);
    table.measure("datadog-opentelemetry, of a span with its names", || {
        datadogs.sample(&Root { trace_id: ids.next() }).get_priority().is_keep()
    });
    table.measure("the look at the clock in both alone", || start.elapsed());
    table.finish();
}

fn left_in_the_context(criterion: &mut Criterion) {
    let ids = Ids::new();
    let mut table = SideBySide::new(criterion, "what a decision leaves in the context", 1, "decision");
    let ours = our_sampler(49..50, -1, Base::Agent);
    table.measure("ddtrace: priority, _dd.p.dm, _dd.p.ksr, ot", || {
        let root = Root { trace_id: ids.next() };
        let trace_id = TraceId(root.trace_id);
        let decision = ours.sampler().decide(trace_id, &root, b"prod", &NoRates, 0);
        let span = SpanContext { trace_id, ..SpanContext::default() };
        let mut trace = TraceContext { span, ..TraceContext::default() };
        decision.apply(&mut trace);
        trace.tags.as_bytes().len()
    });
    table.finish();
}

criterion_group!(benches, decisions, with_a_limit, left_in_the_context);
criterion_main!(benches);
