//! Records in a form that can be compared.

use crate::ids::{SpanId, TraceId};
use crate::record::{FieldValue, RecordBody, records};
use crate::semconv::Key;
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

/// Trace, span, flags, state and fields.
pub(super) type RecordedLink = (TraceId, SpanId, u8, String, BTreeMap<String, String>);

/// A record, read.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) kind: &'static str,
    pub(super) span: SpanId,
    pub(super) trace: TraceId,
    pub(super) parent: SpanId,
    pub(super) flags: u8,
    pub(super) trace_flags: u8,
    pub(super) status: u8,
    pub(super) start: u64,
    pub(super) end: u64,
    /// Fields by the names of their keys, attributes by their own, in the form of `Debug` where they are no texts.
    pub(super) fields: BTreeMap<String, String>,
    /// Names and fields of events.
    pub(super) events: Vec<(String, BTreeMap<String, String>)>,
    pub(super) links: Vec<RecordedLink>,
    /// Attributes whose text goes on.
    pub(super) continued: Vec<(String, String)>,
}

impl Recorded {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

pub(super) fn read(bytes: &[u8]) -> Vec<Recorded> {
    records(bytes).map(|record| of(&record.expect("what is recorded can be read"))).collect()
}

fn of(record: &crate::record::Record<'_>) -> Recorded {
    let mut read = Recorded { span: record.span_id, ..Recorded::default() };
    let start = match record.body {
        RecordBody::SpanStart(body) => ("start", Some(body), None),
        RecordBody::Span(body, end) => ("span", Some(body), Some(end)),
        RecordBody::SpanEnd(end) => ("end", None, Some(end)),
        RecordBody::Amend => ("amend", None, None),
        RecordBody::Resource => ("resource", None, None),
        other => panic!("not a tracer's record: {other:?}"),
    };
    read.kind = start.0;
    if let Some(body) = start.1 {
        (read.trace, read.parent, read.start) = (body.trace_id, body.parent_id, body.start_unix_ns);
        (read.flags, read.trace_flags) = (body.flags, body.trace_flags);
    }
    if let Some(end) = start.2 {
        (read.end, read.status) = (end.end_unix_ns, end.status);
    }
    for field in record.fields() {
        match &field.value {
            FieldValue::Event(event) => read.events.push((text(event.name), fields(event.fields()))),
            FieldValue::Link(link) => {
                let state = text(link.trace_state);
                read.links.push((link.trace_id, link.span_id, link.flags as u8, state, fields(link.fields())));
            }
            FieldValue::TextContinued(more) => read.continued.push((text(field.name), text(more))),
            _ => {
                let (name, value) = named(&field);
                let twice = read.fields.insert(name, value);
                assert_eq!(twice, None, "{record:?}");
            }
        }
    }
    read
}

fn fields<'a>(fields: impl Iterator<Item = crate::record::Field<'a>>) -> BTreeMap<String, String> {
    fields.map(|field| named(&field)).collect()
}

fn named(field: &crate::record::Field<'_>) -> (String, String) {
    let name = if field.key == Key::Attribute { text(field.name) } else { field.key.name().into() };
    let value = match &field.value {
        FieldValue::Text(value) => text(value),
        FieldValue::Integer(number) => format!("{number}"),
        FieldValue::Float(number) => format!("{number:?}"),
        FieldValue::TextList(texts) => texts
            .iter()
            .map(|item| text(item))
            .fold(vec![], |mut all, item| {
                all.push(item);
                all
            })
            .join("|"),
        other => format!("{other:?}"),
    };
    (name, value)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("only whole characters are recorded")
}
