//! Reading records from bytes that a hostile process may have written.

use super::{ChildExitBody, FieldType, Kind, OpenBody, RECORD_HEADER};
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
}

/// One field of a record.
#[derive(Clone, PartialEq, Debug)]
pub struct Field<'a> {
    /// Which attribute.
    pub key: Key,
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
}

/// A record, borrowed from the bytes it was read from.
#[derive(Clone, PartialEq, Debug)]
pub struct Record<'a> {
    /// The span it is about.
    pub span_id: SpanId,
    /// What it says.
    pub body: RecordBody,
    fields: &'a [u8],
}

impl<'a> Record<'a> {
    /// The fields. Unknown ones are left out, the first malformed one ends them.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        let mut rest = self.fields;
        core::iter::from_fn(move || {
            loop {
                let (key, kind, length, after) = field_header(rest)?;
                let (bytes, after) = after.split_at_checked(length)?;
                rest = after;
                if let Some(field) = field(key, kind, bytes) {
                    return Some(field);
                }
            }
        })
    }
}

/// Zero bytes to an alignment of 8 end the fields: a key of zero is none.
fn field_header(bytes: &[u8]) -> Option<(u16, u8, usize, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let [k0, k1, kind, _, l0, l1, l2, l3] = *head;
    let key = u16::from_le_bytes([k0, k1]);
    (key != 0).then_some((key, kind, u32::from_le_bytes([l0, l1, l2, l3]) as usize, rest))
}

fn field(key: u16, kind: u8, bytes: &[u8]) -> Option<Field<'_>> {
    let key = Key::from_number(key)?;
    let eight = || bytes.first_chunk::<8>().copied();
    let value = match kind {
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
        _ => return None,
    };
    Some(Field { key, value })
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
        _ => return Ok(None),
    };
    Ok(Some(Record { span_id, body, fields: cursor.0 }))
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

    fn child_exit(&mut self) -> Result<ChildExit, Malformed> {
        let time_ns = self.u64()?;
        let pid = self.u32()?;
        let status = self.u32()?;
        let [has_usage] = self.take()?;
        let usage = Usage { user_ns: self.u64()?, system_ns: self.u64()?, max_rss: self.u64()? };
        Ok(ChildExit { time_ns, pid, status, usage: (has_usage != 0).then_some(usage) })
    }
}
