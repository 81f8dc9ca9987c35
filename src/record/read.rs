//! Reading records from bytes that a hostile process may have written.

use super::read_attribute::{ReadEvent, ReadLink, attribute_name};
use super::{ChildExitBody, EndBody, FIELD_CONTINUES, FieldType, Kind, OpenBody, RECORD_HEADER, SpanBody};
use crate::ids::{SpanId, TraceId};
use crate::semconv::Key;
use crate::sys::Usage;
use std::vec::Vec;

/// A record that cannot be read; what follows it in the same bytes cannot be found, either.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// The body of an [`Kind::Open`] record.
pub type Open = OpenBody;
/// The body of a [`Kind::ChildExit`] record.
pub type ChildExit = ChildExitBody;

/// The value of a field, borrowed from the record.
#[derive(Clone, PartialEq, Debug)]
pub enum FieldValue<'a> {
    /// Bytes that are text, mostly UTF-8.
    Text(&'a [u8]),
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Texts.
    TextList(Vec<&'a [u8]>),
    /// Whole numbers.
    IntegerList(Vec<i64>),
    /// Numbers.
    FloatList(Vec<f64>),
    /// Truth values.
    BoolList(Vec<bool>),
    /// More of the text that this attribute has already.
    TextContinued(&'a [u8]),
    /// The attribute is taken away.
    Removed,
    /// An event.
    Event(ReadEvent<'a>),
    /// A link.
    Link(ReadLink<'a>),
}

/// One field of a record.
#[derive(Clone, PartialEq, Debug)]
pub struct Field<'a> {
    /// Which attribute.
    pub key: Key,
    /// The attribute's name, where the key is [`Key::Attribute`]; else empty.
    pub name: &'a [u8],
    /// Its value.
    pub value: FieldValue<'a>,
}

/// What a record says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum RecordBody {
    /// A span has begun.
    Open(Open),
    /// More is known.
    Amend,
    /// A span has ended at this `CLOCK_MONOTONIC` time in nanoseconds.
    Close(u64),
    /// A child was waited for.
    ChildExit(ChildExit),
    /// A span that is no process has begun.
    SpanStart(SpanBody),
    /// It has ended.
    SpanEnd(EndBody),
    /// A span from its beginning to its end.
    Span(SpanBody, EndBody),
    /// What records in this process.
    Resource,
}

/// A record, borrowed from the bytes it was read from.
#[derive(Clone, PartialEq, Debug)]
pub struct Record<'a> {
    /// The span it is about.
    pub span_id: SpanId,
    /// What it says.
    pub body: RecordBody,
    bytes: &'a [u8],
    fields: &'a [u8],
}

impl<'a> Record<'a> {
    /// The whole record, as it was read: [`records`] reads it again.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The fields. Unknown ones are left out, the first malformed one ends them.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        fields(self.fields)
    }
}

/// The fields in `bytes`.
pub(super) fn fields(bytes: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        loop {
            let (head, after) = field_header(rest)?;
            let (bytes, after) = after.split_at_checked(head.length)?;
            rest = after;
            if let Some(field) = field(&head, bytes) {
                return Some(field);
            }
        }
    })
}

struct FieldHeader {
    key: u16,
    kind: u8,
    flags: u8,
    length: usize,
}

/// A field as it stands among others.
pub(super) struct RawField<'a> {
    pub(super) key: u16,
    /// The attribute's name, where the field is one; else empty.
    pub(super) name: &'a [u8],
    /// The attribute's text, where it is one.
    pub(super) text: Option<&'a [u8]>,
}

/// The first field in `bytes`, and what follows it.
pub(super) fn first_field(bytes: &[u8]) -> Option<(RawField<'_>, &[u8])> {
    let (head, after) = field_header(bytes)?;
    let (bytes, after) = after.split_at_checked(head.length)?;
    let is_attribute = head.key == Key::Attribute as u16;
    let (name, value) = if is_attribute { attribute_name(bytes)? } else { (&[][..], bytes) };
    let text = (is_attribute && head.kind == FieldType::Text as u8).then_some(value);
    Some((RawField { key: head.key, name, text }, after))
}

/// Zero bytes to an alignment of 8 end the fields: a key of zero is none.
fn field_header(bytes: &[u8]) -> Option<(FieldHeader, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let [k0, k1, kind, flags, l0, l1, l2, l3] = *head;
    let key = u16::from_le_bytes([k0, k1]);
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    (key != 0).then_some((FieldHeader { key, kind, flags, length }, rest))
}

fn field<'a>(head: &FieldHeader, bytes: &'a [u8]) -> Option<Field<'a>> {
    let key = Key::from_number(head.key)?;
    let (name, bytes) = if key == Key::Attribute { attribute_name(bytes)? } else { (&[][..], bytes) };
    let value = match key {
        Key::Event => FieldValue::Event(ReadEvent::parse(bytes)?),
        Key::Link => FieldValue::Link(ReadLink::parse(bytes)?),
        _ => value(head, bytes)?,
    };
    Some(Field { key, name, value })
}

