//! Trace and span identifiers, and how they are written in hexadecimal.
//!
//! In-process code: no allocation, no reachable panic.

/// A 128-bit trace id. Zero is not a valid id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct TraceId(pub u128);

/// A 64-bit span id. Zero means "none".
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct SpanId(pub u64);

impl TraceId {
    /// A new id in Datadog's layout: 32 bits of Unix seconds, 32 zero bits, 64 random bits.
    #[must_use]
    pub fn new(unix_seconds: u32, random: u64) -> Self {
        // A zero low half would be dropped by receivers that read 64 bits only.
        TraceId((u128::from(unix_seconds) << 96) | u128::from(random.max(1)))
    }

    /// A new id of 64 bits, for where `DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED` is false.
    #[must_use]
    pub fn new_64(random: u64) -> Self {
        TraceId(u128::from(random.max(1)))
    }

    /// The low 64 bits, which are the trace id on Datadog's wire.
    #[must_use]
    pub fn low(self) -> u64 {
        self.0 as u64
    }

    /// The high 64 bits, which travel as `_dd.p.tid` on Datadog's wire.
    #[must_use]
    pub fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// Whether the id may be used: any value but zero.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.0 != 0
    }

    /// 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> [u8; 32] {
        let mut out = [0; 32];
        if let ([high, low], _) = out.as_chunks_mut() {
            (*high, *low) = (SpanId(self.high()).to_hex(), SpanId(self.low()).to_hex());
        }
        out
    }

    /// Reads exactly 32 lower-case hexadecimal digits; `None` for anything else and for zero.
    #[must_use]
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        if text.len() != 32 {
            return None;
        }
        let (high, low) = text.split_at_checked(16)?;
        let value = (u128::from(parse_hex_u64(high)?) << 64) | u128::from(parse_hex_u64(low)?);
        (value != 0).then_some(TraceId(value))
    }
}

impl SpanId {
    /// Whether the id may be used: any value but zero.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.0 != 0
    }

    /// 16 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> [u8; 16] {
        let [high, low] = [(self.0 >> 32) as u32, self.0 as u32].map(|half| u128::from(eight_digits(half)));
        ((high << 64) | low).to_be_bytes()
    }

    /// Reads exactly 16 lower-case hexadecimal digits; `None` for anything else and for zero.
    #[must_use]
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        if text.len() != 16 {
            return None;
        }
        let value = parse_hex_u64(text)?;
        (value != 0).then_some(SpanId(value))
    }
}

/// `byte` in each byte.
const fn all(byte: u8) -> u64 {
    0x0101_0101_0101_0101 * byte as u64
}

/// Eight digits at once, the first in the highest byte: each nibble gets a byte of its own, and those above nine the
/// distance to the letters.
fn eight_digits(value: u32) -> u64 {
    let spread = u64::from(value);
    let spread = (spread | (spread << 16)) & 0x0000_ffff_0000_ffff;
    let spread = (spread | (spread << 8)) & 0x00ff_00ff_00ff_00ff;
    let spread = (spread | (spread << 4)) & all(0x0f);
    // No byte exceeds 15, so no addition carries into its neighbour.
    let above_nine = (spread.wrapping_add(all(6)) >> 4) & all(1);
    let letters = above_nine.wrapping_mul(u64::from(b'a' - b'9' - 1));
    spread.wrapping_add(all(b'0')).wrapping_add(letters)
}

/// The value of eight digits, the first in the highest byte; `None` if one is none. `fold`: set bits that are set before a
/// digit is taken for a letter.
fn eight_digits_value(digits: u64, fold: u64) -> Option<u64> {
    // All bytes are below 128 here or the result does not count, so no addition carries into its neighbour; the highest
    // bit of each byte tells whether it reached a bound.
    let from_zero = digits ^ all(b'0');
    let is_no_number = from_zero.wrapping_add(all(128 - 10));
    let from_a = (digits | fold) ^ all(b'a' - 1);
    let is_letter = from_a.wrapping_add(all(128 - 1)) & !from_a.wrapping_add(all(128 - 7));
    if (digits | (is_no_number & !is_letter)) & all(0x80) != 0 {
        return None;
    }
    let is_letter = (digits >> 6) & all(1);
    let nibbles = (digits & all(0x0f)).wrapping_add(is_letter.wrapping_mul(9));
    let bytes = (nibbles | (nibbles >> 4)) & 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes | (bytes >> 8)) & 0x0000_ffff_0000_ffff;
    Some((pairs | (pairs >> 16)) & 0xffff_ffff)
}

