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
        let [high, low] = [self.high(), self.low()].map(|half| SpanId(half).to_hex());
        for (to, from) in out.iter_mut().zip(high.into_iter().chain(low)) {
            *to = from;
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
        let mut out = [0; 16];
        let [high, low] = [(self.0 >> 32) as u32, self.0 as u32].map(eight_digits);
        for (to, from) in out.iter_mut().zip(high.into_iter().chain(low)) {
            *to = from;
        }
        out
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

/// All eight digits at once: each nibble gets a byte of its own, and those above nine the distance to the letters.
fn eight_digits(value: u32) -> [u8; 8] {
    let spread = u64::from(value);
    let spread = (spread | (spread << 16)) & 0x0000_ffff_0000_ffff;
    let spread = (spread | (spread << 8)) & 0x00ff_00ff_00ff_00ff;
    let spread = (spread | (spread << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    // No byte exceeds 15, so no addition carries into its neighbour.
    let above_nine = (spread.wrapping_add(0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    let letters = above_nine.wrapping_mul(u64::from(b'a' - b'9' - 1));
    spread.wrapping_add(0x3030_3030_3030_3030).wrapping_add(letters).to_be_bytes()
}

/// Marks a capital letter in [`DIGITS`].
const CAPITAL: u8 = 0x10;
/// Marks in [`DIGITS`] what is no hexadecimal digit.
const NO_DIGIT: u8 = 0x80;

/// The value of each byte as a hexadecimal digit.
#[expect(clippy::indexing_slicing, reason = "the compiler computes it, and would refuse what is out of range")]
static DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        let (lower, upper) = (b"0123456789abcdef"[value], b"0123456789ABCDEF"[value]);
        digits[upper as usize] = value as u8 | CAPITAL;
        digits[lower as usize] = value as u8;
        value += 1;
    }
    digits
};

/// Up to 16 digits, and the marks of all of them.
fn digits_of(text: &[u8]) -> (u64, u8) {
    let (mut value, mut marks) = (0u64, 0u8);
    for byte in text {
        let digit = DIGITS.get(usize::from(*byte)).copied().unwrap_or(NO_DIGIT);
        value = (value << 4) | u64::from(digit & 0xf);
        marks |= digit;
    }
    (value, marks)
}

/// Reads one to sixteen lower-case hexadecimal digits; upper case is refused, as `traceparent` demands.
#[must_use]
pub fn parse_hex_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    let (value, marks) = digits_of(text);
    (marks & (CAPITAL | NO_DIGIT) == 0).then_some(value)
}

/// Reads one to 32 hexadecimal digits in any letter case, as the older formats write them.
#[must_use]
pub fn parse_hex_any_case(text: &[u8]) -> Option<u128> {
    if text.is_empty() || text.len() > 32 {
        return None;
    }
    let (high, low) = text.split_at_checked(text.len().saturating_sub(16))?;
    let ((high, high_marks), (low, low_marks)) = (digits_of(high), digits_of(low));
    ((high_marks | low_marks) & NO_DIGIT == 0).then_some((u128::from(high) << 64) | u128::from(low))
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
