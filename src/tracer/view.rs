//! The local root as sampling rules see it.

use super::data::SpanData;
use super::settings::Settings;
use crate::record::FieldValue;
use crate::sampling::{Sampled, TagValue};
use crate::semconv::Key;
use crate::span::datadog::names;
use crate::span::{Span, Value};
use core::cell::OnceCell;
use std::borrow::Cow;
use std::string::String;
use std::vec::Vec;

/// The local root with the names that the mapping to Datadog gives it: rules are written for those. They are worked out
/// only if there is a rule to ask for them.
pub(super) struct RootView<'a> {
    data: &'a SpanData,
    settings: &'a Settings,
    service: OnceCell<String>,
    names: OnceCell<(String, String)>,
}

impl<'a> RootView<'a> {
    pub(super) fn of(data: &'a SpanData, settings: &'a Settings) -> RootView<'a> {
        RootView { data, settings, service: OnceCell::new(), names: OnceCell::new() }
    }

    /// Operation name and resource.
    fn names(&self) -> &(String, String) {
        self.names.get_or_init(|| {
            let span = as_span(self.data);
            let resource = match self.data.text(Key::ResourceName) {
                Some(resource) => Cow::Borrowed(resource),
                None => names::resource(&span),
            };
            (names::operation_name(&span).into_owned(), resource.into_owned())
        })
    }
}

impl Sampled for RootView<'_> {
    fn service(&self) -> &[u8] {
        let said = |name| match self.data.attribute(name) {
            Some(FieldValue::Text(text)) if !text.is_empty() => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        };
        let service = self.service.get_or_init(|| {
            let said = said("datadog.service").or_else(|| said("service.name"));
            let said = said.or_else(|| self.data.text(Key::Service).map(String::from));
            said.or_else(|| self.settings.service.clone()).unwrap_or_default()
        });
        service.as_bytes()
    }

    fn name(&self) -> &[u8] {
        self.names().0.as_bytes()
    }

    fn resource(&self) -> &[u8] {
        self.names().1.as_bytes()
    }

    fn tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        Some(match self.data.attribute(core::str::from_utf8(name).ok()?)? {
            FieldValue::Text(text) => TagValue::Text(text),
            FieldValue::Integer(number) => TagValue::Integer(number),
            FieldValue::Float(number) => TagValue::Float(number),
            FieldValue::Bool(truth) => TagValue::Bool(truth),
            _ => return None,
        })
    }
}

/// What the names of a span are computed from.
fn as_span(data: &SpanData) -> Span {
    let text = |key| data.text(key).map(|text| Cow::Owned(text.into()));
    let attributes: Vec<_> = data
        .fields
        .iter()
        .filter(|field| field.key == Key::Attribute)
        .filter_map(|field| match field.value {
            FieldValue::Text(value) => {
                let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                Some((Cow::Owned(lossy(field.name)), Value::from(lossy(value))))
            }
            _ => None,
        })
        .collect();
    Span {
        name: Cow::Owned(data.name.clone().into_owned()),
        kind: data.kind,
        operation_name: text(Key::OperationName),
        span_type: text(Key::SpanType),
        attributes,
        ..Span::default()
    }
}
