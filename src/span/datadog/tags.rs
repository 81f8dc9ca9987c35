//! Attributes become tags: which are text, which are numbers, and what Datadog calls them.

use super::error::TagKind;
use super::text::{shortened, value_text};
use crate::semconv::{
    DATADOG_NAMES, DATADOG_REQUEST_HEADER, DATADOG_RESPONSE_HEADER, REQUEST_HEADER, RESPONSE_HEADER, datadog_name,
    is_field,
};
use crate::span::Value;
use std::borrow::Cow;
use std::vec::Vec;

type Meta<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;
type Metrics<'a> = Vec<(Cow<'a, str>, f64)>;

/// The text and number tags of one span. A key is in one of the two lists only.
#[derive(Default)]
pub(super) struct Tags<'a> {
    meta: Meta<'a>,
    metrics: Metrics<'a>,
    seen: Seen,
}

/// Which keys there may be. Nearly all that are looked for are not there, and this tells most of them apart.
#[derive(Default)]
struct Seen([u64; 4]);

impl Seen {
    /// By the length and some of the bytes: names that begin alike mostly differ towards their ends.
    fn place(key: &str) -> (usize, u64) {
        let bytes = key.as_bytes();
        let byte = |from_end: usize| {
            bytes.len().checked_sub(from_end).and_then(|place| bytes.get(place)).map_or(0, |byte| u64::from(*byte))
        };
        let mixed = bytes.len() as u64 | byte(1) << 8 | byte(3) << 16 | byte(6) << 24 | byte(bytes.len() / 2 + 1) << 32;
        let hash = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        (hash as usize >> 6, 1 << (hash & 63))
    }

    fn may_have(&self, key: &str) -> bool {
        let (word, bit) = Self::place(key);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Gives whether it may have been there before.
    fn add(&mut self, key: &str) -> bool {
        let (word, bit) = Self::place(key);
        self.0.get_mut(word).is_none_or(|word| std::mem::replace(word, *word | bit) & bit != 0)
    }
}

impl<'a> Tags<'a> {
    /// None, in the room that others have had.
    pub fn emptied(mut meta: Meta<'a>, mut metrics: Metrics<'a>) -> Self {
        meta.clear();
        metrics.clear();
        Tags { meta, metrics, seen: Seen::default() }
    }

    pub fn into_parts(self) -> (Meta<'a>, Metrics<'a>) {
        (self.meta, self.metrics)
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        if !self.seen.may_have(key) {
            return None;
        }
        self.meta.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_ref())
    }

    /// What the tag is sent as.
    pub fn kind(&self, key: &str) -> Option<TagKind> {
        let is_text = self.text(key).is_some();
        self.has(key).then_some(if is_text { TagKind::Text } else { TagKind::Number })
    }

    fn has(&self, key: &str) -> bool {
        self.seen.may_have(key) && self.is_among(key)
    }

    fn is_among(&self, key: &str) -> bool {
        self.meta.iter().any(|(k, _)| k == key) || self.metrics.iter().any(|(k, _)| k == key)
    }

    /// Adds a text tag unless there is one of that name: what is nearer to the span wins.
    pub fn add_text(&mut self, key: Cow<'a, str>, text: Cow<'a, str>) {
        let key = shortened(key);
        if !self.seen.add(&key) || !self.is_among(&key) {
            self.meta.push((key, shortened(text)));
        }
    }

    fn add_number(&mut self, key: Cow<'a, str>, number: f64) {
        let key = shortened(key);
        if !self.seen.add(&key) || !self.is_among(&key) {
            self.metrics.push((key, number));
        }
    }

    /// Adds a text tag of the tracer's own, unless the program has set one of that name.
    pub fn add_own(&mut self, key: &'static str, text: Cow<'a, str>) {
        self.add_text(Cow::Borrowed(key), text);
    }

    /// Sets a text tag of the tracer's own, whatever an attribute of that name said.
    pub fn set_text(&mut self, key: &'static str, text: Cow<'a, str>) {
        self.set_json(key, shortened(text));
    }

    /// Sets a text tag that must not be cut, since half a JSON text is none.
    pub fn set_json(&mut self, key: &'static str, text: impl Into<Cow<'a, str>>) {
        self.make_room(key);
        self.meta.push((Cow::Borrowed(key), text.into()));
    }

    /// Sets a number tag of the tracer's own, whatever an attribute of that name said.
    pub fn set_number(&mut self, key: &'static str, number: f64) {
        self.make_room(key);
        self.metrics.push((Cow::Borrowed(key), number));
    }

    /// Takes a tag away again.
    pub fn remove(&mut self, key: &str) {
        if self.seen.may_have(key) {
            self.take_away(key);
        }
    }

    /// Makes room for a tag that is set.
    fn make_room(&mut self, key: &str) {
        if self.seen.add(key) {
            self.take_away(key);
        }
    }

    fn take_away(&mut self, key: &str) {
        self.meta.retain(|(k, _)| k != key);
        self.metrics.retain(|(k, _)| k != key);
    }

    /// Adds an attribute of the span under Datadog's name for it.
    pub fn add_attribute(&mut self, key: &'a str, value: &'a Value) {
        if key == "analytics.event" {
            if let Some(wanted) = truth(value) {
                self.set_number("_dd1.sr.eausr", f64::from(u8::from(wanted)));
            }
            return;
        }
        if is_field(key.as_bytes()) {
            return;
        }
        self.add(datadogs_name(key), single(key, value));
    }

