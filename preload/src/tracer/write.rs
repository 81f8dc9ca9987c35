//! What is said of a span after its start: each at once in a record of its own, so that a crash loses nothing of it.

use super::Tracer;
use super::root_log::{About, RootLog};
use super::span::SpanRef;
use super::{clock, span::Span};
use crate::process;
use core::sync::atomic::Ordering;
use ddtrace::context::Bounded;
use ddtrace::failure::{EXCEPTION, ErrorTag, is_exception};
use ddtrace::interface::Part;
use ddtrace::record::{MAX_NAME, Name, RecordWriter, SpanFields};
use ddtrace::sampling::TagValue;
use ddtrace::semconv::{ERROR_TYPE, Key, kind_number};

/// The longest name, service, resource and type, in bytes; no backend keeps more.
pub(super) const MAX_LABEL: usize = 5000;
/// The most bytes of a tag's text. Datadog keeps 25,000 characters.
const MAX_TEXT: usize = 64 * 1024;
/// So much of a text goes into one record.
const PIECE: usize = 12 * 1024;
/// The most bytes of each text in an event.
const MAX_EVENT_TEXT: usize = 8 * 1024;

/// So much of each text of an exception is seen by rules: a stack is to leave room for what else they look at.
const MAX_EXCEPTION_TEXT: usize = 2 * 1024;

/// The beginning of a text, without a part of a character at its end.
pub(super) fn cut(text: &[u8], most: usize) -> &[u8] {
    let Some((head, rest)) = text.split_at_checked(most) else { return text };
    let is_inside = |byte: &u8| byte & 0xc0 == 0x80;
    if !rest.first().is_some_and(is_inside) {
        return head;
    }
    // A character has at most four bytes; what is no UTF-8 is cut where it is.
    let back = head.iter().rev().take(4).position(|byte| !is_inside(byte));
    let kept = back.map_or(head.len(), |back| head.len().saturating_sub(back.saturating_add(1)));
    head.get(..kept).unwrap_or(head)
}

/// Takes what is said of a span in one record, and keeps of it what sampling rules may want to know.
pub(crate) struct Told<'a> {
    pub(super) record: &'a mut RecordWriter,
    /// Of a local root that is not decided about.
    pub(super) root: Option<&'a RootLog>,
    /// Whether there are rules that may ask for tags.
    pub(super) has_rules: bool,
}

impl Told<'_> {
    /// Keeps a label for sampling rules.
    fn note(&self, about: About, text: &[u8]) {
        if let Some(root) = self.root.filter(|_| self.has_rules && !text.is_empty()) {
            root.add(about, b"", text);
        }
    }

    /// The span's name in OTLP; other names are made of its attributes.
    pub(crate) fn name(&mut self, name: &[u8], operation: &[u8]) {
        self.note(About::Name, operation);
        self.note(About::Title, name);
        self.record.text(Key::Name, cut(name, MAX_LABEL));
    }

    /// As [`Told::name`], in pieces; `default` where there are none.
    pub(crate) fn name_of_pieces(&mut self, pieces: &[&[u8]], default: &[u8], operation: &[u8]) {
        self.note(About::Name, operation);
        let mut name = Bounded::<256>::new();
        for piece in pieces {
            let _ = name.push(piece);
        }
        let name = if name.is_empty() { default } else { name.as_bytes() };
        self.note(About::Title, name);
        self.record.text(Key::Name, name);
    }

    /// A text; nothing where it is empty.
    pub(crate) fn text(&mut self, name: &[u8], text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if let Some(root) = self.root.filter(|_| self.has_rules) {
            root.add(About::Text, name, text);
        }
        self.record.attribute_text(Name(name), cut(text, MAX_NATIVE_TEXT));
    }

    /// A text made of pieces.
    pub(crate) fn pieces(&mut self, name: &[u8], pieces: &[&[u8]]) {
        if let Some(root) = self.root.filter(|_| self.has_rules) {
            root.add_pieces(About::Text, name, pieces);
        }
        self.record.attribute_pieces(Name(name), pieces);
    }

    /// Texts, as a list of one.
    pub(crate) fn list(&mut self, name: &[u8], text: &[u8]) {
        if let Some(root) = self.root.filter(|_| self.has_rules) {
            root.add(About::Text, name, text);
        }
        self.record.attribute_texts(Name(name), core::iter::once(cut(text, MAX_NATIVE_TEXT)));
    }

    /// A number.
    pub(crate) fn integer(&mut self, name: &[u8], number: i64) {
        if let Some(root) = self.root.filter(|_| self.has_rules) {
            root.add(About::Integer, name, &number.to_le_bytes());
        }
        self.record.attribute_integer(Name(name), number);
    }
}

