//! The local root as sampling rules see it.

use super::data::SpanData;
use super::settings::Settings;
use crate::failure::{EXCEPTION, is_exception};
use crate::record::{Field, FieldValue, ReadEvent};
use crate::sampling::{Sampled, TagValue};
use crate::semconv::{Key, RESOURCE_NAME};
use crate::span::datadog::SampledSpan;
use crate::span::{Event, Scope, Span, Value};
use std::borrow::Cow;
use std::string::String;
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

/// Calls `look` with the local root under the names that the mapping to Datadog gives it, for which rules are written. They
/// are worked out only where there are rules: the Agent's rates are found by service and environment alone.
pub(super) fn view<T>(data: &SpanData, settings: &Settings, look: impl FnOnce(&dyn Sampled) -> T) -> T {
    if settings.sampler.sampler().rules.is_empty() {
        return look(&Place { service: service(data, settings), env: env(data) });
    }
    let span = as_span(data);
    look(&SampledSpan::new(&span, &settings.resource))
}

/// A local root of which only this is asked.
struct Place<'a> {
    service: Cow<'a, str>,
    /// Where the span says one of its own.
    env: Option<&'a [u8]>,
}

impl Sampled for Place<'_> {
    fn service(&self) -> &[u8] {
        self.service.as_bytes()
    }

    fn name(&self) -> &[u8] {
        b""
    }

    fn resource(&self) -> &[u8] {
        b""
    }

    fn tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        self.env.filter(|_| name == b"env").map(TagValue::Text)
    }
}

fn env(data: &SpanData) -> Option<&[u8]> {
    let said = |name| match data.attribute(name) {
        Some(FieldValue::Text(text)) => Some(text),
        _ => None,
    };
    said("datadog.env").filter(|text| !text.is_empty() && !data.has_datadog_tags()).or_else(|| said("env"))
}

fn service<'a>(data: &'a SpanData, settings: &'a Settings) -> Cow<'a, str> {
    let said = |name| match data.attribute(name).filter(|_| !data.has_datadog_tags()) {
        Some(FieldValue::Text(text)) if !text.is_empty() => Some(String::from_utf8_lossy(text)),
        _ => None,
    };
    let said = said("datadog.service").or_else(|| said("service.name"));
    let said = said.or_else(|| data.text(Key::Service).map(Cow::Borrowed));
    said.unwrap_or_else(|| Cow::Borrowed(settings.service.as_deref().unwrap_or_default()))
}

/// The span in the form that its names are computed from. Lists are empty, as rules see no more of them than that they are
/// there, but for a single text, which a header's is.
fn as_span(data: &SpanData) -> Span {
    let text = |key| data.text(key).map(|text| Cow::Owned(text.into()));
    let mut span = Span {
        name: Cow::Owned(data.name.clone().into_owned()),
        has_datadog_tags: data.has_datadog_tags(),
        kind: data.kind,
        operation_name: text(Key::OperationName),
        span_type: text(Key::SpanType),
        service: data.text(Key::Service).map(String::from),
        scope: data.scope.clone(),
        status: data.status.clone(),
        ..Span::default()
    };
    for field in data.fields.iter() {
        if let FieldValue::Event(event) = &field.value {
            // Of events the last exception is all that is seen.
            if is_exception(event.name) {
                span.events = vec![exception(event)];
            }
            continue;
        }
        let Some(value) = value(&field.value) else { continue };
        match field.key {
            // Where its start is recorded already.
            Key::ScopeName => {
                if let FieldValue::Text(name) = &field.value {
                    span.scope = Some(Arc::new(Scope { name: lossy(name), ..Scope::default() }));
                }
            }
            Key::Attribute => span.attributes.push((Cow::Owned(lossy(field.name)), value)),
            // What Datadog's APIs call the resource is the name as well.
            Key::ResourceName if span.has_datadog_tags => {}
            Key::ResourceName => span.attributes.push((Cow::Borrowed(RESOURCE_NAME), value)),
            _ => {}
        }
    }
    // It can be said in two ways, of which the last counts.
    let said = |(name, _): &(Cow<'_, str>, Value)| name == RESOURCE_NAME;
    if let Some(last) = span.attributes.iter().rposition(said) {
        let mut place = 0;
        span.attributes.retain(|attribute| {
            place += 1;
            place > last || !said(attribute)
        });
    }
    span.take_kind();
    span
}

fn exception(event: &ReadEvent<'_>) -> Event {
    let attribute = |field: Field<'_>| Some((Cow::Owned(lossy(field.name)), value(&field.value)?));
    Event {
        time_unix_nano: event.time_unix_ns,
        name: Cow::Borrowed(EXCEPTION),
        attributes: event.fields().filter(|field| field.key == Key::Attribute).filter_map(attribute).collect(),
        dropped_attributes: 0,
    }
}

fn value(value: &FieldValue<'_>) -> Option<Value> {
    Some(match value {
        FieldValue::Text(text) => Value::from(lossy(text)),
        FieldValue::Integer(number) => Value::I64(*number),
        FieldValue::Float(number) => Value::F64(*number),
        FieldValue::Bool(truth) => Value::Bool(*truth),
        FieldValue::TextList(texts) if texts.len() == 1 => {
            Value::Array(texts.iter().map(|text| Value::from(lossy(text))).collect())
        }
        FieldValue::TextList(_) | FieldValue::IntegerList(_) | FieldValue::FloatList(_) | FieldValue::BoolList(_) => {
            Value::Array(Vec::new())
        }
        _ => return None,
    })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
