//! What the formats have in common: blanks, separators and percent-encoding.

use crate::context::{Bounded, DoesNotFit};
use crate::ids::{SpanId, parse_hex_any_case};

/// The longest text that is decoded, and the longest header that is written, in bytes.
pub(super) const MAX_TEXT: usize = 8192;

/// Without blanks and tabs at both ends, which is all that HTTP means by optional whitespace.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// A span id of one to sixteen digits in any letter case; it may be zero.
pub(super) fn span_id(digits: &[u8]) -> Option<SpanId> {
    if digits.len() > 16 { None } else { parse_hex_any_case(digits).map(|value| SpanId(value as u64)) }
}

/// What stands before and behind the first such byte.
pub(super) fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == separator)?;
    let (before, rest) = text.split_at_checked(at)?;
    Some((before, rest.get(1..)?))
}

/// What a byte may stand for in the formats. One table serves all, so that a text is checked at a byte per cycle.
#[derive(Clone, Copy)]
pub(super) struct Class(u8);

impl Class {
    /// Printable ASCII, the blank included: what may stand in a header without being taken for its end.
    pub(super) const PRINTABLE: Class = Class(1);
    /// What the names of HTTP headers and the keys of baggage consist of (RFC 7230, `token`).
    pub(super) const TOKEN: Class = Class(1 << 1);
    /// What a value of baggage consists of (W3C, `baggage-octet`).
    pub(super) const OCTET: Class = Class(1 << 2);
    /// The first of a key in a `tracestate`.
    pub(super) const STATE_KEY_FIRST: Class = Class(1 << 3);
    /// The others of a key in a `tracestate`.
    pub(super) const STATE_KEY: Class = Class(1 << 4);
    /// What a key of baggage has as it is. `%` never is, or it would be decoded twice.
    pub(super) const KEY_AS_IS: Class = Class(1 << 5);
    /// What a value of baggage has as it is: Datadog's tracers also encode `=`.
    pub(super) const VALUE_AS_IS: Class = Class(1 << 6);
    /// What has no meaning in any URL (RFC 3986, `unreserved`).
    pub(super) const UNRESERVED: Class = Class(1 << 7);

    /// Whether a byte is of the class.
    pub(super) fn has(self, byte: u8) -> bool {
        classes_of(byte) & self.0 != 0
    }

    /// Whether all bytes are.
    pub(super) fn has_all(self, text: &[u8]) -> bool {
        text.iter().fold(self.0, |common, byte| common & classes_of(*byte)) != 0
    }
}