/// The most bytes of a text in [`Told`]: several of them go into one record.
const MAX_NATIVE_TEXT: usize = 2048;

/// A tag of a span or event.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Some(TagValue<'a>),
    Removed,
}

/// A name and its value.
pub(super) struct NamedValue<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: Value<'a>,
}

impl Tracer {
    /// Changes one of the four labels of a span.
    pub(super) fn set(&'static self, span: &SpanRef, part: Part, text: &[u8]) {
        if part == Part::Kind {
            if let Some(kind) = kind_number(text).filter(|_| span.is_lent()) {
                span.kind.store(kind, Ordering::Relaxed);
            }
            return;
        }
        let (attribute, about) = match part {
            Part::Name => (Key::OperationName, Some(About::Name)),
            Part::Resource => (Key::Name, Some(About::Resource)),
            Part::Service => (Key::Service, Some(About::Service)),
            Part::Type | Part::Kind => (Key::SpanType, None),
        };
        note(span, |span| {
            if let Some(about) = about {
                span.trace.root.add(about, b"", text);
            }
        });
        // Its own tracer tells of what is lent.
        if span.is_lent() {
            return;
        }
        process::record_span(|record| {
            record.amend(span.span_id);
            record.text(attribute, cut(text, MAX_LABEL));
            if part == Part::Resource {
                record.text(Key::ResourceName, cut(text, MAX_LABEL));
            }
        });
    }

    /// Sets a tag. Two of them are Datadog's way to decide by hand, and no tags.
    pub(super) fn tag(&'static self, span: &SpanRef, tag: &NamedValue<'_>) {
        match (tag.name, tag.value) {
            (b"manual.keep", Value::Some(_)) => drop(self.decide_by_hand(&span.trace, true)),
            (b"manual.drop", Value::Some(_)) => drop(self.decide_by_hand(&span.trace, false)),
            _ => {
                note(span, |span| note_tag(span, tag));
                write_tag(span, tag);
            }
        }
    }

    /// Adds an event. Tags that find no room in its record are counted.
    pub(super) fn event<'a>(
        &'static self,
        span: &SpanRef,
        name: &[u8],
        time_unix_ns: u64,
        tags: impl Iterator<Item = NamedValue<'a>>,
    ) {
        let time = if time_unix_ns != 0 { time_unix_ns } else { clock::unix_ns() };
        let tells_exception = is_exception(name);
        if tells_exception {
            note(span, |span| span.trace.root.add(About::Exception, b"", b""));
        }
        process::record_span(|record| {
            record.amend(span.span_id);
            record.event(time, Name(cut(name, MAX_NAME)), |event| {
                let mut dropped = 0u32;
                for tag in tags.filter(|tag| !tag.name.is_empty()) {
                    if tells_exception {
                        note(span, |span| note_exception(span, &tag));
                    }
                    let text = match tag.value {
                        Value::Some(TagValue::Text(text)) => text.len().min(MAX_EVENT_TEXT),
                        _ => 8,
                    };
                    // With the field's header, and what tells of those that were dropped.
                    if event.room() < tag.name.len().min(MAX_NAME).saturating_add(text).saturating_add(64) {
                        dropped = dropped.saturating_add(1);
                    } else {
                        write_value(event, &tag, MAX_EVENT_TEXT);
                    }
                }
                if dropped != 0 {
                    event.dropped_attributes(dropped);
                }
            });
        });
    }

    /// The span has failed: status, tags and an event, as the conventions for exceptions have it.
    pub(super) fn error(&'static self, span: &SpanRef, kind: &[u8], message: &[u8], stack: &[u8]) {
        span.fail(message);
        let text = |text| Value::Some(TagValue::Text(text));
        let attributes =
            [(&b"exception.type"[..], kind), (b"exception.message", message), (b"exception.stacktrace", stack)];
        if !kind.is_empty() {
            note(span, |span| span.trace.root.add(About::Text, ERROR_TYPE.as_bytes(), kind));
        }
        process::record_span(|record| {
            record.amend(span.span_id);
            record.text(Key::StatusMessage, cut(message, MAX_LABEL));
            if !kind.is_empty() {
                record.attribute_text(Name(ERROR_TYPE.as_bytes()), cut(kind, MAX_LABEL));
            }
        });
        let tags = attributes.into_iter().filter(|(_, value)| !value.is_empty());
        self.event(span, EXCEPTION.as_bytes(), 0, tags.map(|(name, value)| NamedValue { name, value: text(value) }));
    }

    /// Decides by hand. Whether that was still possible.
    pub(super) fn keep(&'static self, span: &SpanRef, keep: bool) -> bool {
        self.decide_by_hand(&span.trace, keep)
    }
}

