//! What a span holds until it is recorded.

use super::value::{AttributeValue, MAX_TEXT, fair_share};
use crate::context::MAX_TRACE_STATE;
use crate::ids::{SpanId, TraceId};
use crate::propagation::Extracted;
use crate::record::{EncodedFields, FieldValue, MAX_NAME, Name, SPAN_DATADOG_TAGS, SpanFields, floor_char_boundary};
use crate::semconv::{Key, MANUAL_DROP, MANUAL_KEEP};
use crate::span::{Scope, SpanKind, SpanLimits, Status};
use std::borrow::Cow;
use std::sync::Arc;
use std::vec::Vec;

/// The longest name of a span, and the longest message of a status, in bytes; a longer one is cut.
pub(super) const MAX_LINE: usize = 8 * 1024;
/// The most bytes that an event or a link takes; the texts of its attributes are cut to that.
const MAX_DETAIL: usize = 14 * 1024;
/// Room for the fields of an ordinary span, so that they are allocated once.
const USUAL_FIELDS: usize = 256;

/// How far a span has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Nobody was told of it.
    Fresh,
    /// Its start is recorded.
    Started,
    /// Its end is.
    Ended,
}

/// A span's own data.
#[derive(Debug)]
pub struct SpanData {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent_id: SpanId,
    pub(super) kind: SpanKind,
    pub(super) start_ns: u64,
    /// `SPAN_*` of its record.
    pub(super) flags: u8,
    pub(super) name: Cow<'static, str>,
    pub(super) status: Status,
    pub(super) scope: Option<Arc<Scope>>,
    pub(super) phase: Phase,
    /// Attributes, events, links and whatever else is a field.
    pub(super) fields: EncodedFields,
    /// So many bytes of the fields are recorded already.
    pub(super) told: usize,
    pub(super) name_is_told: bool,
    pub(super) dropped: [u32; 3],
    limits: SpanLimits,
    attributes: usize,
    events: usize,
    links: usize,
    manual: Option<bool>,
}

const ATTRIBUTES: usize = 0;
const EVENTS: usize = 1;
const LINKS: usize = 2;

impl SpanData {
    pub(super) fn new(
        trace_id: TraceId,
        span_id: SpanId,
        parent_id: SpanId,
        start_ns: u64,
        limits: SpanLimits,
    ) -> SpanData {
        SpanData {
            trace_id,
            span_id,
            parent_id,
            kind: SpanKind::Internal,
            start_ns,
            flags: 0,
            name: Cow::Borrowed(""),
            status: Status::Unset,
            scope: None,
            phase: Phase::Fresh,
            fields: EncodedFields::with_capacity(USUAL_FIELDS),
            told: 0,
            name_is_told: false,
            dropped: [0; 3],
            limits,
            attributes: 0,
            events: 0,
            links: 0,
            manual: None,
        }
    }

    /// Sets an attribute, in the place of an earlier one of that name.
    ///
    /// `manual.keep` and `manual.drop` are no attributes but say that the trace is to be kept, or dropped, whatever their
    /// value is.
    pub fn set_attribute(&mut self, name: &str, value: AttributeValue<'_>) {
        match name {
            "" => return,
            MANUAL_KEEP => return self.manual = Some(true),
            MANUAL_DROP => return self.manual = Some(false),
            _ => {}
        }
        let name = cut_name(name);
        match self.fields.find(Key::Attribute, name) {
            Some(place) => self.forget(place),
            None if self.attributes >= self.limits.attributes => return self.drop_one(ATTRIBUTES),
            None => self.attributes += 1,
        }
        // The limits' lengths are kept after secrets are hidden, which half of one is not known to be.
        let value = value.cut(MAX_TEXT);
        self.fields.append(name.len() + value.size(), 1, |record| value.write(name, record));
    }

    /// Takes an attribute away.
    pub fn remove_attribute(&mut self, name: &str) {
        let name = cut_name(name);
        let Some(place) = self.fields.find(Key::Attribute, name) else { return };
        let was_told = place.start < self.told;
        self.forget(place);
        self.attributes -= 1;
        if was_told {
            self.fields.append(name.len(), 1, |record| record.attribute_removed(Name(name)));
        }
    }

    /// Says that an API of Datadog's makes it, before it has started: its attributes are tags of Datadog's already, of which
    /// none sets a field, and its name is its resource.
    pub fn set_has_datadog_tags(&mut self) {
        self.flags |= SPAN_DATADOG_TAGS;
    }

    pub(super) fn has_datadog_tags(&self) -> bool {
        self.flags & SPAN_DATADOG_TAGS != 0
    }

