//! Fields that are encoded as they become known, and put into a record, or into several, when it is written.

use super::read::{Field, fields, first_field};
use super::{FieldValue, Name, RecordWriter, SpanFields};
use crate::ids::SpanId;
use crate::semconv::Key;
use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr::NonNull;
use std::vec::Vec;

/// What a field's header, the name's length and the writer's own bookkeeping add to its bytes, with room to spare.
const OVERHEAD: usize = 64;

/// What is at most so long is put together on the stack before room is made for it.
const ASIDE: usize = 2560;

/// Fields as their record will have them. An attribute that is set again takes the place of the earlier one.
#[derive(Clone, Debug, Default)]
pub struct EncodedFields {
    bytes: Vec<u8>,
}

impl EncodedFields {
    /// None yet; the first ones find room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        EncodedFields { bytes: Vec::with_capacity(capacity) }
    }

    /// All of them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends fields. `content` is how many bytes of names and values `fill` writes at most, in `count` fields; if it
    /// writes more, nothing is appended.
    pub fn append(&mut self, content: usize, count: usize, fill: impl FnOnce(&mut RecordWriter)) -> bool {
        let most = content.saturating_add(count.saturating_mul(OVERHEAD));
        // Of what may be much and mostly is little, no more is to be allocated than there is.
        if self.bytes.capacity() - self.bytes.len() < most && most <= ASIDE {
            let mut aside = [const { MaybeUninit::<u8>::uninit() }; ASIDE];
            // SAFETY: so many bytes, which nobody else uses while the writer lives.
            let mut writer = unsafe { RecordWriter::of_fields(NonNull::from(&mut aside).cast::<u8>(), ASIDE) };
            fill(&mut writer);
            let written = writer.written().and_then(|written| aside.get(..written));
            // SAFETY: the writer has written every byte that it tells of.
            return written.map(|written| self.bytes.extend_from_slice(unsafe { written.assume_init_ref() })).is_some();
        }
        self.bytes.reserve(most);
        let start = NonNull::from(self.bytes.spare_capacity_mut()).cast::<u8>();
        let capacity = self.bytes.capacity() - self.bytes.len();
        // SAFETY: the vector's spare capacity, which nobody else uses while the writer lives.
        let mut writer = unsafe { RecordWriter::of_fields(start, capacity) };
        fill(&mut writer);
        let Some(written) = writer.written() else { return false };
        // SAFETY: the writer has written that many bytes, all of them below the capacity.
        unsafe { self.bytes.set_len(self.bytes.len() + written) };
        true
    }

    /// Where a field stands: of this key, and for attributes of this name.
    #[must_use]
    pub fn find(&self, key: Key, name: &[u8]) -> Option<Range<usize>> {
        let mut start = 0;
        while let Some((field, rest)) = first_field(self.bytes.get(start..)?) {
            let end = self.bytes.len() - rest.len();
            if field.key == key as u16 && field.name == name {
                return Some(start..end);
            }
            start = end;
        }
        None
    }

    /// Where a link to a span stands.
    #[must_use]
    pub fn find_link(&self, span_id: SpanId) -> Option<Range<usize>> {
        let mut start = 0;
        while let Some((_, rest)) = first_field(self.bytes.get(start..)?) {
            let end = self.bytes.len() - rest.len();
            if let Some(field) = fields(self.bytes.get(start..end)?).next()
                && let FieldValue::Link(link) = field.value
                && link.span_id == span_id
            {
                return Some(start..end);
            }
            start = end;
        }
        None
    }

    /// Takes a field away that [`find`](Self::find) has found.
    pub fn remove(&mut self, place: Range<usize>) {
        self.bytes.drain(place);
    }

    /// A field read back: of this key, and for attributes of this name.
    #[must_use]
    pub fn get(&self, key: Key, name: &[u8]) -> Option<Field<'_>> {
        fields(self.bytes.get(self.find(key, name)?)?).next()
    }

    /// All fields read back.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        fields(&self.bytes)
    }
}

/// A part of encoded fields that finds room in one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part<'a> {
    /// Whole fields.
    Fields(&'a [u8]),
    /// A piece of an attribute's text, which is too long for one record.
    Text {
        /// The attribute.
        name: &'a [u8],
        /// The piece.
        text: &'a [u8],
        /// Whether there was one before.
        continued: bool,
    },
}

impl Part<'_> {
    /// Puts it into a record.
    pub fn write(&self, record: &mut RecordWriter) {
        match *self {
            Part::Fields(bytes) => record.encoded(bytes),
            Part::Text { name, text, continued: false } => record.attribute_text(Name(name), text),
            Part::Text { name, text, continued: true } => record.attribute_text_continued(Name(name), text),
        }
    }
}

