//! How much of a span is kept (OTel trace SDK, "Span Limits"; common, "Attribute Limits").
//!
//! What is there stays and what comes later is left out and counted; setting a key again is no new attribute. The same
//! rules serve a span that is being recorded ([`SpanLimits::set_attribute`] and its like) and a finished one
//! ([`SpanLimits::apply`]).

use super::{Attribute, Event, Link, Span, Value};
use crate::semconv::RESOURCE_NAME;
use std::borrow::Cow;
use std::string::String;
use std::vec::Vec;

/// Lists within lists deeper than this are left out; the specification gives the number and no variable for it.
const MAX_DEPTH: usize = 64;

/// How much of a span is kept. Counts are numbers of items, lengths are characters of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLimits {
    /// Attributes of the span.
    pub attributes: usize,
    /// Length of a text among them; `None` is no limit.
    pub attribute_length: Option<usize>,
    /// Events of the span.
    pub events: usize,
    /// Links of the span.
    pub links: usize,
    /// Attributes of each event.
    pub event_attributes: usize,
    /// Attributes of each link.
    pub link_attributes: usize,
    /// Length of a text among the attributes of events and links; `None` is no limit.
    pub nested_attribute_length: Option<usize>,
}

impl Default for SpanLimits {
    /// 128 of each, of any length.
    fn default() -> Self {
        SpanLimits {
            attributes: 128,
            attribute_length: None,
            events: 128,
            links: 128,
            event_attributes: 128,
            link_attributes: 128,
            nested_attribute_length: None,
        }
    }
}

impl SpanLimits {
    /// Sets an attribute of a span that is being recorded: a key that is there gets the new value.
    pub fn set_attribute(&self, span: &mut Span, key: Cow<'static, str>, mut value: Value) {
        if !is_label(&key) {
            truncate(&mut value, self.attribute_length, 1);
        }
        let taken = span.attributes.iter().filter(|(present, _)| !is_label(present)).count();
        if let Some((_, present)) = span.attributes.iter_mut().find(|(present, _)| *present == key) {
            *present = value;
        } else if is_label(&key) || taken < self.attributes {
            span.attributes.push((key, value));
        } else {
            span.dropped_attributes = span.dropped_attributes.saturating_add(1);
        }
    }

    /// Adds an event to a span that is being recorded.
    pub fn add_event(&self, span: &mut Span, mut event: Event) {
        if span.events.len() < self.events {
            self.apply_to_event(&mut event);
            span.events.push(event);
        } else {
            span.dropped_events = span.dropped_events.saturating_add(1);
        }
    }

    /// Adds a link to a span that is being recorded.
    pub fn add_link(&self, span: &mut Span, mut link: Link) {
        if span.links.len() < self.links {
            self.apply_to_link(&mut link);
            span.links.push(link);
        } else {
            span.dropped_links = span.dropped_links.saturating_add(1);
        }
    }

    /// Brings a finished span within the limits; one that is within them stays as it is.
    pub fn apply(&self, span: &mut Span) {
        bound(&mut span.attributes, self.attributes, self.attribute_length, &mut span.dropped_attributes);
        cut(&mut span.events, self.events, &mut span.dropped_events);
        cut(&mut span.links, self.links, &mut span.dropped_links);
        span.events.iter_mut().for_each(|event| self.apply_to_event(event));
        span.links.iter_mut().for_each(|link| self.apply_to_link(link));
    }

    fn apply_to_event(&self, event: &mut Event) {
        let (most, length) = (self.event_attributes, self.nested_attribute_length);
        bound(&mut event.attributes, most, length, &mut event.dropped_attributes);
    }

    fn apply_to_link(&self, link: &mut Link) {
        let (most, length) = (self.link_attributes, self.nested_attribute_length);
        bound(&mut link.attributes, most, length, &mut link.dropped_attributes);
    }
}

/// Datadog's resource travels among the attributes, and is one of a span's names all the same.
fn is_label(key: &str) -> bool {
    key == RESOURCE_NAME
}

fn bound(attributes: &mut Vec<Attribute>, most: usize, length: Option<usize>, dropped: &mut u32) {
    let before = attributes.len();
    let mut kept = 0;
    attributes.retain_mut(|(key, value)| {
        if is_label(key) {
            return true;
        }
        truncate(value, length, 1);
        kept += 1;
        kept <= most
    });
    *dropped = dropped.saturating_add(u32::try_from(before - attributes.len()).unwrap_or(u32::MAX));
}

fn cut<T>(items: &mut Vec<T>, most: usize, dropped: &mut u32) {
    let too_many = items.len().saturating_sub(most);
    items.truncate(most);
    *dropped = dropped.saturating_add(u32::try_from(too_many).unwrap_or(u32::MAX));
}