impl Span {
    /// It has failed, with a message for its status, which may be empty.
    pub(super) fn fail(&self, message: &[u8]) {
        self.failed.store(true, Ordering::Relaxed);
        note(self, |span| span.trace.root.add(About::Failed, b"", message));
    }
}

/// What sampling rules may want to know: only of the span that they look at, and only while nothing is decided.
fn note(span: &Span, note: impl FnOnce(&Span)) {
    if span.is_judged && span.trace.verdict.outcome().is_none() {
        note(span);
    }
}

fn note_tag(span: &Span, tag: &NamedValue<'_>) {
    let log = &span.trace.root;
    match tag.value {
        Value::Some(TagValue::Text(text)) => log.add(About::Text, tag.name, text),
        Value::Some(TagValue::Integer(number)) => log.add(About::Integer, tag.name, &number.to_le_bytes()),
        Value::Some(TagValue::Float(number)) => log.add(About::Float, tag.name, &number.to_bits().to_le_bytes()),
        Value::Some(TagValue::Bool(truth)) => log.add(About::Bool, tag.name, &[truth.into()]),
        Value::Some(TagValue::List) => {}
        Value::Removed => log.add(About::Removed, tag.name, b""),
    }
}

/// An attribute of an exception, where rules see it as a tag of the span.
fn note_exception(span: &Span, tag: &NamedValue<'_>) {
    let is_seen = ErrorTag::ALL.iter().any(|error| error.of_exception().as_bytes() == tag.name);
    if let Value::Some(TagValue::Text(text)) = tag.value
        && is_seen
    {
        span.trace.root.add(About::Exception, tag.name, cut(text, MAX_EXCEPTION_TEXT));
    }
}

/// Writes a tag into records of its own; a long text takes several.
fn write_tag(span: &Span, tag: &NamedValue<'_>) {
    let Value::Some(TagValue::Text(text)) = tag.value else {
        return process::record_span(|record| {
            record.amend(span.span_id);
            write_value(record, tag, PIECE);
        });
    };
    let mut rest = cut(text, MAX_TEXT);
    let mut is_first = true;
    loop {
        let piece = cut(rest, PIECE);
        process::record_span(|record: &mut RecordWriter| {
            record.amend(span.span_id);
            if is_first {
                record.attribute_text(Name(tag.name), piece);
            } else {
                record.attribute_text_continued(Name(tag.name), piece);
            }
        });
        rest = rest.get(piece.len()..).unwrap_or_default();
        is_first = false;
        if rest.is_empty() {
            return;
        }
    }
}

fn write_value(to: &mut impl SpanFields, tag: &NamedValue<'_>, most: usize) {
    let name = Name(cut(tag.name, MAX_NAME));
    match tag.value {
        Value::Some(TagValue::Text(text)) => to.attribute_text(name, cut(text, most)),
        Value::Some(TagValue::Integer(number)) => to.attribute_integer(name, number),
        Value::Some(TagValue::Float(number)) => to.attribute_float(name, number),
        Value::Some(TagValue::Bool(truth)) => to.attribute_bool(name, truth),
        Value::Some(TagValue::List) => {}
        Value::Removed => to.attribute_removed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn no_character_is_cut_in_two() {
        assert_eq!(cut(b"abc", 3), b"abc");
        assert_eq!(cut(b"abcd", 3), b"abc");
        for most in 1..=6 {
            let kept = cut("aé€😀".as_bytes(), most);
            assert!(kept.len() <= most && std::str::from_utf8(kept).is_ok(), "{most}: {kept:?}");
        }
        assert_eq!(cut("aé€".as_bytes(), 6), "aé€".as_bytes());
        // No UTF-8: kept as it is.
        assert_eq!(cut(&[0x80; 9], 8), &[0x80; 8]);
    }
}
