//! A span as sampling rules see it, in the part that assembles spans.

use super::error::{self, Told};
use super::names;
use super::tags::{datadogs_name, is_datadogs_name, kind_of, single};
use super::text::value_text;
use crate::failure::{ErrorTag, error_source};
use crate::sampling::{Sampled, TagValue};
use crate::semconv::{SPAN_KIND, is_field};
use crate::span::{Resource, Span, Value};
use core::cell::OnceCell;
use std::borrow::Cow;

/// A span under the names that the mapping gives it, for which rules are written. They are worked out only if there is a
/// rule to ask for them.
pub struct SampledSpan<'a> {
    span: &'a Span,
    resource: &'a Resource,
    names: OnceCell<(Cow<'a, str>, Cow<'a, str>)>,
    /// What the span's failure says of each of [`ErrorTag::ALL`].
    failure: OnceCell<[Option<Cow<'a, str>>; 3]>,
}

impl<'a> SampledSpan<'a> {
    /// The span, which `resource` has made.
    #[must_use]
    pub fn new(span: &'a Span, resource: &'a Resource) -> Self {
        SampledSpan { span, resource, names: OnceCell::new(), failure: OnceCell::new() }
    }

    /// Operation name and resource.
    fn names(&self) -> &(Cow<'a, str>, Cow<'a, str>) {
        self.names.get_or_init(|| (names::operation_name(self.span), names::resource(self.span)))
    }

    /// What the span's failure says of a tag.
    fn failure(&self, tag: ErrorTag) -> Option<&str> {
        let describe = || {
            let sent = |name: &str| {
                let of_process =
                    || self.resource.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value);
                self.attribute(name).or_else(of_process)
            };
            let told = Told { span: self.span, tag: &|name| Some(kind_of(name, sent(name)?)) };
            let text = |name: &str| sent(name).map(value_text);
            ErrorTag::ALL.map(|tag| error::text(self.span, error_source(&told, tag)?, &text))
        };
        let place = ErrorTag::ALL.iter().position(|other| *other == tag)?;
        self.failure.get_or_init(describe).get(place)?.as_deref()
    }

    /// The attribute that is sent under this name, its own or Datadog's.
    fn attribute(&self, name: &str) -> Option<&'a Value> {
        let is_renamed = !self.span.has_datadog_tags;
        if is_renamed && is_field(name.as_bytes()) {
            return None;
        }
        let attributes = &self.span.attributes;
        let by_its_own = attributes.iter().find(|(key, _)| key == name);
        let by_datadogs_name = || match is_renamed && is_datadogs_name(name) {
            true => attributes.iter().find(|(key, _)| datadogs_name(key) == name),
            false => None,
        };
        let (key, value) = by_its_own.or_else(by_datadogs_name)?;
        Some(single(key, value))
    }
}

impl Sampled for SampledSpan<'_> {
    fn service(&self) -> &[u8] {
        super::service(self.span, self.resource).as_bytes()
    }

    fn name(&self) -> &[u8] {
        self.names().0.as_bytes()
    }

    fn resource(&self) -> &[u8] {
        self.names().1.as_bytes()
    }

    /// An attribute of the span by its own name or by Datadog's, as far as it is a tag as well, and how the span failed.
    fn tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        let name = core::str::from_utf8(name).ok()?;
        if name == SPAN_KIND {
            return Some(TagValue::Text(names::kind(self.span).as_bytes()));
        }
        let overriding = match name {
            "env" => Some("datadog.env"),
            "version" => Some("datadog.version"),
            _ => None,
        };
        if let Some(text) = overriding.and_then(|key| names::convention_text(self.span, &[key])) {
            return Some(TagValue::Text(text.as_bytes()));
        }
        let failure = ErrorTag::named(name.as_bytes()).and_then(|tag| self.failure(tag));
        failure.map(|text| TagValue::Text(text.as_bytes())).or_else(|| self.attribute(name).map(seen))
    }

    fn main_service(&self) -> &[u8] {
        self.resource.text("service.name").unwrap_or_default().as_bytes()
    }

    fn shared_tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        let name = core::str::from_utf8(name).ok()?;
        let text = |key| self.resource.text(key).filter(|text| !text.is_empty());
        let named = match name {
            "env" => text("deployment.environment.name").or_else(|| text("deployment.environment")),
            "version" => text("service.version"),
            _ => return self.resource.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| seen(value)),
        };
        named.map(|text| TagValue::Text(text.as_bytes()))
    }
}

