//! What the launcher tells the tracer inside of a program about sampling, as one text that an environment can carry.
//!
//! Six fields with 0x1c between: what decides where no rule matches (`a`, or `k` or `o` and a rate), the rate limit,
//! whether decisions that came in stand (`p`, or nothing), the rules, those for single spans, and the names of services
//! ([`Pairs`]). Numbers are 16
//! hexadecimal digits: the limit's two's complement, a rate's bits. With feature `std`,
//! [`SamplingConfig::to_compact`](super::SamplingConfig::to_compact) writes it.

use super::{Base, Pairs};
use crate::ids::parse_hex_u64;

/// Between two fields.
pub(super) const SETTING_END: u8 = 0x1c;

/// The settings, as they were handed on; the rules are still text for [`RuleSet::from_compact`](super::RuleSet).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HandedOn<'a> {
    /// What decides where no rule matches.
    pub base: Base,
    /// How many traces that rules keep are kept in a second: for [`Limiter::new`](super::Limiter::new).
    pub rate_limit: i64,
    /// Whether a decision that came in with a trace stands.
    pub respects_parent: bool,
    /// The rules.
    pub rules: &'a [u8],
    /// The rules for single spans.
    pub span_rules: &'a [u8],
    /// [`Sampler::service_names`](super::Sampler::service_names).
    pub service_names: Pairs<'a>,
}

impl<'a> HandedOn<'a> {
    /// Reads the text; `None` for what is none.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<HandedOn<'a>> {
        let mut fields = text.split(|byte| *byte == SETTING_END);
        let base = match fields.next()?.split_first()? {
            (b'a', []) => Base::Agent,
            (b'k', digits) => Base::Rate(rate(digits)?),
            (b'o', digits) => Base::Ratio(rate(digits)?),
            _ => return None,
        };
        let rate_limit = sixteen_digits(fields.next()?)? as i64;
        let respects_parent = match fields.next()? {
            b"p" => true,
            b"" => false,
            _ => return None,
        };
        let (rules, span_rules) = (fields.next()?, fields.next()?);
        let service_names = Pairs::of_text(fields.next()?);
        let read = HandedOn { base, rate_limit, respects_parent, rules, span_rules, service_names };
        fields.next().is_none().then_some(read)
    }
}

fn sixteen_digits(text: &[u8]) -> Option<u64> {
    if text.len() == 16 { parse_hex_u64(text) } else { None }
}

fn rate(digits: &[u8]) -> Option<f64> {
    let rate = f64::from_bits(sixteen_digits(digits)?);
    (0.0..=1.0).contains(&rate).then_some(rate)
}
