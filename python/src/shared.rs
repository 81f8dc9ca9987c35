//! What the spans of one trace share in this process, beside what the engine keeps of it.

use ddtrace::propagation::{BaggageSink, BaggageSource, EachMember};
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

/// Baggage as propagation takes and gives it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members(pub(crate) Items);

impl BaggageSink for Members {
    fn member(&mut self, key: &[u8], value: &[u8], properties: &[u8]) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut value = text(value);
        // Datadog's API has no room for properties but the value.
        if !properties.is_empty() {
            value.push(';');
            value.push_str(&text(properties));
        }
        put(&mut self.0, text(key), value);
    }
}

impl BaggageSource for Members {
    fn members(&self, each: &mut EachMember<'_>) {
        for (key, value) in &self.0 {
            each(key.as_bytes(), value.as_bytes(), b"");
        }
    }
}
