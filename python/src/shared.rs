//! What the spans of one trace share in this process, beside what the engine keeps of it.

use ddtrace::propagation::{BaggageSink, BaggageSource, EachMember};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Baggage: names and values, in the order in which they were set.
pub(crate) type Items = Vec<(String, String)>;

/// Sets an item, in the place of an earlier one of that name.
pub(crate) fn put(items: &mut Items, key: String, value: String) {
    match items.iter_mut().find(|(name, _)| *name == key) {
        Some((_, present)) => *present = value,
        None => items.push((key, value)),
    }
}

/// Baggage.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    baggage: Mutex<Items>,
}

impl Shared {
    /// With this baggage.
    pub(crate) fn with(baggage: Items) -> Shared {
        Shared { baggage: Mutex::new(baggage) }
    }

    fn baggage(&self) -> MutexGuard<'_, Items> {
        self.baggage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All baggage, in the order in which it was set.
    pub(crate) fn all_baggage(&self) -> Items {
        self.baggage().clone()
    }

    /// Changes the baggage. `change` must not call Python.
    pub(crate) fn change_baggage(&self, change: impl FnOnce(&mut Items)) {
        change(&mut self.baggage());
    }
}

/// A member that came in with properties: its name, its value with them, and where they begin.
type WithProperties = (String, String, usize);

/// The last so many of them. A value that a program sets may have a semicolon as well, which then is a part of it; what is
/// handed on as it came is told by being the same.
const MOST_WITH_PROPERTIES: usize = 64;
static WITH_PROPERTIES: Mutex<VecDeque<WithProperties>> = Mutex::new(VecDeque::new());

fn remember(key: &str, value: &str, end: usize) {
    // Nobody is waited for: in a forked child, whoever holds it may not be there.
    let Ok(mut known) = WITH_PROPERTIES.try_lock() else { return };
    let member = (key.to_owned(), value.to_owned(), end);
    if !known.contains(&member) {
        if known.len() == MOST_WITH_PROPERTIES {
            known.pop_front();
        }
        known.push_back(member);
    }
}

fn properties_at(key: &str, value: &str) -> Option<usize> {
    if !value.contains(';') {
        return None;
    }
    let known = WITH_PROPERTIES.try_lock().ok()?;
    known.iter().find(|(name, text, _)| name == key && text == value).map(|(.., end)| *end)
}

/// Baggage as propagation takes and gives it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members(pub(crate) Items);

impl BaggageSink for Members {
    fn member(&mut self, key: &[u8], value: &[u8], properties: &[u8]) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (key, mut value) = (text(key), text(value));
        // Python's APIs have no room for properties but the value.
        if !properties.is_empty() {
            let end = value.len();
            value.push(';');
            value.push_str(&text(properties));
            remember(&key, &value, end);
        }
        put(&mut self.0, key, value);
    }
}

impl BaggageSource for Members {
    fn members(&self, each: &mut EachMember<'_>) {
        for (key, value) in &self.0 {
            match properties_at(key, value).and_then(|end| value.split_at_checked(end)) {
                Some((value, properties)) => each(key.as_bytes(), value.as_bytes(), &properties.as_bytes()[1..]),
                None => each(key.as_bytes(), value.as_bytes(), b""),
            }
        }
    }
}
