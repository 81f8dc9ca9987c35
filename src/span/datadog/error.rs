//! Whether a span failed, and the tags that say how.

use super::names::attribute_text;
use super::tags::Tags;
use super::text::value_text;
use crate::failure::{self, ErrorSource, ErrorTag, Failing, error_source};
use crate::span::{Event, Span, Status, Value};
use std::borrow::Cow;
use std::format;
use std::string::ToString;
use std::vec::Vec;

/// Whether an event tells of an exception.
pub(super) fn is_exception(event: &Event) -> bool {
    failure::is_exception(event.name.as_bytes())
}

/// Adds `error.message`, `error.type` and `error.stack`; says whether the span failed.
pub(super) fn describe<'a>(span: &'a Span, tags: &mut Tags<'a>) -> bool {
    let told = Told { span, tag: &|name| tags.kind(name) };
    let texts: Vec<_> = ErrorTag::ALL
        .into_iter()
        .filter_map(|tag| Some((tag, text(span, error_source(&told, tag)?, &|name| tags.text(name).map(to_owned))?)))
        .collect();
    for (tag, text) in texts {
        tags.set_text(tag.name(), text);
    }
    let failed = matches!(span.status, Status::Error(_));
    match span.attribute("datadog.error").filter(|_| !span.has_datadog_tags) {
        Some(Value::I64(error)) => *error != 0,
        Some(Value::Bool(error)) => *error,
        _ => failed,
    }
}

fn to_owned<'a>(text: &str) -> Cow<'a, str> {
    Cow::Owned(text.to_string())
}

/// The text that a tag has from such a source; `tag` gives those of other tags.
pub(super) fn text<'a>(
    span: &'a Span,
    source: ErrorSource,
    tag: &dyn Fn(&str) -> Option<Cow<'a, str>>,
) -> Option<Cow<'a, str>> {
    match source {
        ErrorSource::Attribute(name) => attribute_text(span, &[name]).map(Cow::Borrowed),
        ErrorSource::Exception(name) => exception_attribute(span, name).map(value_text),
        ErrorSource::Status => match &span.status {
            Status::Error(description) => Some(Cow::Borrowed(description.as_ref())),
            _ => None,
        },
        ErrorSource::HttpStatus => {
            let code = tag("http.status_code")?;
            Some(match tag("http.status_text") {
                Some(reason) => Cow::Owned(format!("{code} {reason}")),
                None => code,
            })
        }
    }
}

/// An attribute of the last exception, if there is any; of two of that name the last one.
fn exception_attribute<'a>(span: &'a Span, name: &str) -> Option<&'a Value> {
    let exception = span.events.iter().rfind(|event| is_exception(event))?;
    exception.attributes.iter().rfind(|(key, _)| key == name).map(|(_, value)| value)
}

/// What a tag is sent as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TagKind {
    Text,
    Number,
}

/// A span with its tags, as far as they are known.
pub(super) struct Told<'a> {
    pub(super) span: &'a Span,
    pub(super) tag: &'a dyn Fn(&str) -> Option<TagKind>,
}

impl Failing for Told<'_> {
    fn has_failed(&self) -> bool {
        matches!(self.span.status, Status::Error(_))
    }

    fn has_datadog_tags(&self) -> bool {
        self.span.has_datadog_tags
    }

    fn is_of_otel(&self) -> bool {
        self.span.scope.is_some()
    }

    fn has_attribute(&self, name: &str) -> bool {
        attribute_text(self.span, &[name]).is_some()
    }

    fn has_tag(&self, name: &str, text: bool) -> bool {
        (self.tag)(name).is_some_and(|kind| !text || kind == TagKind::Text)
    }

    fn exception_has(&self, name: &str) -> bool {
        exception_attribute(self.span, name).is_some()
    }

    fn has_status_message(&self) -> bool {
        matches!(&self.span.status, Status::Error(description) if !description.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::datadog::tests::span;
    use std::vec;

    fn described(span: &Span) -> (bool, Tags<'_>) {
        let mut tags = Tags::default();
        for (key, value) in &span.attributes {
            tags.add_attribute(key, value);
        }
        let failed = describe(span, &mut tags);
        (failed, tags)
    }

    fn exception(message: &'static str) -> Event {
        let attributes = vec![
            (Cow::Borrowed("exception.type"), Value::from("KeyError")),
            (Cow::Borrowed("exception.message"), Value::from(message)),
            (Cow::Borrowed("exception.stacktrace"), Value::from("line 1")),
        ];
        Event { time_unix_nano: 1, name: Cow::Borrowed("exception"), attributes, dropped_attributes: 0 }
    }

    #[test]
    fn the_last_exception_describes_the_error() {
        let mut span = span();
        span.status = Status::Error(Cow::Borrowed("status text"));
        span.events = vec![exception("first"), exception("second")];
        let (failed, tags) = described(&span);
        assert!(failed);
        assert_eq!(tags.text("error.message"), Some("second"));
        assert_eq!(tags.text("error.type"), Some("KeyError"));
        assert_eq!(tags.text("error.stack"), Some("line 1"));
    }

    #[test]
    fn an_exception_alone_is_no_failure() {
        let mut span = span();
        span.events = vec![exception("handled")];
        let (failed, tags) = described(&span);
        assert!(!failed);
        assert_eq!(tags.text("error.message"), None);
        span.scope = Some(std::sync::Arc::new(crate::span::Scope::default()));
        let (failed, tags) = described(&span);
        assert!(!failed);
        assert_eq!((tags.text("error.message"), tags.text("error.type")), (Some("handled"), Some("KeyError")));
    }

    #[test]
    fn the_status_or_the_http_status_describes_what_no_exception_does() {
        let mut span = span();
        span.status = Status::Error(Cow::Borrowed("exit code 2"));
        assert_eq!(described(&span).1.text("error.message"), Some("exit code 2"));
        span.status = Status::Error(Cow::Borrowed(""));
        span.attributes = vec![(Cow::Borrowed("http.response.status_code"), Value::I64(503))];
        assert_eq!(described(&span).1.text("error.message"), Some("503"));
        span.attributes.push((Cow::Borrowed("http.status_text"), Value::from("Service Unavailable")));
        assert_eq!(described(&span).1.text("error.message"), Some("503 Service Unavailable"));
    }

    #[test]
    fn datadogs_own_attributes_have_the_last_word() {
        let mut span = span();
        span.attributes = vec![
            (Cow::Borrowed("datadog.error"), Value::I64(1)),
            (Cow::Borrowed("datadog.error.msg"), Value::from("mine")),
        ];
        let (failed, tags) = described(&span);
        assert!(failed);
        assert_eq!(tags.text("error.message"), Some("mine"));
    }
}
