//! The environment as a carrier: the context that a process is started with, and the one that it gives its children.
//!
//! Names are normalised as OpenTelemetry's environment carriers demand: `traceparent` is `TRACEPARENT`,
//! `x-datadog-trace-id` is `X_DATADOG_TRACE_ID`. Only names in that form are read; a lower-case `traceparent` is not.

use super::{Carrier, CarrierMut};
use crate::context::Bounded;

/// The longest normalised name, in bytes; a longer one is neither read nor written.
pub const MAX_NAME: usize = 256;

/// The name of the variable for a header's name: letters in upper case, everything but letters, digits and `_` as `_`,
/// `_` before a leading digit and for the empty name. `None` if it is longer than [`MAX_NAME`].
pub fn normalised_name<'a>(name: &str, buffer: &'a mut Bounded<MAX_NAME>) -> Option<&'a [u8]> {
    buffer.clear();
    if name.as_bytes().first().is_none_or(u8::is_ascii_digit) {
        buffer.push(b"_").ok()?;
    }
    // Characters, not bytes, are replaced.
    for character in name.chars() {
        let byte = u8::try_from(character).unwrap_or(b'_');
        let byte = if byte.is_ascii_alphanumeric() { byte.to_ascii_uppercase() } else { b'_' };
        buffer.push(&[byte]).ok()?;
    }
    Some(buffer.as_bytes())
}

/// Reads an environment through a function that finds the value of a normalised name.
#[derive(Clone, Copy, Debug)]
pub struct EnvironmentCarrier<F>(pub F);

impl<V: AsRef<[u8]>, F: Fn(&[u8]) -> Option<V>> Carrier for EnvironmentCarrier<F> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let mut buffer = Bounded::new();
        if let Some(value) = normalised_name(name, &mut buffer).and_then(&self.0) {
            each(value.as_ref());
        }
    }
}

/// Writes into the environment for a child, never into that of the running process, through a function that sets the value
/// of a normalised name.
#[derive(Clone, Copy, Debug)]
pub struct EnvironmentWriter<F>(pub F);

impl<F: FnMut(&[u8], &[u8])> CarrierMut for EnvironmentWriter<F> {
    fn set(&mut self, name: &str, value: &[u8]) {
        let mut buffer = Bounded::new();
        if let Some(name) = normalised_name(name, &mut buffer) {
            (self.0)(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    #[test]
    fn names_are_normalised() {
        for (name, expected) in [
            ("traceparent", "TRACEPARENT"),
            ("x-b3-traceid", "X_B3_TRACEID"),
            ("b3", "B3"),
            ("uber-trace-id", "UBER_TRACE_ID"),
            ("X-Amzn-Trace-Id", "X_AMZN_TRACE_ID"),
            ("x-datadog-trace-id", "X_DATADOG_TRACE_ID"),
            ("", "_"),
            ("9lives", "_9LIVES"),
            ("ké.y", "K__Y"),
        ] {
            assert_eq!(normalised_name(name, &mut Bounded::new()), Some(expected.as_bytes()), "{name}");
        }
        assert_eq!(normalised_name(&"a".repeat(MAX_NAME + 1), &mut Bounded::new()), None);
    }

    #[test]
    fn only_the_normalised_name_is_looked_up() {
        let environment = [("traceparent", "lower"), ("TRACEPARENT", "upper")];
        let carrier = EnvironmentCarrier(|name: &[u8]| {
            environment.iter().find(|(present, _)| present.as_bytes() == name).map(|(_, value)| *value)
        });
        let mut seen = Vec::new();
        carrier.values("traceparent", &mut |value| seen.push(value.to_vec()));
        carrier.values("tracestate", &mut |value| seen.push(value.to_vec()));
        assert_eq!(seen, [b"upper"]);
        let mut written = Vec::new();
        EnvironmentWriter(|name: &[u8], value: &[u8]| written.push((name.to_vec(), value.to_vec()))).set("b3", b"0");
        assert_eq!(written, [(b"B3".to_vec(), "0".to_string().into_bytes())]);
    }
}