fn value<'a>(head: &FieldHeader, bytes: &'a [u8]) -> Option<FieldValue<'a>> {
    let eight = || bytes.first_chunk::<8>().copied();
    let eights = || bytes.chunks_exact(8).filter_map(|item| item.first_chunk::<8>().copied());
    Some(match head.kind {
        k if k == FieldType::Text as u8 && head.flags & FIELD_CONTINUES != 0 => FieldValue::TextContinued(bytes),
        k if k == FieldType::Text as u8 => FieldValue::Text(bytes),
        k if k == FieldType::Integer as u8 => FieldValue::Integer(i64::from_le_bytes(eight()?)),
        k if k == FieldType::Float as u8 => FieldValue::Float(f64::from_le_bytes(eight()?)),
        k if k == FieldType::Bool as u8 => FieldValue::Bool(*bytes.first()? != 0),
        k if k == FieldType::TextList as u8 => {
            // Each item is ended by NUL; what follows the last one was cut off.
            let mut items: Vec<&[u8]> = bytes.split(|&byte| byte == 0).collect();
            items.pop();
            FieldValue::TextList(items)
        }
        k if k == FieldType::Texts as u8 => FieldValue::TextList(texts(bytes)),
        k if k == FieldType::IntegerList as u8 => FieldValue::IntegerList(eights().map(i64::from_le_bytes).collect()),
        k if k == FieldType::FloatList as u8 => FieldValue::FloatList(eights().map(f64::from_le_bytes).collect()),
        k if k == FieldType::BoolList as u8 => FieldValue::BoolList(bytes.iter().map(|byte| *byte != 0).collect()),
        k if k == FieldType::Removed as u8 => FieldValue::Removed,
        _ => return None,
    })
}

/// Items with their lengths in front; one that is cut off ends them.
fn texts(bytes: &[u8]) -> Vec<&[u8]> {
    let mut rest = bytes;
    let mut items = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>()
        && let Some((item, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize)
    {
        items.push(item);
        rest = after;
    }
    items
}

/// The records in `bytes`, as they were committed one after the other. The first malformed one ends them with an error;
/// records of an unknown kind are left out.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = Result<Record<'_>, Malformed>> {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        while !rest.is_empty() {
            let Some((record, after)) = split_record(rest) else {
                rest = &[];
                return Some(Err(Malformed));
            };
            rest = after;
            match parse(record) {
                Ok(Some(record)) => return Some(Ok(record)),
                Ok(None) => {}
                Err(malformed) => {
                    rest = &[];
                    return Some(Err(malformed));
                }
            }
        }
        None
    })
}

fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_le_bytes(*bytes.first_chunk::<4>()?) as usize;
    if length < RECORD_HEADER {
        return None;
    }
    bytes.split_at_checked(length)
}

fn parse(record: &[u8]) -> Result<Option<Record<'_>>, Malformed> {
    let mut cursor = Cursor(record);
    cursor.take::<4>()?;
    let [kind, ..] = cursor.take::<4>()?;
    let span_id = SpanId(cursor.u64()?);
    let body = match kind {
        k if k == Kind::Open as u8 => RecordBody::Open(cursor.open()?),
        k if k == Kind::Amend as u8 => RecordBody::Amend,
        k if k == Kind::Close as u8 => RecordBody::Close(cursor.u64()?),
        k if k == Kind::ChildExit as u8 => RecordBody::ChildExit(cursor.child_exit()?),
        k if k == Kind::SpanStart as u8 => RecordBody::SpanStart(cursor.span_body()?),
        k if k == Kind::SpanEnd as u8 => RecordBody::SpanEnd(cursor.end_body()?),
        k if k == Kind::Span as u8 => RecordBody::Span(cursor.span_body()?, cursor.end_body()?),
        k if k == Kind::Resource as u8 => RecordBody::Resource,
        _ => return Ok(None),
    };
    Ok(Some(Record { span_id, body, bytes: record, fields: cursor.0 }))
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(u32::from_le_bytes)
    }

    fn open(&mut self) -> Result<Open, Malformed> {
        let trace_id = TraceId(u128::from_le_bytes(self.take()?));
        let parent_id = SpanId(self.u64()?);
        let start_ns = self.u64()?;
        let pid = self.u32()?;
        let ppid = self.u32()?;
        let [trace_flags, role, remote_parent, _] = self.take()?;
        Ok(Open {
            trace_id,
            parent_id,
            start_ns,
            pid,
            ppid,
            trace_flags,
            role,
            remote_parent: remote_parent != 0,
        })
    }

    fn span_body(&mut self) -> Result<SpanBody, Malformed> {
        let trace_id = TraceId(u128::from_le_bytes(self.take()?));
        let parent_id = SpanId(self.u64()?);
        let start_unix_ns = self.u64()?;
        let [kind, trace_flags, flags, _] = self.take()?;
        Ok(SpanBody { trace_id, parent_id, start_unix_ns, kind, trace_flags, flags })
    }

    fn end_body(&mut self) -> Result<EndBody, Malformed> {
        let end_unix_ns = self.u64()?;
        let [status, ..] = self.take::<4>()?;
        Ok(EndBody { end_unix_ns, status })
    }

    fn child_exit(&mut self) -> Result<ChildExit, Malformed> {
        let time_ns = self.u64()?;
        let pid = self.u32()?;
        let status = self.u32()?;
        let [has_usage] = self.take()?;
        let usage = Usage { user_ns: self.u64()?, system_ns: self.u64()?, max_rss: self.u64()? };
        Ok(ChildExit { time_ns, pid, status, usage: (has_usage != 0).then_some(usage) })
    }
}
