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

/// Printable ASCII, the blank included: what may stand in a header without being taken for its end.
pub(super) fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e)
}

/// What the names of HTTP headers and the keys of baggage consist of (RFC 7230, `token`).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Writes text in which only some bytes may stand as they are; `%` never may, or it would be decoded twice.
pub(super) fn encode<const N: usize>(
    out: &mut Bounded<N>,
    text: &[u8],
    stands: fn(u8) -> bool,
) -> Result<(), DoesNotFit> {
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let mut rest = text;
    loop {
        let plain = rest.iter().position(|byte| *byte == b'%' || !stands(*byte)).unwrap_or(rest.len());
        let Some((clean, more)) = rest.split_at_checked(plain) else { return Ok(()) };
        out.push(clean)?;
        let Some((byte, more)) = more.split_first() else { return Ok(()) };
        out.push(&[b'%', digit(byte >> 4), digit(byte & 0xf)])?;
        rest = more;
    }
}

/// Decodes percent-encoded text. `+` stays `+`, a `%` without two digits stays as it is, and what is no UTF-8 becomes
/// U+FFFD, as W3C Baggage demands. `None` if it is too long.
pub(super) fn decode<'a>(text: &'a [u8], buffer: &'a mut Bounded<MAX_TEXT>) -> Option<&'a [u8]> {
    if is_plain(text) {
        return Some(text);
    }
    buffer.clear();
    decode_behind(buffer, text)?;
    Some(buffer.as_bytes())
}

/// [`decode`] of two texts, which may need no more than `buffer` together.
pub(super) fn decode_pair<'a>(
    first: &'a [u8],
    second: &'a [u8],
    buffer: &'a mut Bounded<MAX_TEXT>,
) -> Option<(&'a [u8], &'a [u8])> {
    if is_plain(first) && is_plain(second) {
        return Some((first, second));
    }
    buffer.clear();
    decode_behind(buffer, first)?;
    let middle = buffer.len();
    decode_behind(buffer, second)?;
    buffer.as_bytes().split_at_checked(middle)
}

fn is_plain(text: &[u8]) -> bool {
    !text.contains(&b'%') && core::str::from_utf8(text).is_ok()
}

/// Adds the decoded text to what is in the buffer.
fn decode_behind(buffer: &mut Bounded<MAX_TEXT>, text: &[u8]) -> Option<()> {
    let start = buffer.len();
    let mut rest = text;
    while let [first, more @ ..] = rest {
        let (byte, more) = match (first, more) {
            (b'%', [high, low, behind @ ..]) => match parse_hex_any_case(&[*high, *low]) {
                Some(byte) => (byte as u8, behind),
                None => (b'%', more),
            },
            _ => (*first, more),
        };
        buffer.push(&[byte]).ok()?;
        rest = more;
    }
    let added = buffer.as_bytes().get(start..)?;
    if core::str::from_utf8(added).is_err() { replace_invalid(buffer, start) } else { Some(()) }
}

#[cold]
#[inline(never)]
fn replace_invalid(buffer: &mut Bounded<MAX_TEXT>, start: usize) -> Option<()> {
    let copy = buffer.clone();
    buffer.truncate(start);
    for chunk in copy.as_bytes().get(start..)?.utf8_chunks() {
        buffer.push(chunk.valid().as_bytes()).ok()?;
        if !chunk.invalid().is_empty() {
            buffer.push("\u{fffd}".as_bytes()).ok()?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;

    fn decoded(text: &[u8]) -> String {
        String::from_utf8(decode(text, &mut Bounded::new()).unwrap().to_vec()).unwrap()
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
        assert_eq!(decode(&[b'%'; MAX_TEXT + 1], &mut Bounded::new()), None);
        assert_eq!(decode(&[0xff; MAX_TEXT], &mut Bounded::new()), None);
        let pair = (&b"a"[..], "\u{fffd}b".as_bytes());
        assert_eq!(decode_pair(b"%61", b"%FFb", &mut Bounded::new()), Some(pair));
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
            encode(&mut out, text.as_bytes(), is_token).unwrap();
            prop_assert!(out.as_bytes().iter().all(|byte| is_token(*byte)));
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
