//! Span events as the JSON text of the tag `events`, which every Agent understands.

use super::text::{Json, MAX_CHARS, cut, to_json};
use crate::span::{Attribute, Event, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::string::String;
use std::vec::Vec;

/// The JSON of all events that fit into one tag.
///
/// A tag over the limit would be cut in the middle, and cut JSON says nothing at all. So long texts (stack traces) are
/// shortened first, then the last events are left out.
pub(super) fn to_json_within_limit(events: &[Event]) -> String {
    let whole = to_json(&JsonEvents(events));
    if fits(&whole) {
        return whole;
    }
    let mut text = String::from("[");
    let mut left = MAX_CHARS - "[]".len();
    for event in events {
        let one = to_json(&JsonEvent { event, shorten: true });
        let needed = one.chars().count() + ",".len();
        if needed > left {
            break;
        }
        left -= needed;
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&one);
    }
    text.push(']');
    text
}

fn fits(text: &str) -> bool {
    text.len() <= MAX_CHARS || text.chars().nth(MAX_CHARS).is_none()
}

struct JsonEvents<'a>(&'a [Event]);

impl Serialize for JsonEvents<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|event| JsonEvent { event, shorten: false }))
    }
}

struct JsonEvent<'a> {
    event: &'a Event,
    shorten: bool,
}

impl Serialize for JsonEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.event.name)?;
        map.serialize_entry("time_unix_nano", &self.event.time_unix_nano)?;
        if !self.event.attributes.is_empty() {
            let attributes = JsonAttributes { attributes: &self.event.attributes, shorten: self.shorten };
            map.serialize_entry("attributes", &attributes)?;
        }
        map.end()
    }
}

struct JsonAttributes<'a> {
    attributes: &'a Vec<Attribute>,
    shorten: bool,
}

impl Serialize for JsonAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.attributes.len()))?;
        for (key, value) in self.attributes {
            match value {
                Value::String(text) if self.shorten => map.serialize_entry(key, &cut(text))?,
                _ => map.serialize_entry(key, &Json(value))?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;
    use std::vec;

    fn event(attributes: Vec<Attribute>) -> Event {
        Event {
            time_unix_nano: 1_700_000_000_000_000_001,
            name: Cow::Borrowed("exception"),
            attributes,
            dropped_attributes: 0,
        }
    }

    #[test]
    fn events_keep_their_types_and_nanoseconds() {
        let attributes = vec![
            (Cow::Borrowed("text"), Value::from("a\nb")),
            (Cow::Borrowed("n"), Value::I64(i64::MIN)),
            (Cow::Borrowed("list"), Value::Array(vec![Value::Bool(true), Value::Bool(false)])),
        ];
        assert_eq!(
            to_json_within_limit(&[event(attributes), event(vec![])]),
            concat!(
                r#"[{"name":"exception","time_unix_nano":1700000000000000001,"#,
                r#""attributes":{"text":"a\nb","n":-9223372036854775808,"list":[true,false]}},"#,
                r#"{"name":"exception","time_unix_nano":1700000000000000001}]"#
            )
        );
    }

    #[test]
    fn too_much_text_stays_valid_json() {
        let trace = Value::String(Cow::Owned("x".repeat(30_000)));
        let one = event(vec![(Cow::Borrowed("exception.stacktrace"), trace)]);
        let many: Vec<Event> = std::iter::repeat_n(one, 50).collect();
        let text = to_json_within_limit(&many);
        assert!(fits(&text));
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        let kept = parsed.as_array().unwrap();
        assert!((5..50).contains(&kept.len()), "{}", kept.len());
        assert!(kept[0]["attributes"]["exception.stacktrace"].as_str().unwrap().ends_with("<truncated>..."));
    }
}
