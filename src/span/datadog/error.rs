//! Whether a span failed, and the tags that say how.

use super::names::attribute_text;
use super::tags::Tags;
use super::text::value_text;
use crate::span::{Event, Span, Status, Value};
use std::borrow::Cow;
use std::format;
use std::string::ToString;

/// Whether an event tells of an exception.
pub(super) fn is_exception(event: &Event) -> bool {
    event.name.eq_ignore_ascii_case("exception")
}

/// Adds `error.message`, `error.type` and `error.stack`; says whether the span failed.
pub(super) fn describe<'a>(span: &'a Span, tags: &mut Tags<'a>) -> bool {
    let failed = matches!(span.status, Status::Error(_));
    if span.has_datadog_tags {
        if failed {
            describe_by_tags(span, tags);
        }
        return failed;
    }
    if failed {
        describe_failure(span, tags);
    } else if span.scope.is_some() {
        // So Datadog's tracers carry out `record_exception` of OpenTelemetry's API: it is told, and is no failure.
        describe_exception(span, tags);
    }
    for (attribute, tag) in [
        ("datadog.error.msg", "error.message"),
        ("datadog.error.type", "error.type"),
        ("datadog.error.stack", "error.stack"),
    ] {
        if let Some(text) = attribute_text(span, &[attribute]) {
            tags.set_text(tag, Cow::Borrowed(text));
        }
    }
    match span.attribute("datadog.error") {
        Some(Value::I64(error)) => *error != 0,
        Some(Value::Bool(error)) => *error,
        _ => failed,
    }
}

/// The tags say it; the status knows what OpenTelemetry's API has said of a span of Datadog's.
fn describe_by_tags<'a>(span: &'a Span, tags: &mut Tags<'a>) {
    if let Status::Error(description) = &span.status
        && !description.is_empty()
    {
        tags.add_own("error.message", Cow::Borrowed(description));
    }
}

/// By the last one, if there is any.
fn describe_exception<'a>(span: &'a Span, tags: &mut Tags<'a>) {
    if let Some(exception) = span.events.iter().rfind(|event| is_exception(event)) {
        for (key, value) in &exception.attributes {
            let tag = match key.as_ref() {
                "exception.message" => "error.message",
                "exception.type" => "error.type",
                "exception.stacktrace" => "error.stack",
                _ => continue,
            };
            tags.set_text(tag, value_text(value));
        }
    }
}

/// The last exception knows best, then the status, then the HTTP status.
fn describe_failure<'a>(span: &'a Span, tags: &mut Tags<'a>) {
    describe_exception(span, tags);
    if tags.text("error.message").is_some() {
        return;
    }
    if let Status::Error(description) = &span.status
        && !description.is_empty()
    {
        tags.set_text("error.message", Cow::Borrowed(description));
    } else if let Some(code) = tags.text("http.status_code") {
        let message = match tags.text("http.status_text") {
            Some(reason) => format!("{code} {reason}"),
            None => code.to_string(),
        };
        tags.set_text("error.message", Cow::Owned(message));
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
