//! The arithmetic of rates: which ids are kept, and how a rate is written.

use crate::context::Bounded;
use crate::ids::{SpanId, TraceId};

/// Spreads ids over all 64-bit numbers; the multiplier that all of Datadog's tracers and its Agent share.
const KNUTH_FACTOR: u64 = 1_111_111_111_111_111_111;
/// 2^64, which is also what 2^64 − 1 is as a `f64`.
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// Whether a trace is kept at a rate: the same answer as all of Datadog's tracers give for this id and this rate.
///
/// A rate of 1 and more keeps all, of 0 and less, or one that is no number, none.
#[must_use]
pub fn keeps(trace_id: TraceId, rate: f64) -> bool {
    keeps_u64(trace_id.low(), rate)
}

/// Whether a single span is kept at a rate, by the same arithmetic over its own id.
#[must_use]
pub fn keeps_span(span_id: SpanId, rate: f64) -> bool {
    keeps_u64(span_id.0, rate)
}

/// Whether a trace is kept at a ratio by the rule of OpenTelemetry's `traceidratio`: low ids are.
#[must_use]
pub fn keeps_ratio(trace_id: TraceId, ratio: f64) -> bool {
    ratio >= 1.0 || (ratio > 0.0 && trace_id.low() < rounded(ratio * TWO_TO_64))
}

#[inline]
fn keeps_u64(id: u64, rate: f64) -> bool {
    // The product is below 2^64 here, and an integer is not above it exactly if it is not above its whole part.
    rate >= 1.0 || (rate > 0.0 && spread(id) <= (rate * TWO_TO_64) as u64)
}

fn spread(id: u64) -> u64 {
    id.wrapping_mul(KNUTH_FACTOR)
}

/// The nearest whole number, of two the even one; 0 for what is below, the largest for what is above.
fn rounded(number: f64) -> u64 {
    let whole = number as u64;
    let rest = number - whole as f64;
    if rest > 0.5 || (rest == 0.5 && whole & 1 == 1) { whole.saturating_add(1) } else { whole }
}

/// A rate as the tag `_dd.p.ksr` has it: at most six decimals, no zeros at the end; `1`, `0.5`, `0.000001`.
///
/// What is no rate is taken to the nearer end, 0 or 1.
#[must_use]
pub fn rate_text(rate: f64) -> Bounded<8> {
    let millionths = millionths(rate);
    let mut text = Bounded::new();
    // Everything fits: eight bytes are a zero, a point and six digits.
    if millionths >= 1_000_000 {
        let _ = text.push(b"1");
        return text;
    }
    let mut digits = *b"0.000000";
    let mut left = millionths;
    for place in digits.iter_mut().skip(2).rev() {
        *place = b'0'.wrapping_add((left % 10) as u8);
        left /= 10;
    }
    let end = digits.iter().rposition(|byte| !matches!(byte, b'0' | b'.')).map_or(1, |last| last.saturating_add(1));
    let _ = text.push(digits.get(..end).unwrap_or_default());
    text
}

/// A rate in millionths, rounded from its exact value as C's `%.6f` does: the float's own product would be rounded twice.
fn millionths(rate: f64) -> u32 {
    if rate >= 1.0 {
        return 1_000_000;
    }
    // Smaller ones are no millionth, and NaN is nothing; from here on there is no subnormal number.
    if !(rate > 1e-7) {
        return 0;
    }
    const FRACTION_BITS: u32 = 52;
    let bits = rate.to_bits();
    let fraction = bits & ((1 << FRACTION_BITS) - 1) | (1 << FRACTION_BITS);
    // The rate is `fraction` / 2^`shift`; between 2^-24 and 1, `shift` is 53 to 76.
    let exponent = (bits >> FRACTION_BITS) as u32;
    let shift = (1023 + FRACTION_BITS).wrapping_sub(exponent) & 127;
    let product = u128::from(fraction).wrapping_mul(1_000_000);
    let whole = (product >> shift) as u32;
    let rest = product & (1u128 << shift).wrapping_sub(1);
    let half = 1u128 << (shift.wrapping_sub(1) & 127);
    if rest > half || (rest == half && whole & 1 == 1) { whole.wrapping_add(1) } else { whole }
}

/// The `rv` of the `ot` member of a `tracestate`: the randomness by which [`keeps`] decides, high where it keeps.
pub(super) fn random_value(trace_id: TraceId) -> [u8; 14] {
    hex_digits(!spread(trace_id.low()) >> 8)
}

/// The `th` of the `ot` member: what is at least `rv` is kept at this rate. Zeros at the end are to be stripped.
pub(super) fn threshold(rate: f64) -> [u8; 14] {
    const TWO_TO_56: f64 = 72_057_594_037_927_936.0;
    hex_digits(rounded((1.0 - rate) * TWO_TO_56).min((1 << 56) - 1))
}

/// The low 56 bits.
fn hex_digits(number: u64) -> [u8; 14] {
    let mut digits = [b'0'; 14];
    let mut left = number;
    for place in digits.iter_mut().rev() {
        let digit = (left & 15) as u8;
        *place = if digit < 10 { b'0'.wrapping_add(digit) } else { b'a'.wrapping_add(digit.wrapping_sub(10)) };
        left >>= 4;
    }
    digits
}