/// Cuts text to its first characters, in lists as well; what is no text has no length.
fn truncate(value: &mut Value, length: Option<usize>, depth: usize) {
    match value {
        Value::String(text) => {
            if let Some(length) = length
                && let Some((end, _)) = text.char_indices().nth(length)
            {
                match text {
                    Cow::Borrowed(text) => *text = text.get(..end).unwrap_or_default(),
                    Cow::Owned(text) => String::truncate(text, end),
                }
            }
        }
        Value::Array(items) if depth >= MAX_DEPTH => items.clear(),
        Value::Array(items) => items.iter_mut().for_each(|item| truncate(item, length, depth + 1)),
        Value::Bool(_) | Value::I64(_) | Value::F64(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::datadog::tests::{attribute, span};
    use proptest::prelude::*;
    use std::format;
    use std::vec;

    const TIGHT: SpanLimits = SpanLimits {
        attributes: 2,
        attribute_length: Some(3),
        events: 1,
        links: 1,
        event_attributes: 1,
        link_attributes: 0,
        nested_attribute_length: Some(2),
    };

    fn text(value: &'static str) -> Value {
        Value::from(value)
    }

    #[test]
    fn what_is_there_stays_and_may_change_and_what_is_new_is_counted() {
        let mut span = span();
        for (key, value) in [("a", "1"), ("b", "2"), ("c", "3"), ("a", "4"), ("d", "5")] {
            TIGHT.set_attribute(&mut span, Cow::Borrowed(key), text(value));
        }
        assert_eq!(span.attributes, [attribute("a", "4"), attribute("b", "2")]);
        assert_eq!(span.dropped_attributes, 2);
    }

    #[test]
    fn datadogs_resource_is_neither_counted_nor_cut() {
        let resource = || attribute(RESOURCE_NAME, "GET /users/{id}");
        let mut finished = span();
        finished.attributes = vec![attribute("a", "12345"), resource(), attribute("b", "2"), attribute("c", "3")];
        let mut recorded = span();
        for (key, value) in finished.attributes.clone() {
            TIGHT.set_attribute(&mut recorded, key, value);
        }
        TIGHT.apply(&mut finished);
        assert_eq!(finished.attributes, [attribute("a", "123"), resource(), attribute("b", "2")]);
        assert_eq!(finished.dropped_attributes, 1);
        assert_eq!(finished, recorded);
    }

    #[test]
    fn characters_are_counted_and_lists_are_entered() {
        let list = |items: &[&'static str]| Value::Array(items.iter().map(|item| text(item)).collect());
        let mut value = Value::Array(vec![text("üüüü"), Value::I64(12345), list(&["abcd", "ab"])]);
        truncate(&mut value, Some(3), 1);
        assert_eq!(value, Value::Array(vec![text("üüü"), Value::I64(12345), list(&["abc", "ab"])]));
        let mut owned = Value::from(String::from("日本語x"));
        truncate(&mut owned, Some(3), 1);
        assert_eq!(owned, Value::from(String::from("日本語")));
        truncate(&mut owned, Some(0), 1);
        assert_eq!(owned, Value::from(String::new()));
        truncate(&mut owned, None, 1);
        assert_eq!(owned, Value::from(String::new()));
    }

    #[test]
    fn lists_are_entered_64_times() {
        let nested = |depth| (0..depth).fold(Value::I64(1), |inside, _| Value::Array(vec![inside]));
        let mut deepest = nested(63);
        truncate(&mut deepest, None, 1);
        assert_eq!(deepest, nested(63));
        let mut too_deep = nested(65);
        truncate(&mut too_deep, None, 1);
        let emptied = (0..63).fold(Value::Array(vec![]), |inside, _| Value::Array(vec![inside]));
        assert_eq!(too_deep, emptied);
    }

    fn event(attributes: &[&'static str]) -> Event {
        let attributes = attributes.iter().map(|key| attribute(key, "long text")).collect();
        Event { name: Cow::Borrowed("e"), attributes, ..Event::default() }
    }

    #[test]
    fn events_and_links_have_limits_of_their_own() {
        let mut span = span();
        for _ in 0..3 {
            TIGHT.add_event(&mut span, event(&["a", "b"]));
            TIGHT.add_link(&mut span, Link { attributes: vec![attribute("a", "b")], ..Link::default() });
        }
        assert_eq!((span.events.len(), span.dropped_events), (1, 2));
        assert_eq!(span.events[0].attributes, [attribute("a", "lo")]);
        assert_eq!(span.events[0].dropped_attributes, 1);
        assert_eq!((span.links.len(), span.dropped_links), (1, 2));
        assert_eq!((span.links[0].attributes.len(), span.links[0].dropped_attributes), (0, 1));
    }

    proptest! {
        #[test]
        fn a_finished_span_comes_out_as_a_recorded_one(
            count in 0..6usize,
            length in prop::option::of(0..4usize),
            texts in prop::collection::vec("[a-zé]{0,6}", 0..8),
        ) {
            let limits = SpanLimits { attributes: count, attribute_length: length, events: count, ..TIGHT };
            let (mut recorded, mut finished) = (span(), span());
            for (number, text) in texts.into_iter().enumerate() {
                let key: Cow<'static, str> = Cow::Owned(format!("k{number}"));
                limits.set_attribute(&mut recorded, key.clone(), Value::from(text.clone()));
                limits.add_event(&mut recorded, event(&["a"]));
                finished.attributes.push((key, Value::from(text)));
                finished.events.push(event(&["a"]));
            }
            limits.apply(&mut finished);
            prop_assert_eq!(&finished, &recorded);
            limits.apply(&mut finished);
            prop_assert_eq!(&finished, &recorded, "twice");
        }
    }
}
