//! Keys and values: `DD_TAGS`, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_EXPORTER_OTLP_HEADERS`.

use super::Read;
use crate::config::value::Value;
use std::borrow::Cow;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// Puts a pair in; a key that is there already keeps its place and takes the new value.
fn put(pairs: &mut Vec<(String, String)>, key: String, value: String) {
    match pairs.iter_mut().find(|(present, _)| *present == key) {
        Some((_, old)) => *old = value,
        None => pairs.push((key, value)),
    }
}

/// Datadog's grammar: commas separate if there is one, else blanks; each item is split at its first colon; an item
/// without a colon has an empty value, one without a key is skipped; the last of several equal keys wins.
pub(super) fn datadog_tags(text: &str) -> Vec<(String, String)> {
    let separator = if text.contains(',') { ',' } else { ' ' };
    let mut pairs = Vec::new();
    for item in text.split(separator) {
        let (key, value) = item.split_once(':').unwrap_or((item, ""));
        if !key.trim().is_empty() {
            put(&mut pairs, key.trim().into(), value.trim().into());
        }
    }
    pairs
}

/// OpenTelemetry's rule: any error discards the whole variable.
pub(super) fn resource_attributes(text: &str) -> Read {
    let mut pairs = Vec::new();
    for (item, key, value) in resource_items(text) {
        let Some(value) = value else {
            return Read::bad(format!("has {item:?} without a \"=\", so that none of it counts"));
        };
        let (Some(key), Some(value)) = (percent_decoded(key), percent_decoded(value)) else {
            return Read::bad(format!("has {item:?}, which is wrongly percent-encoded, so that none of it counts"));
        };
        if key.is_empty() {
            return Read::bad(format!("has {item:?} without a key, so that none of it counts"));
        }
        put(&mut pairs, key.into_owned(), value.into_owned());
    }
    Read::good(Value::Pairs(pairs))
}

/// The items of `OTEL_RESOURCE_ATTRIBUTES` as they are written: item, key, value; the blanks around them are not part
/// of them, and an empty item is none.
pub(crate) fn resource_items(text: &str) -> impl Iterator<Item = (&str, &str, Option<&str>)> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(|item| match item.split_once('=') {
        Some((key, value)) => (item, key.trim(), Some(value.trim())),
        None => (item, item, None),
    })
}

/// Whether a text is free of errors as `OTEL_RESOURCE_ATTRIBUTES`.
pub(crate) fn is_whole(text: &str) -> bool {
    resource_attributes(text).value.is_some()
}

/// W3C Baggage syntax without properties; names in lower case. A bad item is left out.
pub(super) fn headers(text: &str) -> Read {
    let mut pairs = Vec::new();
    let mut bad = 0_usize;
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let decoded = item.split_once('=').and_then(|(name, value)| {
            let name = percent_decoded(name.trim())?.trim().to_ascii_lowercase();
            let value = percent_decoded(value.trim())?.trim().to_string();
            header_is_sendable(&name, &value).then_some((name, value))
        });
        match decoded {
            Some((name, value)) => put(&mut pairs, name, value),
            None => bad += 1,
        }
    }
    // The items are secret and therefore not quoted.
    let complaint =
        (bad > 0).then(|| format!("has {bad} item(s) that are not \"name=value\" with a valid name and value"));
    Read { value: (!pairs.is_empty()).then_some(Value::Pairs(pairs)), complaint }
}

/// Whether HTTP allows this header (RFC 9110 5.1 and 5.5): above all no line breaks, which would begin another one.
pub(crate) fn header_is_sendable(name: &str, value: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token) && !value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t')
}

/// `None` for a `%` without two hexadecimal digits and for bytes that are not UTF-8. `+` stays `+`.
fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn tags_of_datadog() {
        for (text, expected) in [
            ("a:1,b:2", &[("a", "1"), ("b", "2")][..]),
            ("a:1 b:2", &[("a", "1"), ("b", "2")]),
            ("a:b c,d:e", &[("a", "b c"), ("d", "e")]),
            ("a:b:c", &[("a", "b:c")]),
            ("a", &[("a", "")]),
            (":x,a:1", &[("a", "1")]),
            ("a:1,a:2", &[("a", "2")]),
            (" a : 1 , b:2", &[("a", "1"), ("b", "2")]),
            ("a:b c,", &[("a", "b c")]),
            ("", &[]),
            (",,", &[]),
        ] {
            assert_eq!(datadog_tags(text), owned(expected), "{text:?}");
        }
    }

    #[test]
    fn resource_attributes_are_taken_whole_or_not_at_all() {
        for (text, expected) in [
            ("a=1,b=2", Some(&[("a", "1"), ("b", "2")][..])),
            (" a = 1 , b=2,", Some(&[("a", "1"), ("b", "2")])),
            ("a=x%2Cy%3Dz", Some(&[("a", "x,y=z")])),
            ("a%2Cb=1", Some(&[("a,b", "1")])),
            ("a=%C3%A4+b", Some(&[("a", "ä+b")])),
            ("a=b=c", Some(&[("a", "b=c")])),
            ("a=", Some(&[("a", "")])),
            ("a=1,a=2", Some(&[("a", "2")])),
            ("a=1,b", None),
            ("a=1,=2", None),
            ("a=%2", None),
            ("a=%zz", None),
            ("a=%ff", None),
        ] {
            let read = resource_attributes(text);
            assert_eq!(read.value, expected.map(|pairs| Value::Pairs(owned(pairs))), "{text:?}");
            assert_eq!(read.complaint.is_some(), expected.is_none(), "{text:?}");
        }
    }

    #[test]
    fn headers_are_decoded_and_checked() {
        for (text, expected, bad) in [
            ("api-key=abc,X-Other=1", &[("api-key", "abc"), ("x-other", "1")][..], false),
            ("authorization=Basic%20YWJj%3D", &[("authorization", "Basic YWJj=")], false),
            ("a=b=c", &[("a", "b=c")], false),
            ("a=1,nonsense,b=2", &[("a", "1"), ("b", "2")], true),
            ("a=1%0D%0AEvil: x", &[], true),
            ("bad name=1", &[], true),
            ("=1", &[], true),
        ] {
            let read = headers(text);
            assert_eq!(read.value, (!expected.is_empty()).then(|| Value::Pairs(owned(expected))), "{text:?}");
            assert_eq!(read.complaint.is_some(), bad, "{text:?}");
            assert!(!read.complaint.unwrap_or_default().contains("Evil"));
        }
    }

    proptest! {
        #[test]
        fn no_header_ever_carries_a_line_break(text in "[a-c=,%0-9ADad\\r\\n]{0,40}") {
            if let Some(Value::Pairs(pairs)) = headers(&text).value {
                for (name, value) in pairs {
                    prop_assert!(!name.contains(['\r', '\n']) && !value.contains(['\r', '\n']));
                }
            }
        }
    }
}
