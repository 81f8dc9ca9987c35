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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::String;

    #[test]
    fn the_multiplier_of_all_datadog_tracers_decides() {
        // id, its product modulo 2^64; both sides of each threshold that the product itself makes
        for (id, product) in [
            (1u64, 1_111_111_111_111_111_111u64),
            (17, 442_144_815_179_337_271),
            (0x7fff_ffff_ffff_ffff, 8_112_260_925_743_664_697),
            (u64::MAX, 17_335_632_962_598_440_505),
        ] {
            assert_eq!(spread(id), product, "{id}");
            let rate = product as f64 / TWO_TO_64;
            assert!(keeps(TraceId(id.into()), rate + 1e-12), "{id}");
            assert!(!keeps(TraceId(id.into()), rate - 1e-12), "{id}");
            assert!(keeps_span(SpanId(id), rate + 1e-12) && !keeps_span(SpanId(id), rate - 1e-12), "{id}");
        }
    }

    #[test]
    fn the_ends_hold_for_every_id() {
        for id in [0, 1, u64::MAX, 1 << 63, 0xabcd_efab_1234_5678].map(|low: u64| TraceId(low.into())) {
            for rate in [1.0, 1.5, f64::INFINITY] {
                assert!(keeps(id, rate) && keeps_ratio(id, rate), "{id:?} {rate}");
            }
            for rate in [0.0, -0.0, -1.0, f64::NEG_INFINITY, f64::NAN] {
                assert!(!keeps(id, rate) && !keeps_ratio(id, rate), "{id:?} {rate}");
            }
        }
    }

    #[test]
    fn only_the_low_half_counts() {
        let low = 0xabcd_efab_1234_5678_u64;
        for rate in [0.1, 0.3, 0.5, 0.7, 0.9] {
            let (short, long) = (TraceId(low.into()), TraceId((0x640c_fd8d_u128 << 96) | u128::from(low)));
            assert_eq!(keeps(short, rate), keeps(long, rate));
            assert_eq!(keeps_ratio(short, rate), keeps_ratio(long, rate));
        }
    }

    #[test]
    fn the_ratio_of_opentelemetry_keeps_the_low_ids() {
        // id, ratio, kept: below round(ratio * 2^64)
        for (id, ratio, kept) in [
            (0, 1e-19, true),
            (1, 1e-19, true),
            (2, 1e-19, false),
            (0x7fff_ffff_ffff_ffff, 0.5, true),
            (0x8000_0000_0000_0000, 0.5, false),
            (0x3fff_ffff_ffff_ffff, 0.25, true),
            (0x4000_0000_0000_0000, 0.25, false),
            (u64::MAX, 0.999_999_999, false),
        ] {
            assert_eq!(keeps_ratio(TraceId(id.into()), ratio), kept, "{id:#x} {ratio}");
        }
    }

    #[test]
    fn shares_of_a_million_ids_are_the_rates() {
        const IDS: u32 = 1_000_000;
        for rate in [0.000_1, 0.01, 0.1, 0.25, 0.333, 0.5, 0.75, 0.9, 0.999] {
            // Ids in sequence as well: the multiplier spreads these, too.
            let random = crate::random::Random::new();
            random.seed(42);
            let (mut kept, mut in_sequence, mut by_ratio) = (0u32, 0u32, 0u32);
            for number in 0..IDS {
                let id = random.next();
                kept += u32::from(keeps(TraceId(id.into()), rate));
                by_ratio += u32::from(keeps_ratio(TraceId(id.into()), rate));
                in_sequence += u32::from(keeps_span(SpanId(number.into()), rate));
            }
            // Four standard deviations.
            let expected = f64::from(IDS) * rate;
            let bound = 4.0 * (expected * (1.0 - rate)).sqrt();
            for (what, count) in [("random", kept), ("by ratio", by_ratio), ("in sequence", in_sequence)] {
                assert!((f64::from(count) - expected).abs() <= bound, "{what}: {count} of {IDS} at {rate}");
            }
        }
    }

    #[test]
    fn rates_are_written_with_six_decimals_at_most() {
        for (rate, text) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (0.000_001, "0.000001"),
            (0.000_000_4, "0"),
            (0.000_000_5, "0"),
            (0.000_000_6, "0.000001"),
            (0.1, "0.1"),
            (0.123_456_7, "0.123457"),
            (0.999_999, "0.999999"),
            (0.999_999_9, "1"),
            (0.0, "0"),
            (0.100_000_4, "0.1"),
            (7.0, "1"),
            (-1.0, "0"),
            (f64::NAN, "0"),
        ] {
            assert_eq!(rate_text(rate).as_str(), text, "{rate}");
        }
    }

    /// What the standard library's exact formatting says.
    fn formatted(rate: f64) -> String {
        let text = format!("{rate:.6}");
        text.trim_end_matches('0').trim_end_matches('.').into()
    }

    proptest! {
        #[test]
        fn rates_are_rounded_from_their_exact_value(rate in 0.0..=1.0f64, millionths in 0..2_000_000u32) {
            let text = rate_text(rate);
            prop_assert_eq!(text.as_str(), formatted(rate));
            // Half-way between two millionths, as near as a float comes.
            let middle = f64::from(millionths) / 2_000_000.0;
            let text = rate_text(middle);
            prop_assert_eq!(text.as_str(), formatted(middle));
        }

        #[test]
        fn what_is_kept_is_kept_at_every_higher_rate(id: u64, one in 0.0..=1.0f64, other in 0.0..=1.0f64) {
            let (low, high) = if one < other { (one, other) } else { (other, one) };
            let id = TraceId(id.into());
            prop_assert!(!keeps(id, low) || keeps(id, high));
            prop_assert!(!keeps_ratio(id, low) || keeps_ratio(id, high));
        }

        #[test]
        fn the_ot_member_says_the_same_as_the_decision(id: u64, rate in 0.001..=1.0f64) {
            let number = |digits: [u8; 14]| u64::from_str_radix(core::str::from_utf8(&digits).unwrap(), 16).unwrap();
            let (random, threshold) = (number(random_value(TraceId(id.into()))), number(threshold(rate)));
            // They have 56 bits, the decision 64.
            if random.abs_diff(threshold) > 1 {
                prop_assert_eq!(random >= threshold, keeps(TraceId(id.into()), rate));
            }
        }
    }
}
