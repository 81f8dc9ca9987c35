//! What becomes of spans before the SDK exports them: secrets are hidden by the rules of [`crate::span::scrub`], and what
//! the SDK does not see to is put right.

use crate::context::{FLAG_RANDOM, FLAG_SAMPLED};
use crate::otel::values;
use crate::semconv::{MANUAL_DROP, MANUAL_KEEP};
use crate::span::SpanLimits;
use crate::span::scrub::{Pair, Rules, SpanRules};
use opentelemetry::trace::{SpanContext, TraceFlags};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::collections::HashSet;
use std::string::{String, ToString};
use std::time::Duration;
use std::vec::Vec;

/// An exporter that gets no secrets to see, no key twice, and no text that is too long.
#[derive(Debug)]
pub(super) struct Scrubbing<E> {
    exporter: E,
    rules: Rules,
    limits: SpanLimits,
    is_json: bool,
}

impl<E> Scrubbing<E> {
    /// `is_json`: the exporter writes OTLP as JSON.
    pub(super) fn new(exporter: E, rules: Rules, limits: SpanLimits, is_json: bool) -> Self {
        Scrubbing { exporter, rules, limits, is_json }
    }
}

impl<E: SpanExporter> SpanExporter for Scrubbing<E> {
    fn export(&self, mut batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        batch.iter_mut().for_each(|span| {
            tidy(span);
            scrub(span, &self.rules);
            cut(span, &self.limits);
            if self.is_json {
                spell_out(span);
            }
        });
        self.exporter.export(batch)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The attributes of events and links.
fn details(span: &mut SpanData) -> impl Iterator<Item = &mut Vec<KeyValue>> {
    let events = span.events.events.iter_mut().map(|event| &mut event.attributes);
    events.chain(span.links.links.iter_mut().map(|link| &mut link.attributes))
}

/// The last value of a key counts, and wishes to keep or drop the trace are no attributes. What Datadog's tracers tell each
/// other is for no receiver of OTLP, and of the flags only those that are laid down.
fn tidy(span: &mut SpanData) {
    let context = &span.span_context;
    let state = context.trace_state().delete("dd").unwrap_or_else(|_| context.trace_state().clone());
    let flags = context.trace_flags() & TraceFlags::new(FLAG_SAMPLED | FLAG_RANDOM);
    span.span_context = SpanContext::new(context.trace_id(), context.span_id(), flags, context.is_remote(), state);
    span.attributes.retain(|pair| ![MANUAL_KEEP, MANUAL_DROP, ""].contains(&pair.key.as_str()));
    unique(&mut span.attributes);
    details(span).for_each(unique);
}

/// JSON has no numbers that are none, and the exporter writes nothing in their place: they are written as texts.
fn spell_out(span: &mut SpanData) {
    let spell = |pair: &mut KeyValue| {
        let spelled = match &pair.value {
            Value::F64(number) if !number.is_finite() => Value::from(name_of(*number)),
            Value::Array(Array::F64(numbers)) if numbers.iter().any(|number| !number.is_finite()) => {
                Value::Array(Array::String(numbers.iter().map(|number| name_of(*number).into()).collect()))
            }
            _ => return,
        };
        pair.value = spelled;
    };
    span.attributes.iter_mut().for_each(spell);
    details(span).flatten().for_each(spell);
}

/// As ProtoJSON names what is no number.
fn name_of(number: f64) -> String {
    match number {
        f64::INFINITY => String::from("Infinity"),
        f64::NEG_INFINITY => String::from("-Infinity"),
        _ => number.to_string(),
    }
}

fn unique(attributes: &mut Vec<KeyValue>) {
    let mut seen = HashSet::with_capacity(attributes.len());
    if attributes.iter().all(|pair| seen.insert(pair.key.as_str())) {
        return;
    }
    let mut seen = HashSet::with_capacity(attributes.len());
    attributes.reverse();
    attributes.retain(|pair| seen.insert(pair.key.clone()));
    attributes.reverse();
}

/// After the scrubbing, which reads whole texts.
fn cut(span: &mut SpanData, limits: &SpanLimits) {
    if let Some(most) = limits.attribute_length {
        span.attributes.iter_mut().for_each(|pair| shorten(&mut pair.value, most));
    }
    if let Some(most) = limits.nested_attribute_length {
        details(span).flatten().for_each(|pair| shorten(&mut pair.value, most));
    }
}

fn shorten(value: &mut Value, most: usize) {
    let shorten = |text: &mut StringValue| {
        if let Some((end, _)) = text.as_str().char_indices().nth(most) {
            *text = text.as_str()[..end].to_string().into();
        }
    };
    match value {
        Value::String(text) => shorten(text),
        Value::Array(Array::String(texts)) => texts.iter_mut().for_each(shorten),
        _ => {}
    }
}

fn scrub(span: &mut SpanData, rules: &Rules) {
    let rules = SpanRules::new(rules, values::kind(&span.span_kind), None, &span.attributes);
    rules.scrub_name(&mut span.name);
    rules.scrub(&mut span.attributes);
    details(span).for_each(|attributes| rules.scrub(attributes));
}

impl Pair for KeyValue {
    fn key(&self) -> &str {
        self.key.as_str()
    }

    fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        }
    }

