//! Writing records, straight into the ring: no allocation, no panic.

use super::{ChildExitBody, EndBody, FieldType, Kind, OpenBody, RECORD_HEADER, SpanBody};
use crate::ids::SpanId;
use crate::semconv::Key;
use core::ptr::NonNull;

/// Writes one record into memory that nobody else uses meanwhile. What does not fit makes the whole record void.
pub struct RecordWriter {
    start: NonNull<u8>,
    capacity: usize,
    length: usize,
    overflow: bool,
}

impl RecordWriter {
    /// Writes to `capacity` bytes at `start`.
    ///
    /// # Safety
    ///
    /// The bytes are writable and used by nobody else while the writer lives.
    #[must_use]
    pub unsafe fn new(start: NonNull<u8>, capacity: usize) -> Self {
        RecordWriter { start, capacity, length: RECORD_HEADER, overflow: capacity < RECORD_HEADER }
    }

    /// Writes fields alone, which a record takes up later, to `capacity` bytes at `start`.
    ///
    /// # Safety
    ///
    /// As for [`RecordWriter::new`].
    #[cfg(feature = "std")]
    pub(super) unsafe fn of_fields(start: NonNull<u8>, capacity: usize) -> Self {
        RecordWriter { start, capacity, length: 0, overflow: false }
    }

    /// How many bytes were written; `None` where something did not fit.
    #[cfg(feature = "std")]
    pub(super) fn written(&self) -> Option<usize> {
        (!self.overflow).then_some(self.length)
    }

    /// Fields that were encoded before.
    #[cfg(feature = "std")]
    pub(super) fn encoded(&mut self, fields: &[u8]) {
        self.put(fields);
    }