fn seen(value: &Value) -> TagValue<'_> {
    match value {
        Value::String(text) => TagValue::Text(text.as_bytes()),
        Value::I64(number) => TagValue::Integer(*number),
        Value::F64(number) => TagValue::Float(*number),
        Value::Bool(truth) => TagValue::Bool(*truth),
        Value::Array(_) => TagValue::List,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{attribute, span};
    use super::*;
    use crate::sampling::sent_tag;
    use crate::span::{Event, SpanKind, Status};
    use std::vec;

    #[test]
    fn rules_see_the_names_of_the_mapping() {
        let attributes = [
            ("service.name", "shop"),
            ("team", "a"),
            ("deployment.environment.name", "prod"),
            ("service.version", "7"),
        ];
        let resource = Resource { attributes: attributes.map(|(key, value)| attribute(key, value)).to_vec() };
        let list = |values: &[&'static str]| Value::Array(values.iter().map(|value| Value::from(*value)).collect());
        let attributes = vec![
            attribute("http.request.method", "GET"),
            attribute("http.response.status_code", 503),
            attribute("http.response.header.etag", list(&["a"])),
            attribute("http.response.header.vary", list(&["a", "b"])),
        ];
        let span = Span { kind: SpanKind::Server, attributes, ..span() };
        let sampled = SampledSpan::new(&span, &resource);
        assert_eq!(
            (sampled.service(), sampled.name(), sampled.resource()),
            (&b"shop"[..], &b"http.server.request"[..], &b"GET"[..])
        );
        for (tag, value) in [
            ("http.request.method", Some(TagValue::Text(b"GET"))),
            ("http.method", Some(TagValue::Text(b"GET"))),
            ("http.status_code", Some(TagValue::Integer(503))),
            ("team", Some(TagValue::Text(b"a"))),
            ("env", Some(TagValue::Text(b"prod"))),
            ("version", Some(TagValue::Text(b"7"))),
            ("service.version", None),
            ("deployment.environment.name", None),
            ("http.response.headers.etag", Some(TagValue::Text(b"a"))),
            ("http.response.headers.vary", Some(TagValue::List)),
            ("span.kind", Some(TagValue::Text(b"server"))),
            ("other", None),
        ] {
            assert_eq!(sent_tag(&sampled, tag.as_bytes()), value, "{tag}");
        }
        // What an API of Datadog's has made is called what that has called it, and its tags are what they are.
        let datadogs = Span {
            has_datadog_tags: true,
            operation_name: Some("op".into()),
            attributes: vec![
                attribute("http.request.method", "GET"),
                attribute("resource.name", "tag"),
                attribute("operation.name", "tag"),
                attribute("datadog.service", "tag"),
                attribute("span.kind", "client"),
            ],
            ..span.clone()
        };
        let sampled = SampledSpan::new(&datadogs, &resource);
        assert_eq!((sampled.service(), sampled.name(), sampled.resource()), (&b"shop"[..], &b"op"[..], &b"work"[..]));
        for (tag, value) in [
            ("http.request.method", Some(TagValue::Text(b"GET"))),
            ("http.method", None),
            ("resource.name", Some(TagValue::Text(b"tag"))),
            ("span.kind", Some(TagValue::Text(b"client"))),
        ] {
            assert_eq!(sent_tag(&sampled, tag.as_bytes()), value, "{tag}");
        }
        let other = Span { service: Some("db".into()), ..span };
        assert_eq!(SampledSpan::new(&other, &resource).service(), b"db");
    }

    #[test]
    fn rules_see_how_a_span_failed_as_it_is_sent() {
        let resource = Resource::default();
        let exception = Event {
            time_unix_nano: 1,
            name: "exception".into(),
            attributes: vec![attribute("exception.type", "KeyError"), attribute("exception.message", "k")],
            dropped_attributes: 0,
        };
        let failed = Span {
            attributes: vec![attribute("error.type", "other"), attribute("error.stack", "mine")],
            events: vec![exception],
            status: Status::Error("said".into()),
            ..span()
        };
        let handled = Span { status: Status::Unset, ..failed.clone() };
        let by_status = Span { events: vec![], ..failed.clone() };
        let by_code = Span {
            attributes: vec![attribute("http.response.status_code", 503), attribute("http.status_text", "No")],
            status: Status::Error("".into()),
            ..span()
        };
        let overruled = Span { attributes: vec![attribute("datadog.error.msg", "mine")], ..failed.clone() };
        let said = |text: &'static str| Some(text);
        for (span, message, kind, stack) in [
            (&failed, said("k"), said("KeyError"), said("mine")),
            (&handled, None, said("other"), said("mine")),
            (&by_status, said("said"), said("other"), said("mine")),
            (&by_code, said("503 No"), None, None),
            (&overruled, said("mine"), said("KeyError"), None),
        ] {
            let sampled = SampledSpan::new(span, &resource);
            for (tag, expected) in [("error.message", message), ("error.type", kind), ("error.stack", stack)] {
                let expected = expected.map(|text| TagValue::Text(text.as_bytes()));
                assert_eq!(sent_tag(&sampled, tag.as_bytes()), expected, "{tag} of {span:?}");
            }
        }
    }

    #[test]
    fn rules_see_environment_and_version_as_they_are_sent() {
        let attributes = [("service.name", "shop"), ("deployment.environment.name", "prod"), ("service.version", "7")];
        let resource = Resource { attributes: attributes.map(|(key, value)| attribute(key, value)).to_vec() };
        let attributes = vec![attribute("datadog.env", "e2"), attribute("datadog.service", "other")];
        let other = Span { attributes, ..span() };
        let sampled = SampledSpan::new(&other, &resource);
        assert_eq!((sent_tag(&sampled, b"env"), sent_tag(&sampled, b"version")), (Some(TagValue::Text(b"e2")), None));
        let own = span();
        let sampled = SampledSpan::new(&own, &resource);
        let said = |text: &'static [u8]| Some(TagValue::Text(text));
        assert_eq!((sent_tag(&sampled, b"env"), sent_tag(&sampled, b"version")), (said(b"prod"), said(b"7")));
    }
}
