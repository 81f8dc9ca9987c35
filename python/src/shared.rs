//! What the spans of one trace share in this process, beside what the engine keeps of it.

use crate::span::Span;
use ddtrace::propagation::{BaggageSink, BaggageSource, EachMember};
use pyo3::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Baggage, and the spans that wait for the others.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    baggage: Mutex<Vec<(String, String)>>,
    /// Where finished traces are looked through before they are recorded: how many spans are open, and the finished ones.
    waiting: Mutex<(usize, Vec<Py<Span>>)>,
}

impl Shared {
    /// With this baggage.
    pub(crate) fn with(baggage: Vec<(String, String)>) -> Shared {
        Shared { baggage: Mutex::new(baggage), ..Shared::default() }
    }

    fn baggage(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        self.baggage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All baggage, in the order in which it was set.
    pub(crate) fn all_baggage(&self) -> Vec<(String, String)> {
        self.baggage().clone()
    }

    pub(crate) fn baggage_item(&self, key: &str) -> Option<String> {
        self.baggage().iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    pub(crate) fn set_baggage_item(&self, key: String, value: String) {
        let mut baggage = self.baggage();
        match baggage.iter_mut().find(|(name, _)| *name == key) {
            Some((_, present)) => *present = value,
            None => baggage.push((key, value)),
        }
    }

    pub(crate) fn remove_baggage_item(&self, key: &str) {
        self.baggage().retain(|(name, _)| name != key);
    }

    pub(crate) fn remove_all_baggage(&self) {
        self.baggage().clear();
    }

    /// A span has begun that will wait for the others.
    pub(crate) fn begin_waiting(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
    }

    /// A span is finished; gives all of them, if none is open any more.
    pub(crate) fn wait(&self, span: Py<Span>) -> Option<Vec<Py<Span>>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.1.push(span);
        waiting.0 = waiting.0.saturating_sub(1);
        (waiting.0 == 0).then(|| std::mem::take(&mut waiting.1))
    }
}

/// Baggage as propagation takes and gives it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members(pub(crate) Vec<(String, String)>);

impl BaggageSink for Members {
    fn member(&mut self, key: &[u8], value: &[u8], properties: &[u8]) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut value = text(value);
        // Datadog's API has no room for properties but the value.
        if !properties.is_empty() {
            value.push(';');
            value.push_str(&text(properties));
        }
        let key = text(key);
        match self.0.iter_mut().find(|(name, _)| *name == key) {
            Some((_, present)) => *present = value,
            None => self.0.push((key, value)),
        }
    }
}

impl BaggageSource for Members {
    fn members(&self, each: &mut EachMember<'_>) {
        for (key, value) in &self.0 {
            each(key.as_bytes(), value.as_bytes(), b"");
        }
    }
}