    fn edit(&mut self, scrub: &dyn Fn(&str) -> Option<String>) {
        let texts = match &mut self.value {
            Value::String(text) => std::slice::from_mut(text),
            Value::Array(Array::String(texts)) => texts.as_mut_slice(),
            _ => return,
        };
        for text in texts {
            if let Some(scrubbed) = scrub(text.as_str()) {
                *text = scrubbed.into();
            }
        }
    }

    fn replace(&mut self, text: &'static str) {
        match &mut self.value {
            Value::Array(Array::String(texts)) => texts.fill(text.into()),
            value => *value = text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Obfuscation;
    use opentelemetry::Context;
    use opentelemetry::trace::{
        Event, Link, Span as _, SpanId, SpanKind, TraceContextExt, TraceId, TraceState, Tracer, TracerProvider,
    };
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use std::sync::{Arc, Mutex};
    use std::time::SystemTime;
    use std::vec;

    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    #[test]
    fn what_the_sdk_exports_is_put_right() {
        let kept = Kept::default();
        let rules = Rules::new(&Obfuscation { client_query_string: false, ..Obfuscation::default() });
        let limits =
            SpanLimits { attribute_length: Some(20), nested_attribute_length: Some(6), ..SpanLimits::default() };
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(Scrubbing::new(kept.clone(), rules, limits, true))
            .build();
        let tracer = provider.tracer("test");
        let headers = Value::Array(Array::String(vec!["a=1".into(), "b=2".into()]));
        let statements = Value::Array(Array::String(vec!["SELECT 'a'".into()]));
        let attributes = [
            KeyValue::new("db.system", "postgresql"),
            KeyValue::new("db.query.text", statements.clone()),
            KeyValue::new("url.query", "a=1"),
            KeyValue::new("http.request.header.cookie", headers),
            KeyValue::new("other", 4),
            KeyValue::new("manual.keep", true),
            KeyValue::new("long", "äöüß".repeat(20)),
            KeyValue::new("other", 5),
            KeyValue::new("", "nameless"),
            KeyValue::new("none", f64::NAN),
            KeyValue::new("some", Value::Array(Array::F64(vec![1.5, f64::NEG_INFINITY]))),
        ];
        let statement = || vec![KeyValue::new("db.query.text", statements.clone())];
        let (trace, id) = (TraceId::from(1), SpanId::from(2));
        let linked = SpanContext::new(trace, id, TraceFlags::SAMPLED, true, TraceState::NONE);
        let state = TraceState::from_key_value([("dd", "s:1"), ("ot", "th:0"), ("a", "b")]).unwrap();
        let parent = SpanContext::new(trace, id, TraceFlags::new(0xff), true, state);
        let parent = Context::new().with_remote_span_context(parent);
        let mut span = tracer
            .span_builder("SELECT * FROM users WHERE password='hunter2'")
            .with_kind(SpanKind::Client)
            .with_attributes(attributes)
            .with_events(vec![Event::new("e", SystemTime::now(), statement(), 0)])
            .with_links(vec![Link::new(linked, statement(), 0)])
            .start_with_context(&tracer, &parent);
        span.end();
        let spans = kept.0.lock().unwrap();
        let [span] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!(span.name, "SELECT * FROM users WHERE password=?");
        let shown = KeyValue::new("db.query.text", Value::Array(Array::String(vec!["SELECT ?".into()])));
        let redacted = Value::Array(Array::String(vec!["<redacted>".into(); 2]));
        let expected = [
            KeyValue::new("db.system", "postgresql"),
            shown.clone(),
            KeyValue::new("http.request.header.cookie", redacted),
            KeyValue::new("long", "äöüß".repeat(5)),
            KeyValue::new("other", 5),
            KeyValue::new("none", "NaN"),
            KeyValue::new("some", Value::Array(Array::String(vec!["1.5".into(), "-Infinity".into()]))),
        ];
        assert_eq!(span.attributes, expected);
        assert_eq!(span.span_context.trace_state().header(), "ot=th:0,a=b");
        assert_eq!(span.span_context.trace_flags().to_u8(), 3);
        let shorter = KeyValue::new("db.query.text", Value::Array(Array::String(vec!["SELECT".into()])));
        assert_eq!(span.events.events[0].attributes, std::slice::from_ref(&shorter));
        assert_eq!(span.links.links[0].attributes, [shorter]);
    }
}
