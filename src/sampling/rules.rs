//! Sampling rules of a configuration: read from JSON, kept, and written for the tracer inside of a program.

mod json;

pub use json::{check_json, parse_json, parse_span_json};

use super::rule_set::{FIELD_END, MAX_TEXT, RULE_END, TAG_END};
use super::{Limiter, RuleSet, RuleSpan};
use std::boxed::Box;
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

/// Sampling rules with the memory they lie in.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct OwnedRules {
    text: Box<str>,
    spans: Box<[RuleSpan]>,
}

impl OwnedRules {
    /// The rules, to decide by.
    #[must_use]
    #[inline]
    pub fn as_set(&self) -> RuleSet<'_> {
        RuleSet::of_parts(self.text.as_bytes(), &self.spans)
    }

    /// The rules as text that [`RuleSet::from_compact`] reads: below 64 KiB, without a zero byte.
    #[must_use]
    pub fn to_compact(&self) -> String {
        self.text.to_string()
    }

    /// Reads what [`OwnedRules::to_compact`] has written; rules that are malformed are passed over.
    #[must_use]
    pub fn from_compact(text: &[u8]) -> OwnedRules {
        let text = String::from_utf8_lossy(text);
        let texts: Vec<String> =
            text.split(char::from(RULE_END)).filter(|rule| !rule.is_empty()).map(ToString::to_string).collect();
        OwnedRules::of_texts(&texts).0
    }

    /// The same rules, and a last one that matches everything.
    #[must_use]
    pub fn with_last(self, rate: f64) -> OwnedRules {
        let mut texts: Vec<String> = self.text.split(char::from(RULE_END)).map(ToString::to_string).collect();
        texts.retain(|text| !text.is_empty());
        texts.push(WrittenRule { rate, ..WrittenRule::default() }.text());
        OwnedRules::of_texts(&texts).0
    }

    /// A limiter for each rule, open for those without a limit.
    #[must_use]
    pub fn limiters(&self) -> Box<[Limiter]> {
        let set = self.as_set();
        let limit = |index| set.get(index).and_then(|rule| rule.max_per_second).unwrap_or(-1.0);
        (0..set.len()).map(|index| Limiter::with_rate(limit(index))).collect()
    }

    /// Also says how many of them there is room for.
    fn of_texts(texts: &[String]) -> (OwnedRules, usize) {
        let mut text = String::new();
        let mut taken = 0;
        for rule in texts {
            if text.len() + 1 + rule.len() > MAX_TEXT {
                break;
            }
            if taken > 0 {
                text.push(RULE_END.into());
            }
            text.push_str(rule);
            taken += 1;
        }
        let mut spans = vec![RuleSpan::EMPTY; RuleSet::room_for(text.as_bytes())];
        let read = RuleSet::from_compact(text.as_bytes(), &mut spans).len();
        spans.truncate(read);
        (OwnedRules { text: text.into(), spans: spans.into() }, taken)
    }
}

/// A rule on its way into the text.
struct WrittenRule {
    rate: f64,
    max_per_second: Option<f64>,
    provenance: Provenance,
    service: String,
    name: String,
    resource: String,
    /// Names and globs.
    tags: Vec<(String, String)>,
}

impl Default for WrittenRule {
    fn default() -> Self {
        let any = || String::from("*");
        WrittenRule {
            rate: 1.0,
            max_per_second: None,
            provenance: Provenance::Default,
            service: any(),
            name: any(),
            resource: any(),
            tags: Vec::new(),
        }
    }
}

/// Who made a rule, in the order in which they are asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Provenance {
    Customer,
    Dynamic,
    Default,
}

impl WrittenRule {
    fn text(&self) -> String {
        let tags: Vec<String> =
            self.tags.iter().map(|(name, glob)| format!("{name}{}{glob}", char::from(TAG_END))).collect();
        let provenance = match self.provenance {
            Provenance::Customer => "c",
            Provenance::Dynamic => "d",
            Provenance::Default => "",
        };
        [
            &*digits(self.rate),
            &self.max_per_second.map_or_else(String::new, digits),
            provenance,
            &self.service,
            &self.name,
            &self.resource,
            &tags.join(&*char::from(TAG_END).to_string()),
        ]
        .join(&*char::from(FIELD_END).to_string())
    }
}

/// A number as the texts have it.
pub(super) fn digits(number: f64) -> String {
    format!("{:016x}", number.to_bits())
}
