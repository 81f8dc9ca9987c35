//! Whole numbers in decimal, without the formatting machinery of the core library.
//!
//! In-process code: no allocation, no reachable panic.

/// A number, written down.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    /// Room for a sign and 24 digits, as they are made eight at a time.
    text: [u8; 25],
    start: u8,
}

/// Eight digits of a number below 100,000,000, the first in the lowest byte: split in halves, quarters and eighths, each
/// time all parts at once. The factors are reciprocals that are exact for what can occur.
fn eight_digits(number: u32) -> u64 {
    let halves = u64::from(number / 10_000) | (u64::from(number % 10_000) << 32);
    let hundreds = (halves.wrapping_mul(10_486) >> 20) & 0x0000_007f_0000_007f;
    let quarters = hundreds | (halves.wrapping_sub(hundreds.wrapping_mul(100)) << 16);
    let tens = (quarters.wrapping_mul(103) >> 10) & 0x000f_000f_000f_000f;
    tens | (quarters.wrapping_sub(tens.wrapping_mul(10)) << 8)
}

impl Decimal {
    /// Writes a number.
    #[must_use]
    pub fn of(number: u64) -> Decimal {
        const STEP: u64 = 100_000_000;
        let groups = [number / (STEP * STEP), number / STEP % STEP, number % STEP].map(|group| eight_digits(group as u32));
        let mut text = [b'0'; 25];
        if let Some((places, _)) = text.get_mut(1..).map(<[u8]>::as_chunks_mut::<8>) {
            for (place, group) in places.iter_mut().zip(groups) {
                *place = (group | 0x3030_3030_3030_3030).to_le_bytes();
            }
        }
        let zeros = match groups {
            [0, 0, low] => low.trailing_zeros().min(63).wrapping_add(128),
            [0, middle, _] => middle.trailing_zeros().wrapping_add(64),
            [high, ..] => high.trailing_zeros(),
        };
        Decimal { text, start: (zeros / 8).wrapping_add(1) as u8 }
    }

    /// Writes a number that may be negative.
    #[must_use]
    pub fn of_signed(number: i64) -> Decimal {
        let mut decimal = Decimal::of(number.unsigned_abs());
        if number < 0 {
            decimal.start = decimal.start.saturating_sub(1);
            if let Some(sign) = decimal.text.get_mut(usize::from(decimal.start)) {
                *sign = b'-';
            }
        }
        decimal
    }

    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(usize::from(self.start)..).unwrap_or_default()
    }
}

/// Reads digits only, at least one; leading zeros are fine. `None` where it is none or too large.
#[must_use]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut number = 0u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(number)
}

/// Reads digits with or without a minus sign in front; what does not fit is the nearest number that does. `None` where it
/// is none.
#[must_use]
pub fn parse_i32(text: &[u8]) -> Option<i32> {
    let (digits, sign) = match text.split_first() {
        Some((b'-', digits)) => (digits, -1),
        _ => (text, 1i64),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = parse_u64(digits).and_then(|size| i64::try_from(size).ok()).unwrap_or(i64::MAX);
    Some(size.saturating_mul(sign).clamp(i32::MIN.into(), i32::MAX.into()) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn ends_of_the_ranges() {
        for number in [0, 1, 9, 10, u64::MAX] {
            assert_eq!(Decimal::of(number).as_bytes(), number.to_string().as_bytes());
        }
        for number in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(Decimal::of_signed(number).as_bytes(), number.to_string().as_bytes());
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"00018446744073709551615"), Some(u64::MAX));
        for (text, number) in [
            ("-2147483648", i32::MIN),
            ("-2147483649", i32::MIN),
            ("2147483648", i32::MAX),
            ("99999999999999999999", i32::MAX),
            ("-18446744073709551616", i32::MIN),
        ] {
            assert_eq!(parse_i32(text.as_bytes()), Some(number));
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "18446744073709551616", "99999999999999999999", "-1", "+1", "1 ", "1_0", "0x1", "\u{661}"] {
            assert_eq!(parse_u64(text.as_bytes()), None, "{text}");
        }
        for text in ["", "-", "--1", "1.0", "1 ", "+1"] {
            assert_eq!(parse_i32(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, signed: i32) {
            prop_assert_eq!(parse_u64(Decimal::of(number).as_bytes()), Some(number));
            prop_assert_eq!(parse_i32(Decimal::of_signed(signed.into()).as_bytes()), Some(signed));
        }
    }
}