/// The value of up to 16 digits.
fn value_of(text: &[u8], fold: u64) -> Option<u64> {
    let digits = match text.first_chunk::<16>() {
        Some(digits) => u128::from_be_bytes(*digits),
        None => text.iter().fold(u128::from_be_bytes([b'0'; 16]), |digits, byte| (digits << 8) | u128::from(*byte)),
    };
    let (high, low) = (eight_digits_value((digits >> 64) as u64, fold)?, eight_digits_value(digits as u64, fold)?);
    Some((high << 32) | low)
}

/// Reads one to sixteen lower-case hexadecimal digits; upper case is refused, as `traceparent` demands.
#[must_use]
pub fn parse_hex_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 { None } else { value_of(text, 0) }
}

/// Reads one to 32 hexadecimal digits in any letter case, as the older formats write them.
#[must_use]
pub fn parse_hex_any_case(text: &[u8]) -> Option<u128> {
    if text.is_empty() || text.len() > 32 {
        return None;
    }
    let (high, low) = text.split_at_checked(text.len().saturating_sub(16))?;
    let fold = all(b'a' - b'A');
    Some((u128::from(value_of(high, fold)?) << 64) | u128::from(value_of(low, fold)?))
}

macro_rules! display_as_hex {
    ($id:ty) => {
        impl core::fmt::Display for $id {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let hex = self.to_hex();
                f.write_str(core::str::from_utf8(&hex).unwrap_or_default())
            }
        }
    };
}
display_as_hex!(TraceId);
display_as_hex!(SpanId);

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn hex_is_read_back() {
        let id = TraceId(0x4bf92f3577b34da6_a3ce929d0e0e4736);
        assert_eq!(id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(TraceId::from_hex(&id.to_hex()), Some(id));
        let span = SpanId(0x00f067aa0ba902b7);
        assert_eq!(span.to_string(), "00f067aa0ba902b7");
        assert_eq!(SpanId::from_hex(&span.to_hex()), Some(span));
    }

    #[test]
    fn zero_upper_case_and_wrong_lengths_are_refused() {
        assert_eq!(TraceId::from_hex(&[b'0'; 32]), None);
        assert_eq!(SpanId::from_hex(b"00F067AA0BA902B7"), None);
        assert_eq!(SpanId::from_hex(b"00f067aa0ba902b"), None);
    }

    #[test]
    fn new_trace_ids_have_datadogs_layout() {
        let id = TraceId::new(0x6b01_22e5, 7);
        assert_eq!(id.high(), 0x6b01_22e5_0000_0000);
        assert_eq!(id.low(), 7);
        assert_eq!(TraceId::new(1, 0).low(), 1);
        assert_eq!((TraceId::new_64(7), TraceId::new_64(0)), (TraceId(7), TraceId(1)));
    }

    #[test]
    fn older_formats_write_what_they_like() {
        assert_eq!(parse_hex_any_case(b"7"), Some(7));
        assert_eq!(parse_hex_any_case(b"aBcDeF0123456789F"), Some(0x000a_bcde_f012_3456_789f));
        assert_eq!(parse_hex_any_case(&[b'F'; 32]), Some(u128::MAX));
        for bad in [&b""[..], b"+7", b"0x7", b"g", &[b'1'; 33]] {
            assert_eq!(parse_hex_any_case(bad), None);
        }
    }

    /// Each byte, in each place.
    #[test]
    fn only_digits_are_digits() {
        for byte in 0..=255u8 {
            for place in 0..16 {
                let mut text = [b'0'; 16];
                text[place] = byte;
                let digit = (byte as char).to_digit(16).map(u64::from);
                let expected = digit.map(|digit| digit << (60 - 4 * place));
                assert_eq!(parse_hex_any_case(&text).map(|value| value as u64), expected, "{byte} {place}");
                assert_eq!(parse_hex_u64(&text), expected.filter(|_| !byte.is_ascii_uppercase()), "{byte} {place}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn every_digit_is_in_its_place(value: u64) {
            let (written, expected) = (SpanId(value).to_hex(), std::format!("{value:016x}"));
            proptest::prop_assert_eq!(written.as_slice(), expected.as_bytes());
            proptest::prop_assert_eq!(parse_hex_u64(&written), Some(value));
            let capitals = expected.to_uppercase();
            proptest::prop_assert_eq!(parse_hex_u64(capitals.as_bytes()), (capitals == expected).then_some(value));
        }
    }
}
