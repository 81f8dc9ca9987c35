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
#[inline]
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
#[inline]
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
    // Smaller ones are no millionth; from here on there is no subnormal number.
    if rate.is_nan() || rate <= 1e-7 {
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

/// The `rv` and `th` of OpenTelemetry's member of the `tracestate` for a trace that [`keeps`] decided about, of which
/// `rv` is at least `th` exactly where it is kept. Zeros at the end of `th` are to be stripped.
pub(super) fn random_value_and_threshold(trace_id: TraceId, rate: f64, kept: bool) -> ([u8; 14], [u8; 14]) {
    const TWO_TO_56: f64 = 72_057_594_037_927_936.0;
    // A rate below 2^-54 would need one digit more, whose last 14 say "all are kept".
    let threshold = (((1.0 - rate) * TWO_TO_56) as u64).min((1 << 56) - 1);
    let random = !spread(trace_id.low()) >> 8;
    // They have 56 bits and the decision 64: next to the threshold the random value gives way.
    let random = if kept { random.max(threshold) } else { random.min(threshold.saturating_sub(1)) };
    (hex_digits(random), hex_digits(threshold))
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
        // Ids and decisions at 0.01, 0.1, 0.2, 0.5 and 0.99 that all of Datadog's tracers are tested with, and `rv`.
        for (id, random, kept) in [
            (1u64, "f0948a54d43b8e", [false, true, true, true, true]),
            (10, "65cd67504a538e", [false, false, false, false, true]),
            (83, "0028d980cf4f1c", [false; 5]),
            (100, "fa060922e7438e", [false, true, true, true, true]),
            (1_000, "c43c5b5d08a38e", [false, false, false, true, true]),
            ((1 << 62) - 1, "4f6b75ab2bc471", [false, false, false, false, true]),
            ((1 << 62) + 1, "30948a54d43b8e", [false, false, false, false, true]),
            ((1 << 63) - 1, "8f6b75ab2bc471", [false, false, false, true, true]),
            ((1 << 63) + 1, "70948a54d43b8e", [false, false, false, false, true]),
            (u64::MAX, "0f6b75ab2bc471", [false, false, false, false, true]),
            (18_444_899_399_302_180_860, "1d6aabcffddf37", [false, false, false, false, true]),
            (18_444_899_399_302_180_861, "0dff3624d21ac5", [false, false, false, false, true]),
            (18_444_899_399_302_180_862, "fe93c079a65653", [true; 5]),
            (18_444_899_399_302_180_863, "ef284ace7a91e1", [false, true, true, true, true]),
            (646_771_306_295_669_658, "899fbcfd433be9", [false, false, false, true, true]),
            (5_198_373_796_167_680_436, "7188fdce730439", [false, false, false, false, true]),
            (10_197_320_802_478_874_805, "d29c6d21f144ee", [false, false, true, true, true]),
            (13_794_769_880_582_338_323, "a6c17470cee7cd", [false, false, false, true, true]),
            (14_629_469_446_186_818_297, "295fd564326a5f", [false, false, false, false, true]),
        ] {
            let trace_id = TraceId(id.into());
            for (rate, kept) in [0.01, 0.1, 0.2, 0.5, 0.99].into_iter().zip(kept) {
                assert_eq!(keeps(trace_id, rate), kept, "{id} at {rate}");
                assert_eq!(keeps_span(SpanId(id), rate), kept, "{id} at {rate}");
                assert_eq!(&random_value_and_threshold(trace_id, rate, kept).0, random.as_bytes(), "{id}");
            }
        }
        for (rate, threshold) in [
            (0.01, "fd70a3d70a3d70"),
            (0.1, "e6666666666668"),
            (0.2, "ccccccccccccd0"),
            (0.5, "80000000000000"),
            (0.99, "028f5c28f5c290"),
            (1.0, "00000000000000"),
        ] {
            assert_eq!(&random_value_and_threshold(TraceId(1), rate, true).1, threshold.as_bytes(), "{rate}");
        }
    }

    #[test]
    fn next_to_the_threshold_the_random_value_follows_the_decision() {
        for (id, rate, random, threshold) in [
            (0x03a9_3ee8_b199_9f00_u64, 0.1, "e6666666666668", "e6666666666668"),
            (5_401_449_561_355_763_072, 0.05, "f333333333332f", "f3333333333330"),
        ] {
            let id = TraceId(id.into());
            let (random_value, threshold_value) = random_value_and_threshold(id, rate, keeps(id, rate));
            assert_eq!((&random_value[..], &threshold_value[..]), (random.as_bytes(), threshold.as_bytes()));
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
        fn the_ot_member_says_the_same_as_the_decision(id: u64, rate in 1e-9..=1.0f64) {
            let kept = keeps(TraceId(id.into()), rate);
            let (random, threshold) = random_value_and_threshold(TraceId(id.into()), rate, kept);
            prop_assert_eq!(random >= threshold, kept);
        }
    }
}