fn classes_of(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

#[expect(clippy::indexing_slicing, reason = "the compiler computes it, and would refuse what is out of range")]
static CLASSES: [u8; 256] = {
    const fn set(classes: &mut [u8; 256], bytes: &[u8], class: Class) {
        let mut place = 0;
        while place < bytes.len() {
            classes[bytes[place] as usize] |= class.0;
            place += 1;
        }
    }
    const ALPHANUMERIC: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const LOWER: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut classes = [0; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        classes[byte] |= Class::PRINTABLE.0;
        if !matches!(byte as u8, b' ' | b'"' | b',' | b';' | b'\\') {
            classes[byte] |= Class::OCTET.0;
            if !matches!(byte as u8, b'=' | b'%') {
                classes[byte] |= Class::VALUE_AS_IS.0;
            }
        }
        byte += 1;
    }
    set(&mut classes, ALPHANUMERIC, Class(Class::TOKEN.0 | Class::KEY_AS_IS.0 | Class::UNRESERVED.0));
    set(&mut classes, b"!#$&'*+-.^_`|~", Class(Class::TOKEN.0 | Class::KEY_AS_IS.0));
    set(&mut classes, b"%", Class::TOKEN);
    set(&mut classes, b"-._~", Class::UNRESERVED);
    set(&mut classes, LOWER, Class(Class::STATE_KEY_FIRST.0 | Class::STATE_KEY.0));
    set(&mut classes, b"_-*/@", Class::STATE_KEY);
    classes
};

/// Writes text in which only some bytes may stand as they are.
pub(super) fn encode<const N: usize>(out: &mut Bounded<N>, text: &[u8], as_is: Class) -> Result<(), DoesNotFit> {
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let mut rest = text;
    loop {
        let plain = rest.iter().position(|byte| !as_is.has(*byte)).unwrap_or(rest.len());
        let Some((clean, more)) = rest.split_at_checked(plain) else { return Ok(()) };
        out.push(clean)?;
        let Some((byte, more)) = more.split_first() else { return Ok(()) };
        out.push(&[b'%', digit(byte >> 4), digit(byte & 0xf)])?;
        rest = more;
    }
}

/// Decodes percent-encoded text. `+` stays `+`, a `%` without two digits stays as it is, and what is no UTF-8 becomes
/// U+FFFD, as W3C Baggage demands. `None` if it is too long.
pub(super) fn decode<R>(text: &[u8], take: impl FnOnce(&[u8]) -> R) -> Option<R> {
    decode_pair(text, b"", |text, _| take(text))
}

/// [`decode`] of two texts, which may need no more than [`MAX_TEXT`] bytes together.
pub(super) fn decode_pair<R>(first: &[u8], second: &[u8], take: impl FnOnce(&[u8], &[u8]) -> R) -> Option<R> {
    if is_plain(first) && is_plain(second) {
        return Some(take(first, second));
    }
    let (mut take, mut taken) = (Some(take), None);
    decode_in_room(first, second, &mut |first, second| taken = take.take().map(|take| take(first, second)));
    taken
}

/// By itself, as threads of programs may have small stacks, and seldom need this.
#[inline(never)]
fn decode_in_room(first: &[u8], second: &[u8], take: &mut dyn FnMut(&[u8], &[u8])) -> Option<()> {
    let mut buffer = Bounded::<MAX_TEXT>::new();
    decode_behind(&mut buffer, first)?;
    let middle = buffer.len();
    decode_behind(&mut buffer, second)?;
    let (first, second) = buffer.as_bytes().split_at_checked(middle)?;
    take(first, second);
    Some(())
}

fn is_plain(text: &[u8]) -> bool {
    let is_ascii = text.iter().fold(true, |plain, byte| plain & (*byte != b'%') & byte.is_ascii());
    is_ascii || (!text.contains(&b'%') && core::str::from_utf8(text).is_ok())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Adds the decoded text to what is in the buffer.
fn decode_behind(buffer: &mut Bounded<MAX_TEXT>, text: &[u8]) -> Option<()> {
    let start = buffer.len();
    let mut rest = text;
    loop {
        let plain = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
        let (clean, encoded) = rest.split_at_checked(plain)?;
        buffer.push(clean).ok()?;
        let (byte, more) = match encoded {
            [] => break,
            [b'%', high, low, more @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => ((high << 4) | low, more),
                _ => (b'%', encoded.get(1..)?),
            },
            [byte, more @ ..] => (*byte, more),
        };
        buffer.push(&[byte]).ok()?;
        rest = more;
    }
    let added = buffer.as_bytes().get(start..)?;
    if core::str::from_utf8(added).is_err() { buffer.replace_invalid(start).ok() } else { Some(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;

    fn decoded(text: &[u8]) -> String {
        decode(text, |decoded| String::from_utf8(decoded.to_vec()).unwrap()).unwrap()
    }

    #[test]
    fn percent_encoding_is_undone() {
        for (text, expected) in [
            (&b"plain"[..], "plain"),
            (b"a+b", "a+b"),
            (b"Am%C3%A9lie%201%2c2", "Am\u{e9}lie 1,2"),
            (b"%", "%"),
            (b"%4", "%4"),
            (b"%zz%41", "%zzA"),
            (b"%+1%-1", "%+1%-1"),
            (b"%2541", "%41"),
            (b"%FF", "\u{fffd}"),
            (b"\xff", "\u{fffd}"),
            (b"a%e2%82b", "a\u{fffd}b"),
        ] {
            assert_eq!(decoded(text), expected);
        }
        assert_eq!(decode(&[b'%'; MAX_TEXT + 1], <[u8]>::len), None);
        assert_eq!(decode(&[0xff; MAX_TEXT], <[u8]>::len), None);
        let pair = (&b"a"[..], "\u{fffd}b".as_bytes());
        assert_eq!(decode_pair(b"%61", b"%FFb", |first, second| (first, second) == pair), Some(true));
    }

    #[test]
    fn blanks_are_blank_and_tab() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(trim(b"\na\r"), b"\na\r");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text: String) {
            let mut out = Bounded::<MAX_TEXT>::new();
            encode(&mut out, text.as_bytes(), Class::KEY_AS_IS).unwrap();
            prop_assert!(Class::TOKEN.has_all(out.as_bytes()));
            prop_assert_eq!(decoded(out.as_bytes()), text);
        }

        #[test]
        fn invalid_text_is_read_as_everybody_reads_it(text: Vec<u8>) {
            let expected = String::from_utf8_lossy(&text).into_owned();
            if !text.contains(&b'%') {
                prop_assert_eq!(decoded(&text), expected);
            }
        }
    }
}