/// Cuts encoded fields into parts of at most `room` bytes, of which there must be over 2048. A field that is longer and no
/// attribute with a text is left out, and counted in what is given beside the parts.
#[must_use]
pub fn parts(encoded: &[u8], room: usize) -> (Vec<Part<'_>>, usize) {
    let mut parts = Vec::new();
    let mut left_out = 0;
    let (mut start, mut end) = (0, 0);
    while let Some((field, rest)) = encoded.get(end..).and_then(first_field) {
        let next = encoded.len() - rest.len();
        if next - end > room {
            parts.extend(whole(encoded, start..end));
            match field.text {
                Some(text) => push_text(&mut parts, field.name, text, room - OVERHEAD - field.name.len()),
                None => left_out += 1,
            }
            start = next;
        } else if next - start > room {
            parts.extend(whole(encoded, start..end));
            start = end;
        }
        end = next;
    }
    parts.extend(whole(encoded, start..end));
    (parts, left_out)
}

fn whole(encoded: &[u8], place: Range<usize>) -> Option<Part<'_>> {
    encoded.get(place).filter(|bytes| !bytes.is_empty()).map(Part::Fields)
}

fn push_text<'a>(parts: &mut Vec<Part<'a>>, name: &'a [u8], text: &'a [u8], room: usize) {
    let mut rest = text;
    let mut continued = false;
    while !rest.is_empty() {
        // In what is no UTF-8 there may be no boundary; it is cut anywhere then, as it must go on.
        let boundary = Some(floor_char_boundary(rest, room)).filter(|boundary| *boundary > 0);
        let (piece, after) = rest.split_at(boundary.unwrap_or(room));
        parts.push(Part::Text { name, text: piece, continued });
        (rest, continued) = (after, true);
    }
}

/// The largest index that is not above `most` and not inside of a UTF-8 character; 0 where the first one is longer, or in
/// what is no UTF-8.
#[must_use]
pub fn floor_char_boundary(text: &[u8], most: usize) -> usize {
    if most >= text.len() {
        return text.len();
    }
    let is_start = |index: &usize| text.get(*index).is_some_and(|byte| byte & 0b1100_0000 != 0b1000_0000);
    (most.saturating_sub(3)..=most).rev().find(is_start).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{FieldValue, MAX_NAME};
    use proptest::prelude::*;
    use std::vec;

    fn text(fields: &mut EncodedFields, name: &[u8], text: &[u8]) {
        assert!(fields.append(name.len() + text.len(), 1, |record| record.attribute_text(Name(name), text)));
    }

    #[test]
    fn fields_are_found_read_and_removed() {
        let mut fields = EncodedFields::with_capacity(16);
        text(&mut fields, b"a", b"1");
        fields.append(8, 1, |record| record.integer(Key::DroppedLinks, 3));
        text(&mut fields, b"b", b"2");
        assert_eq!(fields.get(Key::Attribute, b"b").unwrap().value, FieldValue::Text(b"2"));
        assert_eq!(fields.get(Key::DroppedLinks, b"").unwrap().value, FieldValue::Integer(3));
        fields.remove(fields.find(Key::Attribute, b"a").unwrap());
        assert_eq!(fields.find(Key::Attribute, b"a"), None);
        assert_eq!(fields.iter().count(), 2);
    }

    #[test]
    fn what_does_not_fit_is_not_appended() {
        let mut fields = EncodedFields::default();
        let long = vec![b'x'; 10_000];
        assert!(!fields.append(1, 1, |record| record.attribute_text(Name(b"a"), &long)));
        assert!(fields.as_bytes().is_empty());
    }

    #[test]
    fn texts_are_cut_between_characters() {
        for (text, most, expected) in [("aé", 2, 1), ("aé", 3, 3), ("😀😀", 7, 4), ("abc", 2, 2), ("é", 1, 0), ("😀", 3, 0)] {
            assert_eq!(floor_char_boundary(text.as_bytes(), most), expected, "{text} {most}");
        }
    }

    proptest! {
        #[test]
        fn parts_have_everything_in_order(lengths in proptest::collection::vec((1..MAX_NAME, 0..9000usize), 0..12)) {
            let mut fields = EncodedFields::default();
            for (index, (name, value)) in lengths.iter().enumerate() {
                let mut name = vec![b'n'; *name];
                name[0] = b'a' + index as u8;
                text(&mut fields, &name, &vec![b'a' + index as u8; *value]);
            }
            let (parts, left_out) = parts(fields.as_bytes(), 4000);
            prop_assert_eq!(left_out, 0);
            let mut again: Vec<(u8, usize)> = Vec::new();
            for part in parts {
                match part {
                    Part::Fields(bytes) => {
                        prop_assert!(bytes.len() <= 4000);
                        again.extend(super::fields(bytes).map(|field| match field.value {
                            FieldValue::Text(text) => (field.name[0], text.len()),
                            other => panic!("{other:?}"),
                        }));
                    }
                    Part::Text { name, text, continued: false } => again.push((name[0], text.len())),
                    Part::Text { text, .. } => again.last_mut().unwrap().1 += text.len(),
                }
            }
            let expected: Vec<_> = lengths.iter().enumerate().map(|(i, (_, value))| (b'a' + i as u8, *value)).collect();
            prop_assert_eq!(again, expected);
        }
    }
}
