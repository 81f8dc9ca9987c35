//! What contexts are read from and written to: headers, message attributes, an environment.

use super::text::trim;
use crate::context::Bounded;

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

/// What names begin with in the form of CGI (RFC 3875, 4.1.18) and WSGI.
const CGI_PREFIX: &[u8] = b"HTTP_";
/// The longest name of a header whose end is a key, in the form of CGI, in bytes; a longer one has no key.
const MAX_CGI_NAME: usize = 256;

/// A byte of a header's name, as it is compared: in the form of CGI it is in upper case, with `_` for `-`.
fn folded(byte: u8, is_cgi: bool) -> u8 {
    if is_cgi && byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

/// What follows `start` in the name, which begins with it, and whether the name is in the form of CGI.
fn behind<'a>(name: &'a [u8], start: &str) -> Option<(&'a [u8], bool)> {
    [(name, false), (name.strip_prefix(CGI_PREFIX).unwrap_or_default(), true)].into_iter().find_map(|(name, is_cgi)| {
        let (beginning, rest) = name.split_at_checked(start.len())?;
        let is_same = |(a, b): (&u8, u8)| folded(*a, is_cgi) == folded(b, is_cgi);
        beginning.iter().zip(start.bytes()).all(is_same).then_some((rest, is_cgi))
    })
}

/// Whether `name` is the header `wanted`, in any case, or in the form of CGI and WSGI (`HTTP_X_DATADOG_TRACE_ID`).
#[must_use]
pub fn is_header(name: &[u8], wanted: &str) -> bool {
    behind(name, wanted).is_some_and(|(rest, _)| rest.is_empty())
}

/// Calls `found` with what follows `prefix` in the name of a header, if it begins so, as [`is_header`] compares. A key in
/// the form of CGI, whose case is lost, is given in lower case and with `-`.
pub fn key_of_header(name: &[u8], prefix: &str, found: impl FnOnce(&[u8])) {
    match behind(name, prefix) {
        Some((key, false)) => found(key),
        Some((key, true)) => {
            let mut own = Bounded::<MAX_CGI_NAME>::new();
            if key.iter().all(|byte| own.push(&[folded(*byte, true)]).is_ok()) {
                found(own.as_bytes());
            }
        }
        None => {}
    }
}

/// Headers as a list of names and values, the names as [`is_header`] compares them.
#[derive(Clone, Copy, Debug)]
pub struct HeaderList<I>(pub I);

impl<'a, I: Iterator<Item = (&'a [u8], &'a [u8])> + Clone> Carrier for HeaderList<I> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.0.clone().filter(|(present, _)| is_header(present, name)).for_each(|(_, value)| each(value));
    }

    fn with_prefix(&self, prefix: &str, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.0.clone().for_each(|(name, value)| key_of_header(name, prefix, |key| each(key, value)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn names_are_compared_in_any_case_and_in_the_form_of_cgi() {
        for (name, wanted, is_it) in [
            ("traceparent", "traceparent", true),
            ("TraceParent", "traceparent", true),
            ("HTTP_TRACEPARENT", "traceparent", true),
            ("HTTP_X_DATADOG_TRACE_ID", "x-datadog-trace-id", true),
            ("X-Datadog-Trace-Id", "x-datadog-trace-id", true),
            ("X_DATADOG_TRACE_ID", "x-datadog-trace-id", false),
            ("x_datadog_trace_id", "x-datadog-trace-id", false),
            ("HTTP_X_DATADOG_TRACE_ID_", "x-datadog-trace-id", false),
            ("HTTP_", "b3", false),
            ("", "b3", false),
            ("HTTP_B3", "b3", true),
        ] {
            assert_eq!(is_header(name.as_bytes(), wanted), is_it, "{name}");
        }
    }

    #[test]
    fn keys_are_what_follows_the_prefix() {
        let long = std::format!("HTTP_UBERCTX_{}", "X".repeat(MAX_CGI_NAME + 1));
        for (name, key) in [
            ("uberctx-User.Id", Some("User.Id")),
            ("UBERCTX-a", Some("a")),
            ("HTTP_UBERCTX_USER_ID", Some("user-id")),
            ("uberctx-", Some("")),
            ("uberctx", None),
            ("HTTP_UBERCTX", None),
            (&long, None),
        ] {
            let mut found = None;
            key_of_header(name.as_bytes(), "uberctx-", |key| found = Some(String::from_utf8(key.to_vec()).unwrap()));
            assert_eq!(found.as_deref(), key, "{name}");
        }
    }

    #[test]
    fn a_list_has_every_value_of_a_name_in_order() {
        let headers = [("B3", "1"), ("x", "2"), ("HTTP_B3", "3"), ("Ot-Baggage-K", "4")];
        let list = HeaderList(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let mut seen = Vec::new();
        list.values("b3", &mut |value| seen.push(value.to_vec()));
        list.with_prefix("ot-baggage-", &mut |key, value| seen.push([key, value].concat()));
        assert_eq!(seen, [b"1".to_vec(), b"3".to_vec(), b"K4".to_vec()]);
    }
}