    /// Sets a text that has a key of its own, such as [`Key::ResourceName`]; an empty one counts as none.
    pub fn set_text(&mut self, key: Key, text: &str) {
        if let Some(place) = self.fields.find(key, b"") {
            self.forget(place);
        }
        let text = cut_line(text);
        self.fields.append(text.len(), 1, |record| record.text(key, text.as_bytes()));
    }

    /// The value of an attribute, as long as the span has not ended.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<FieldValue<'_>> {
        Some(self.fields.get(Key::Attribute, cut_name(name))?.value)
    }

    /// The text that has a key of its own.
    #[must_use]
    pub fn text(&self, key: Key) -> Option<&str> {
        match self.fields.get(key, b"")?.value {
            FieldValue::Text(text) => core::str::from_utf8(text).ok().filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// The attributes, in the order in which they were set.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.fields.iter().filter(|field| field.key == Key::Attribute).filter_map(|field| {
            let name = core::str::from_utf8(field.name).ok()?;
            Some((name, field.value))
        })
    }

    /// The events and links, in the order in which they were added.
    pub fn details(&self) -> impl Iterator<Item = FieldValue<'_>> {
        self.fields.iter().filter(|field| matches!(field.key, Key::Event | Key::Link)).map(|field| field.value)
    }

    /// How much of it is kept. Counts are kept to as it is recorded; texts are recorded whole, and cut when they are sent.
    #[must_use]
    pub fn limits(&self) -> &SpanLimits {
        &self.limits
    }

    /// How many attributes, events and links found no room.
    #[must_use]
    pub fn dropped(&self) -> [u32; 3] {
        self.dropped
    }

    /// Whether Datadog's backend makes statistics of the span, where somebody has said so.
    #[must_use]
    pub fn measured(&self) -> Option<bool> {
        match self.fields.get(Key::Measured, b"")?.value {
            FieldValue::Bool(measured) => Some(measured),
            _ => None,
        }
    }

    /// Says whether Datadog's backend makes statistics of the span.
    pub fn set_measured(&mut self, measured: bool) {
        if let Some(place) = self.fields.find(Key::Measured, b"") {
            self.forget(place);
        }
        self.fields.append(1, 1, |record| record.boolean(Key::Measured, measured));
    }

    /// Adds an event at a time in nanoseconds since the Unix epoch.
    ///
    /// An event finds room in one record, of 16 KiB: texts that leave none for what follows are cut.
    pub fn add_event<'a>(
        &mut self,
        name: &str,
        time_unix_ns: u64,
        attributes: impl ExactSizeIterator<Item = (&'a str, AttributeValue<'a>)>,
    ) {
        if self.events >= self.limits.events {
            return self.drop_one(EVENTS);
        }
        self.events += 1;
        let name = cut_name(name);
        let given = attributes.len();
        let mut attributes = self.within(attributes.take(self.limits.event_attributes));
        let dropped = given - attributes.len();
        attributes.retain(|(name, _)| !name.is_empty());
        let size: usize = attributes.iter().map(|(name, value)| name.len() + value.size()).sum();
        self.fields.append(name.len() + size, attributes.len() + 3, |record| {
            record.event(time_unix_ns, Name(name), |event| {
                attributes.iter().for_each(|(name, value)| value.write(name, event));
                if dropped > 0 {
                    event.dropped_attributes(dropped as u32);
                }
            });
        });
    }

    /// Adds a link to another span. `flags` are its W3C trace flags and what is known of where its context came from, as
    /// [`Link::flags`](crate::span::Link::flags); `trace_state` is in the form of the header.
    /// Datadog's APIs tell links apart by the other span's id: a later one takes the place of an earlier one.
    pub fn add_link<'a>(
        &mut self,
        (trace_id, span_id): (TraceId, SpanId),
        flags: impl Into<u16>,
        trace_state: &str,
        attributes: impl ExactSizeIterator<Item = (&'a str, AttributeValue<'a>)>,
    ) {
        if self.has_datadog_tags()
            && let Some(place) = self.fields.find_link(span_id)
        {
            self.forget(place);
            self.links -= 1;
        }
        if self.links >= self.limits.links {
            return self.drop_one(LINKS);
        }
        self.links += 1;
        let (flags, trace_state) = (flags.into(), cut_name(trace_state));
        let given = attributes.len();
        let attributes = self.within(attributes.take(self.limits.link_attributes));
        let dropped = given - attributes.len();
        let size: usize = attributes.iter().map(|(name, value)| name.len() + value.size()).sum();
        self.fields.append(trace_state.len() + size, attributes.len() + 3, |record| {
            record.link(trace_id, span_id, flags, trace_state, |link| {
                attributes.iter().for_each(|(name, value)| value.write(name, link));
                if dropped > 0 {
                    link.dropped_attributes(dropped as u32);
                }
            });
        });
    }

    /// Links to the contexts that came in and are not continued. They count, but no limit keeps them out.
    pub(super) fn link_terminated(&mut self, incoming: &Extracted) {
        let count = incoming.links.iter().flatten().count();
        if count > 0 {
            self.links += count;
            // Ids, flags, reason and style of each, and the one that may have a state.
            self.fields.append(count * 128 + MAX_TRACE_STATE, count * 3, |record| record.terminated_links(incoming));
        }
    }

    /// Says how it ended, by OpenTelemetry's rules: OK is final, and nothing goes back to unset.
    pub fn set_status(&mut self, status: Status) {
        if self.status != Status::Ok && status != Status::Unset {
            self.status = status;
        }
    }

    /// Says how it ended, whatever was said before.
    pub fn override_status(&mut self, status: Status) {
        self.status = status;
    }

    /// How it ended, so far.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Changes the name.
    pub fn set_name(&mut self, name: Cow<'static, str>) {
        self.name_is_told &= name == self.name;
        self.name = name;
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the instrumentation scope; empty where there is none.
    #[must_use]
    pub fn scope_name(&self) -> &str {
        match &self.scope {
            Some(scope) => &scope.name,
            None => self.text(Key::ScopeName).unwrap_or_default(),
        }
    }

    /// Changes the name of the instrumentation scope.
    pub fn set_scope_name(&mut self, name: &str) {
        match &mut self.scope {
            Some(scope) => Arc::make_mut(scope).name = name.into(),
            None => self.set_text(Key::ScopeName, name),
        }
    }

    /// The role.
    #[must_use]
    pub fn kind(&self) -> SpanKind {
        self.kind
    }

    /// Says when it started, in nanoseconds since the Unix epoch, in the place of what was said before.
    pub fn set_start_unix_ns(&mut self, start_ns: u64) {
        self.start_ns = start_ns;
        if self.phase == Phase::Fresh {
            return;
        }
        if let Some(place) = self.fields.find(Key::StartTime, b"") {
            self.forget(place);
        }
        self.fields.append(8, 1, |record| record.integer(Key::StartTime, i64::try_from(start_ns).unwrap_or(i64::MAX)));
    }

    /// When it started, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn start_unix_ns(&self) -> u64 {
        self.start_ns
    }

    /// The parent's id, zero for none.
    #[must_use]
    pub fn parent_id(&self) -> SpanId {
        self.parent_id
    }

    /// Whether it has ended: what is set from then on goes nowhere.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// What the application has said about keeping the trace since this was last asked.
    pub(super) fn take_manual(&mut self) -> Option<bool> {
        self.manual.take()
    }

    fn forget(&mut self, place: core::ops::Range<usize>) {
        if place.start < self.told {
            self.told -= place.len();
        }
        self.fields.remove(place);
    }

    /// The attributes of an event or a link with the longest of their values cut so that all of them find room. Only where
    /// there is none for their names are the last ones left out.
    fn within<'a>(
        &self,
        attributes: impl Iterator<Item = (&'a str, AttributeValue<'a>)>,
    ) -> Vec<(&'a [u8], AttributeValue<'a>)> {
        /// A number, which is not cut.
        const LEAST: usize = 8;
        let mut room = MAX_DETAIL - MAX_NAME;
        let mut kept: Vec<_> = attributes
            .map_while(|(name, value)| {
                let name = cut_name(name);
                room = room.checked_sub(name.len() + 16 + LEAST)?;
                Some((name, value.cut(MAX_DETAIL)))
            })
            .collect();
        let share = fair_share(room, kept.iter().map(|(_, value)| value.size().saturating_sub(LEAST)));
        for (_, value) in &mut kept {
            if value.size() > share.saturating_add(LEAST) {
                *value = core::mem::replace(value, AttributeValue::Bool(false)).cut(share + LEAST);
            }
        }
        kept
    }

    fn drop_one(&mut self, what: usize) {
        if let Some(count) = self.dropped.get_mut(what) {
            *count = count.saturating_add(1);
        }
    }
}

fn cut_name(name: &str) -> &[u8] {
    let name = name.as_bytes();
    name.get(..floor_char_boundary(name, MAX_NAME)).unwrap_or(name)
}

pub(super) fn cut_line(line: &str) -> &str {
    line.get(..floor_char_boundary(line.as_bytes(), MAX_LINE)).unwrap_or(line)
}
