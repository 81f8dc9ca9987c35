//! Sampling rules in the form in which they are matched, and the text they are handed on as.
//!
//! The text has the rules one after the other, with 0x1e between. A rule has seven fields with 0x1f between: the rate and
//! the limit as the 16 hexadecimal digits of their `f64`s (exact, and read without a float parser; the limit is empty for
//! none), who made it (`c` customer, `d` dynamic, empty for the configuration), and the globs for service, name,
//! resource and tags. The tags are name, glob, name, glob, …, with 0x1d between. No rule has a control character of its
//! own.

use super::glob::{self, Pattern, Piece};
use super::{Sampled, TagValue, sent};
use crate::context::Mechanism;
use crate::ids::parse_hex_u64;

/// Between two rules.
pub(super) const RULE_END: u8 = 0x1e;
/// Between two fields of a rule.
pub(super) const FIELD_END: u8 = 0x1f;
/// Between the names and globs of tags.
pub(super) const TAG_END: u8 = 0x1d;
/// The longest text of a rule set, in bytes.
pub(super) const MAX_TEXT: usize = u16::MAX as usize;

/// Where the parts of a rule lie in the text of its set. 40 bytes, so that fifty of them are quickly gone through.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RuleSpan {
    rate: f64,
    /// Negative for none.
    max_per_second: f64,
    service: Pattern,
    name: Pattern,
    resource: Pattern,
    tags: Piece,
    mechanism: Mechanism,
}

impl RuleSpan {
    /// To fill an array with, before [`RuleSet::from_compact`] uses it.
    pub const EMPTY: RuleSpan = RuleSpan {
        rate: 0.0,
        max_per_second: -1.0,
        service: Pattern::ANY,
        name: Pattern::ANY,
        resource: Pattern::ANY,
        tags: Piece::EMPTY,
        mechanism: Mechanism::LOCAL_RULE,
    };

    /// Reads the rule that stands at `start`.
    fn read(rule: &[u8], start: usize) -> Option<RuleSpan> {
        let mut fields = rule.split(|byte| *byte == FIELD_END);
        let mut next_start = start;
        let mut next = || {
            let field = fields.next()?;
            let start = next_start;
            next_start = start.wrapping_add(field.len()).wrapping_add(1);
            Some((field, start))
        };
        let rate = number(next()?.0)?;
        let max_per_second = match next()?.0 {
            [] => -1.0,
            digits => number(digits)?,
        };
        let mechanism = match next()?.0 {
            b"" => Mechanism::LOCAL_RULE,
            b"c" => Mechanism::REMOTE_RULE,
            b"d" => Mechanism::DYNAMIC_RULE,
            _ => return None,
        };
        let [service, name, resource] = [next()?, next()?, next()?].map(|(glob, start)| Pattern::new(glob, start));
        let (tags, start) = next()?;
        let is_whole = next().is_none() && rate <= 1.0;
        let tags = Piece::new(start, tags.len());
        is_whole.then_some(RuleSpan { rate, max_per_second, service, name, resource, tags, mechanism })
    }
}

/// A number that is not negative.
fn number(digits: &[u8]) -> Option<f64> {
    let number = f64::from_bits(if digits.len() == 16 { parse_hex_u64(digits)? } else { return None });
    (number >= 0.0 && number.is_finite()).then_some(number)
}

/// A rule that matched.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rule {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Its rate, 0 to 1.
    pub rate: f64,
    /// Its own limit, in traces (or spans) a second.
    pub max_per_second: Option<f64>,
    /// Who made it, as a decision maker.
    pub mechanism: Mechanism,
}

/// Sampling rules, first match first. Cheap to copy; the owner keeps the text and the array.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RuleSet<'a> {
    text: &'a [u8],
    rules: &'a [RuleSpan],
}

impl<'a> RuleSet<'a> {
    /// No rules.
    pub const EMPTY: RuleSet<'static> = RuleSet { text: &[], rules: &[] };

    /// How large an array [`RuleSet::from_compact`] needs for this text.
    #[must_use]
    pub fn room_for(text: &[u8]) -> usize {
        if text.is_empty() { 0 } else { text.iter().filter(|byte| **byte == RULE_END).count().saturating_add(1) }
    }

