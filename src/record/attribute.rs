//! Attributes, events and links within records: whatever has a name that no [`Key`] stands for.
//!
//! An attribute is a field whose bytes begin with the name's length (u16) and the name; the value follows by the field's
//! type. An event is the time (u64), the name's length (u16), the name, and fields that are attributes; a link is the
//! trace id (16 bytes), the span id (8), the flags (1), the length (u16) and text of the `tracestate`, and attributes.

use super::{FIELD_CONTINUES, FieldType, RecordWriter};
use crate::ids::{SpanId, TraceId};
use crate::semconv::Key;

/// The longest name of an attribute or event that is written, in bytes; a longer one is cut.
pub const MAX_NAME: usize = 1024;

/// The name of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name<'a>(pub &'a [u8]);

impl<'a> Name<'a> {
    fn cut(self) -> &'a [u8] {
        self.0.get(..MAX_NAME).unwrap_or(self.0)
    }

    fn put(self, to: &mut RecordWriter) {
        let name = self.cut();
        to.put(&(name.len() as u16).to_le_bytes());
        to.put(name);
    }
}

/// Attributes, written into a span's record, an event or a link.
pub trait SpanFields {
    /// Where the fields go.
    fn target(&mut self) -> &mut RecordWriter;

    /// A text.
    fn attribute_text(&mut self, name: Name<'_>, text: &[u8]) {
        let to = self.target();
        to.attribute_head(name.cut(), FieldType::Text, 0, text.len());
        to.put(text);
    }

    /// A text that is given in pieces.
    fn attribute_pieces(&mut self, name: Name<'_>, pieces: &[&[u8]]) {
        self.attribute(name, FieldType::Text, 0, |to| {
            for piece in pieces {
                to.put(piece);
            }
        });
    }

    /// More of the text that an earlier record of the same span began.
    fn attribute_text_continued(&mut self, name: Name<'_>, text: &[u8]) {
        self.attribute(name, FieldType::Text, FIELD_CONTINUES, |to| to.put(text));
    }

    /// A whole number.
    fn attribute_integer(&mut self, name: Name<'_>, number: i64) {
        let to = self.target();
        to.attribute_head(name.cut(), FieldType::Integer, 0, 8);
        to.put(&number.to_le_bytes());
    }

    /// A number.
    fn attribute_float(&mut self, name: Name<'_>, number: f64) {
        self.attribute(name, FieldType::Float, 0, |to| to.put(&number.to_le_bytes()));
    }

    /// A truth value.
    fn attribute_bool(&mut self, name: Name<'_>, truth: bool) {
        self.attribute(name, FieldType::Bool, 0, |to| to.put(&[truth.into()]));
    }

    /// Texts.
    fn attribute_texts<'a>(&mut self, name: Name<'_>, texts: impl Iterator<Item = &'a [u8]>)
    where
        Self: Sized,
    {
        self.attribute(name, FieldType::Texts, 0, |to| {
            for text in texts {
                to.put(&(text.len() as u32).to_le_bytes());
                to.put(text);
            }
        });
    }

    /// Whole numbers.
    fn attribute_integers(&mut self, name: Name<'_>, numbers: &[i64]) {
        self.attribute(name, FieldType::IntegerList, 0, |to| {
            for number in numbers {
                to.put(&number.to_le_bytes());
            }
        });
    }

    /// Numbers.
    fn attribute_floats(&mut self, name: Name<'_>, numbers: &[f64]) {
        self.attribute(name, FieldType::FloatList, 0, |to| {
            for number in numbers {
                to.put(&number.to_le_bytes());
            }
        });
    }

    /// Truth values.
    fn attribute_bools(&mut self, name: Name<'_>, truths: &[bool]) {
        self.attribute(name, FieldType::BoolList, 0, |to| {
            for truth in truths {
                to.put(&[(*truth).into()]);
            }
        });
    }

    /// Takes an attribute away that an earlier record of the same span set.
    fn attribute_removed(&mut self, name: Name<'_>) {
        self.attribute(name, FieldType::Removed, 0, |_| {});
    }

    /// An attribute whose value `fill` writes.
    fn attribute(&mut self, name: Name<'_>, kind: FieldType, flags: u8, fill: impl FnOnce(&mut RecordWriter)) {
        let to = self.target();
        to.field_header(Key::Attribute, kind, flags, 0);
        let start = to.position();
        name.put(to);
        fill(to);
        to.end_field(start);
    }
}

impl SpanFields for RecordWriter {
    fn target(&mut self) -> &mut RecordWriter {
        self
    }
}

/// The attributes of an event or a link.
pub struct Detail<'a> {
    record: &'a mut RecordWriter,
}

impl SpanFields for Detail<'_> {
    fn target(&mut self) -> &mut RecordWriter {
        self.record
    }
}

impl Detail<'_> {
    /// How many bytes may still be written into the record.
    #[must_use]
    pub fn room(&self) -> usize {
        self.record.room()
    }

    /// How many of its attributes did not fit the limits.
    pub fn dropped_attributes(&mut self, count: u32) {
        self.record.integer(Key::DroppedAttributes, count.into());
    }
}

impl RecordWriter {
    /// An event at a time in nanoseconds since the Unix epoch.
    pub fn event(&mut self, time_unix_ns: u64, name: Name<'_>, fill: impl FnOnce(&mut Detail<'_>)) {
        self.field_header(Key::Event, FieldType::Nested, 0, 0);
        let start = self.position();
        self.put(&time_unix_ns.to_le_bytes());
        name.put(self);
        fill(&mut Detail { record: self });
        self.end_field(start);
    }

    /// A link to another span.
    pub fn link(
        &mut self,
        trace_id: TraceId,
        span_id: SpanId,
        flags: u16,
        trace_state: &[u8],
        fill: impl FnOnce(&mut Detail<'_>),
    ) {
        self.field_header(Key::Link, FieldType::Nested, 0, 0);
        let start = self.position();
        self.put(&trace_id.0.to_le_bytes());
        self.put(&span_id.0.to_le_bytes());
        self.put(&flags.to_le_bytes());
        let trace_state = trace_state.get(..usize::from(u16::MAX)).unwrap_or(trace_state);
        self.put(&(trace_state.len() as u16).to_le_bytes());
        self.put(trace_state);
        fill(&mut Detail { record: self });
        self.end_field(start);
    }
}
