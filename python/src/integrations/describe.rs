//! Attributes of requests, on their way into a span.

use crate::engine::engine;
use ddtrace::http::{self, HeaderFields};
use ddtrace::settings::header_tag;
use ddtrace::tracer::{AttributeValue, SpanData};

/// A span that is told of.
pub(super) struct Told<'a>(pub(super) &'a mut SpanData);

impl Told<'_> {
    fn set(&mut self, name: &[u8], value: AttributeValue<'_>) {
        if let Ok(name) = std::str::from_utf8(name) {
            self.0.set_attribute(name, value);
        }
    }
}

impl http::Attributes for Told<'_> {
    fn text(&mut self, name: &[u8], text: &[u8]) {
        if !text.is_empty() {
            self.set(name, AttributeValue::Text(&String::from_utf8_lossy(text)));
        }
    }

    fn pieces(&mut self, name: &[u8], pieces: &[&[u8]]) {
        self.set(name, AttributeValue::Text(&String::from_utf8_lossy(&pieces.concat())));
    }

    fn list(&mut self, name: &[u8], text: &[u8]) {
        self.set(name, AttributeValue::Texts(vec![&String::from_utf8_lossy(text)]));
    }

    fn integer(&mut self, name: &[u8], number: i64) {
        self.set(name, AttributeValue::Integer(number));
    }
}

/// Whether any headers become tags.
pub(super) fn wants_headers() -> bool {
    !engine().resolution.config.header_tags.is_empty()
}

/// Sets the tags that headers become.
pub(super) fn tag_headers(data: &mut SpanData, headers: &impl HeaderFields, prefix: &str) {
    if wants_headers() {
        let wanted = engine().resolution.config.header_tags.iter().map(|entry| header_tag(entry.as_bytes()));
        http::describe_headers(&mut Told(data), headers, wanted, prefix);
    }
}