    /// Reads the text form. A rule that is malformed is passed over; those for which there is no room at the end, and
    /// all of a text of 64 KiB and more, are left out.
    #[must_use]
    pub fn from_compact(text: &'a [u8], room: &'a mut [RuleSpan]) -> RuleSet<'a> {
        if text.len() > MAX_TEXT {
            return RuleSet::EMPTY;
        }
        let mut start = 0usize;
        let mut read = 0usize;
        for rule in text.split(|byte| *byte == RULE_END) {
            if let Some(span) = RuleSpan::read(rule, start) {
                let Some(place) = room.get_mut(read) else { break };
                *place = span;
                read = read.wrapping_add(1);
            }
            start = start.wrapping_add(rule.len()).wrapping_add(1);
        }
        RuleSet { text, rules: room.get(..read).unwrap_or_default() }
    }

    /// The same rules over text and array that were read before.
    #[cfg(feature = "std")]
    pub(super) fn of_parts(text: &'a [u8], rules: &'a [RuleSpan]) -> RuleSet<'a> {
        RuleSet { text, rules }
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rule at a place, from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Rule> {
        self.rules.get(index).map(|span| rule(index, span))
    }

    /// The first rule that matches the span.
    #[must_use]
    pub fn find(&self, span: &dyn Sampled) -> Option<Rule> {
        if self.is_empty() {
            // To work the names out may cost more than all else.
            return None;
        }
        let (service, name, resource) = (span.service(), span.name(), span.resource());
        let matches = |rule: &RuleSpan| {
            // The most telling first: most local roots of a process have the same service.
            rule.resource.matches(self.text, resource)
                && rule.name.matches(self.text, name)
                && rule.service.matches(self.text, service)
                && (rule.tags.is_empty() || self.tags_match(rule.tags, span))
        };
        self.rules.iter().enumerate().find(|(_, rule)| matches(rule)).map(|(index, span)| rule(index, span))
    }

    fn tags_match(&self, tags: Piece, span: &dyn Sampled) -> bool {
        let mut parts = tags.of(self.text).split(|byte| *byte == TAG_END);
        while let Some(name) = parts.next() {
            let glob = parts.next().unwrap_or_default();
            if !sent::tag(span, name).is_some_and(|value| value_matches(glob, value)) {
                return false;
            }
        }
        true
    }
}

fn rule(index: usize, span: &RuleSpan) -> Rule {
    let max_per_second = (span.max_per_second >= 0.0).then_some(span.max_per_second);
    Rule { index, rate: span.rate, max_per_second, mechanism: span.mechanism }
}

/// A number is matched as the text of a whole number; one with a fraction by wildcards alone, since how it is written
/// depends on the language. What is no number, or infinite, is sent as a text.
fn value_matches(glob: &[u8], value: TagValue<'_>) -> bool {
    match value {
        TagValue::Text(text) => glob::matches(glob, text),
        TagValue::Integer(number) => integer_matches(glob, number),
        TagValue::Float(number) if number.is_nan() => glob::matches(glob, b"NaN"),
        TagValue::Float(f64::INFINITY) => glob::matches(glob, b"inf"),
        TagValue::Float(f64::NEG_INFINITY) => glob::matches(glob, b"-inf"),
        TagValue::Float(number) => {
            // Saturates; what is not the same afterwards is no whole number, or too large for one.
            let whole = number as i64;
            if whole as f64 == number && whole != i64::MAX {
                integer_matches(glob, whole)
            } else {
                glob::is_all_wildcards(glob)
            }
        }
        TagValue::List => glob::is_all_wildcards(glob),
        TagValue::Bool(truth) => glob::matches(glob, if truth { b"true" } else { b"false" }),
    }
}

fn integer_matches(glob: &[u8], number: i64) -> bool {
    // 19 digits and a sign.
    let mut text = [0u8; 20];
    let mut start = text.len();
    let mut left = number.unsigned_abs();
    for place in text.iter_mut().rev() {
        *place = b'0'.wrapping_add((left % 10) as u8);
        start = start.wrapping_sub(1);
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        start = start.wrapping_sub(1);
        if let Some(place) = text.get_mut(start) {
            *place = b'-';
        }
    }
    glob::matches(glob, text.get(start..).unwrap_or_default())
}