    /// How many bytes may still be written.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.overflow { 0 } else { self.capacity.saturating_sub(self.length) }
    }

    fn put_at(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset.wrapping_add(bytes.len());
        if self.overflow || end > self.capacity || end < offset {
            self.overflow = true;
            return;
        }
        // SAFETY: [offset, end) is inside the writer's bytes (checked above), which are ours alone; `bytes` is a Rust
        // slice and cannot lie there.
        unsafe {
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.as_ptr().add(offset), bytes.len());
        }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.put_at(self.length, bytes);
        self.length = self.length.wrapping_add(bytes.len());
    }

    fn header(&mut self, kind: Kind, span: SpanId) {
        let head = u128::from(kind as u8) | u128::from(span.0) << 32;
        self.put_at(4, head.to_le_bytes().get(..12).unwrap_or_default());
    }

    /// A span has begun.
    pub fn open(&mut self, span: SpanId, body: &OpenBody) {
        self.header(Kind::Open, span);
        self.put(&body.trace_id.0.to_le_bytes());
        self.put(&body.parent_id.0.to_le_bytes());
        self.put(&body.start_ns.to_le_bytes());
        self.put(&body.pid.to_le_bytes());
        self.put(&body.ppid.to_le_bytes());
        self.put(&[body.trace_flags, body.role, body.remote_parent.into(), 0]);
    }

    /// More is known about a span.
    pub fn amend(&mut self, span: SpanId) {
        self.header(Kind::Amend, span);
    }

    /// A span has ended.
    pub fn close(&mut self, span: SpanId, end_ns: u64) {
        self.header(Kind::Close, span);
        self.put(&end_ns.to_le_bytes());
    }

    /// A child was waited for by the process whose span is `span`.
    pub fn child_exit(&mut self, span: SpanId, body: &ChildExitBody) {
        self.header(Kind::ChildExit, span);
        self.put(&body.time_ns.to_le_bytes());
        self.put(&body.pid.to_le_bytes());
        self.put(&body.status.to_le_bytes());
        let usage = body.usage.unwrap_or_default();
        self.put(&[body.usage.is_some().into()]);
        self.put(&usage.user_ns.to_le_bytes());
        self.put(&usage.system_ns.to_le_bytes());
        self.put(&usage.max_rss.to_le_bytes());
    }

    /// A span that is no process has begun.
    pub fn span_start(&mut self, span: SpanId, body: &SpanBody) {
        self.header(Kind::SpanStart, span);
        self.span_body(body);
    }

    /// That span has ended.
    pub fn span_end(&mut self, span: SpanId, end: &EndBody) {
        self.header(Kind::SpanEnd, span);
        self.end_body(end);
    }

    /// A span from its beginning to its end.
    pub fn span(&mut self, span: SpanId, body: &SpanBody, end: &EndBody) {
        self.header(Kind::Span, span);
        self.span_body(body);
        self.end_body(end);
    }

    /// What records in this process, whose span is `process`: attributes follow.
    pub fn resource(&mut self, process: SpanId) {
        self.header(Kind::Resource, process);
    }

    /// A whole record that somebody else wrote, of which only the length is not believed.
    pub fn copy_of(&mut self, record: &[u8]) {
        let (header, rest) = record.split_at_checked(RECORD_HEADER).unwrap_or_default();
        self.put_at(4, header.get(4..).unwrap_or_default());
        self.put(rest);
    }

    fn span_body(&mut self, body: &SpanBody) {
        self.put(&body.trace_id.0.to_le_bytes());
        self.put(&body.parent_id.0.to_le_bytes());
        self.put(&body.start_unix_ns.to_le_bytes());
        self.put(&[body.kind, body.trace_flags, body.flags, 0]);
    }

    fn end_body(&mut self, end: &EndBody) {
        self.put(&end.end_unix_ns.to_le_bytes());
        self.put(&[end.status, 0, 0, 0]);
    }

    pub(super) fn field_header(&mut self, key: Key, kind: FieldType, flags: u8, length: usize) {
        let head = u64::from(key as u16) | u64::from(kind as u8) << 16 | u64::from(flags) << 24 | (length as u64) << 32;
        self.put(&head.to_le_bytes());
    }

    /// The head of an attribute of `length` bytes, with its name; the value follows.
    pub(super) fn attribute_head(&mut self, name: &[u8], kind: FieldType, flags: u8, length: usize) {
        let with_name = length.wrapping_add(2).wrapping_add(name.len());
        self.field_header(Key::Attribute, kind, flags, with_name);
        self.put(&(name.len() as u16).to_le_bytes());
        self.put(name);
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> usize {
        self.length
    }

    /// Sets the length of a field whose bytes began at `start`, now that they are written.
    pub(super) fn end_field(&mut self, start: usize) {
        let length = self.length.wrapping_sub(start) as u32;
        self.put_at(start.wrapping_sub(4), &length.to_le_bytes());
    }

    /// A text field.
    pub fn text(&mut self, key: Key, text: &[u8]) {
        self.field_header(key, FieldType::Text, 0, text.len());
        self.put(text);
    }

    /// An integer field.
    pub fn integer(&mut self, key: Key, number: i64) {
        self.field_header(key, FieldType::Integer, 0, 8);
        self.put(&number.to_le_bytes());
    }

    /// A floating-point field.
    pub fn float(&mut self, key: Key, number: f64) {
        self.field_header(key, FieldType::Float, 0, 8);
        self.put(&number.to_le_bytes());
    }

    /// A truth value.
    pub fn boolean(&mut self, key: Key, truth: bool) {
        self.field_header(key, FieldType::Bool, 0, 1);
        self.put(&[truth.into()]);
    }

    /// A list of texts that `fill` writes one by one; its length is set afterwards.
    pub fn text_list(&mut self, key: Key, fill: impl FnOnce(&mut TextList<'_>)) {
        self.field_header(key, FieldType::TextList, 0, 0);
        let start = self.length;
        fill(&mut TextList { record: self });
        self.end_field(start);
    }

    /// Ends the record: sets its length and gives it, rounded up so that the next record is aligned; `None` where something did not fit.
    #[must_use]
    pub fn finish(mut self) -> Option<u32> {
        let padding = self.length.wrapping_neg() & 7;
        self.put([0u8; 8].get(..padding).unwrap_or_default());
        let length = self.length as u32;
        self.put_at(0, &length.to_le_bytes());
        (!self.overflow).then_some(length)
    }
}

/// The items of a list field.
pub struct TextList<'a> {
    record: &'a mut RecordWriter,
}

impl TextList<'_> {
    /// How many bytes may still be written into the record.
    #[must_use]
    pub fn room(&self) -> usize {
        self.record.room()
    }

    /// Adds bytes to the current item. They must not contain NUL.
    pub fn push(&mut self, bytes: &[u8]) {
        self.record.put(bytes);
    }

    /// Ends the current item.
    pub fn end_item(&mut self) {
        self.record.put(&[0]);
    }
}
