//! What contexts are read from and written to: headers, message attributes, an environment.

use super::text::trim;

/// Something that has named values, such as the headers of a request.
pub trait Carrier {
    /// Calls `each` with every value of that name, in order. Names of headers are compared without regard to case; `name`
    /// is lower case.
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8]));

    /// Calls `each` with what follows `prefix` in a name, and the value, for every name that begins so. A carrier that
    /// cannot list its names calls it never.
    fn with_prefix(&self, prefix: &str, each: &mut dyn FnMut(&[u8], &[u8])) {
        let _ = (prefix, each);
    }
}

/// What `read` makes of the first value of that name, without the blanks around it.
pub(super) fn first<T>(carrier: &dyn Carrier, name: &str, mut read: impl FnMut(&[u8]) -> T) -> Option<T> {
    let mut found = None;
    carrier.values(name, &mut |value| {
        if found.is_none() {
            found = Some(read(trim(value)));
        }
    });
    found
}

/// Something that takes named values.
pub trait CarrierMut {
    /// Sets a value, in the place of what has the same name. `name` is as the format writes it.
    fn set(&mut self, name: &str, value: &[u8]);
}

/// Takes in the baggage that a carrier brought.
pub trait BaggageSink {
    /// A member: key and value decoded, properties as they stood, without the first semicolon.
    fn member(&mut self, key: &[u8], value: &[u8], properties: &[u8]);
}

/// What takes the members of a [`BaggageSource`], one by one: key, value, properties.
pub type EachMember<'a> = dyn FnMut(&[u8], &[u8], &[u8]) + 'a;

/// Gives the baggage to write.
pub trait BaggageSource {
    /// Calls `each` with every member: key and value decoded, properties as they are to stand.
    fn members(&self, each: &mut EachMember<'_>);
}

/// No baggage is wanted, or there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBaggage;

impl BaggageSink for NoBaggage {
    fn member(&mut self, _: &[u8], _: &[u8], _: &[u8]) {}
}

impl BaggageSource for NoBaggage {
    fn members(&self, _: &mut EachMember<'_>) {}
}