    /// Adds an attribute that is a tag of Datadog's, as it is.
    pub fn add_tag(&mut self, key: &'a str, value: &'a Value) {
        self.add(Cow::Borrowed(key), value);
    }

    fn add(&mut self, key: Cow<'a, str>, value: &'a Value) {
        match number(&key, value) {
            Some(number) => self.add_number(key, number),
            None => self.add_text(key, value_text(value)),
        }
    }
}

/// The value of a tag that is sent as a number.
fn number(key: &str, value: &Value) -> Option<f64> {
    match value {
        // The Agent refuses a payload whose status code is a number.
        _ if key == "http.status_code" => None,
        Value::I64(number) => Some(*number as f64),
        Value::F64(number) => Some(*number).filter(|number| number.is_finite()),
        _ => None,
    }
}

/// What a tag of that name and value is sent as.
pub(super) fn kind_of(key: &str, value: &Value) -> TagKind {
    if number(key, value).is_some() { TagKind::Number } else { TagKind::Text }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The conventions want a list for a header, as it may come more than once; mostly it does not.
pub(super) fn single<'a>(key: &str, value: &'a Value) -> &'a Value {
    let is_header = || [REQUEST_HEADER, RESPONSE_HEADER].iter().any(|prefix| key.starts_with(prefix));
    match value {
        Value::Array(values) if values.len() == 1 && is_header() => &values[0],
        value => value,
    }
}

/// The stable HTTP conventions have newer names than Datadog's tags.
pub(super) fn datadogs_name(key: &str) -> Cow<'_, str> {
    if let Some(name) = datadog_name(key) {
        return Cow::Borrowed(name);
    }
    for (of_attribute, of_tag) in [(REQUEST_HEADER, DATADOG_REQUEST_HEADER), (RESPONSE_HEADER, DATADOG_RESPONSE_HEADER)]
    {
        if let Some(header) = key.strip_prefix(of_attribute) {
            return Cow::Owned([of_tag, header].concat());
        }
    }
    Cow::Borrowed(key)
}

/// Whether [`datadogs_name`] gives such a name to attributes that are called otherwise.
pub(super) fn is_datadogs_name(name: &str) -> bool {
    DATADOG_NAMES.iter().any(|(_, tag)| *tag == name)
        || [DATADOG_REQUEST_HEADER, DATADOG_RESPONSE_HEADER].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec;

    fn tags<'a>(attributes: &'a [(&'static str, Value)]) -> Tags<'a> {
        let mut tags = Tags::default();
        for (key, value) in attributes {
            tags.add_attribute(key, value);
        }
        tags
    }

    #[test]
    fn numbers_are_metrics_but_the_status_code_is_text() {
        let attributes = [
            ("http.response.status_code", Value::I64(503)),
            ("http.request.body.size", Value::I64(12)),
            ("ratio", Value::F64(0.25)),
            ("broken", Value::F64(f64::INFINITY)),
            ("flag", Value::Bool(false)),
        ];
        let tags = tags(&attributes);
        assert_eq!(tags.text("http.status_code"), Some("503"));
        assert_eq!(tags.text("flag"), Some("false"));
        assert_eq!(tags.text("broken"), Some("inf"));
        assert_eq!(tags.metrics.len(), 2);
        assert_eq!(tags.metrics[0], (Cow::Borrowed("http.request.content_length"), 12.0));
    }

    #[test]
    fn http_attributes_get_datadogs_names_and_the_first_of_two_wins() {
        let attributes = [
            ("http.method", Value::from("GET")),
            ("http.request.method", Value::from("POST")),
            ("url.full", Value::from("http://h/")),
            ("user_agent.original", Value::from("curl")),
            ("client.address", Value::from("10.0.0.1")),
            ("server.address", Value::from("h")),
            ("network.protocol.version", Value::from("1.1")),
            ("http.request.header.x-id", Value::from("7")),
            ("http.response.header.server", Value::Array(vec![Value::from("nginx")])),
        ];
        let (meta, _) = tags(&attributes).into_parts();
        let keys: Vec<String> = meta.iter().map(|(k, _)| k.to_string()).collect();
        assert_eq!(
            keys,
            [
                "http.method",
                "http.url",
                "http.useragent",
                "http.client_ip",
                "http.server_name",
                "http.version",
                "http.request.headers.x-id",
                "http.response.headers.server"
            ]
        );
        assert_eq!((meta[0].1.as_ref(), meta[7].1.as_ref()), ("GET", "nginx"));
    }

    #[test]
    fn fields_are_no_tags_and_analytics_is_a_rate() {
        let attributes = [
            ("operation.name", Value::from("op")),
            ("datadog.service", Value::from("s")),
            ("analytics.event", Value::from("TRUE")),
        ];
        let (meta, metrics) = tags(&attributes).into_parts();
        assert!(meta.is_empty());
        assert_eq!(metrics, [(Cow::Borrowed("_dd1.sr.eausr"), 1.0)]);
    }

    #[test]
    fn the_tracers_own_tags_replace_a_number_of_that_name() {
        let attributes = [("language", Value::I64(3))];
        let mut tags = tags(&attributes);
        tags.set_text("language", Cow::Borrowed("rust"));
        assert_eq!(tags.text("language"), Some("rust"));
        assert!(tags.metrics.is_empty());
    }
}
