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
        let mut out = [b'0'; 32];
        for (i, digit) in out.iter_mut().enumerate() {
            *digit = hex_digit((self.0 >> (124 - 4 * i)) as u8);
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
        let mut out = [b'0'; 16];
        for (i, digit) in out.iter_mut().enumerate() {
            *digit = hex_digit((self.0 >> (60 - 4 * i)) as u8);
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

fn hex_digit(nibble: u8) -> u8 {
    match nibble & 0xf {
        n @ 0..=9 => b'0' + n,
        n => b'a' + (n - 10),
    }
}

/// Reads one to sixteen lower-case hexadecimal digits; upper case is refused, as `traceparent` demands.
#[must_use]
pub fn parse_hex_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    let mut value = 0u64;
    for &byte in text {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        value = (value << 4) | u64::from(digit);
    }
    Some(value)
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
    }
}
