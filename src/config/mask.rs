//! What may be shown of a value.

use super::table::{Kind, Setting};
use super::value::Value;
use crate::scrub::ArgScrubber;
use std::borrow::Cow;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// Stands for what is not shown.
const MASK: &str = "****";

/// A URL without what may be secret in it: what is before an `@`, and the query.
#[must_use]
pub fn masked_url(url: &str) -> String {
    let (head, query) = match url.split_once('?') {
        Some((head, _)) => (head, "?****"),
        None => (url, ""),
    };
    // From the last `@`, even where that is not where a correct URL would have it: better too much than too little.
    match head.rsplit_once('@') {
        Some((before, after)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://{MASK}@{after}{query}"),
            None => format!("{MASK}@{after}{query}"),
        },
        None => format!("{head}{query}"),
    }
}

/// The value of a tag, unless its name tells that it is a secret, by the rules for command lines.
#[must_use]
pub fn masked_tag<'a>(name: &str, value: &'a str) -> &'a str {
    let argument = format!("--{name}={value}");
    if ArgScrubber::new().scrub(argument.as_bytes()).is_unchanged() { value } else { MASK }
}

/// A value as it may be shown.
pub(crate) fn shown(setting: &Setting, value: &Value) -> String {
    match value {
        Value::Pairs(pairs) if setting.secret => {
            pairs.iter().map(|(name, _)| format!("{name}={MASK}")).collect::<Vec<_>>().join(",")
        }
        Value::Pairs(pairs) => {
            let shown = |(name, value): &(String, String)| format!("{name}:{}", masked_tag(name, value));
            pairs.iter().map(shown).collect::<Vec<_>>().join(",")
        }
        _ if setting.secret => MASK.into(),
        Value::Text(text) if is_address(setting.kind) => masked_url(text),
        other => other.to_string(),
    }
}

/// A text that may be wrong, as it may be quoted in a message: quoted, short, and without control characters.
pub(crate) fn quoted(setting: &Setting, text: &str) -> String {
    const LIMIT: usize = 120;
    let text: Cow<'_, str> = if setting.secret {
        MASK.into()
    } else if is_address(setting.kind) {
        masked_url(text).into()
    } else {
        text.into()
    };
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{:?}", format!("{}...", text.get(..end).unwrap_or(""))),
        None => format!("{text:?}"),
    }
}

const fn is_address(kind: Kind) -> bool {
    matches!(kind, Kind::AgentUrl | Kind::Endpoint | Kind::Repository | Kind::Host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::by_key;
    use std::vec;

    #[test]
    fn tags_whose_names_tell_of_secrets_are_masked() {
        assert_eq!(masked_tag("password", "SEKRET"), "****");
        assert_eq!(masked_tag("team", "core"), "core");
    }

    #[test]
    fn urls_lose_their_secrets() {
        for (url, expected) in [
            ("http://h:1/x", "http://h:1/x"),
            ("http://user:pw@h:1/x", "http://****@h:1/x"),
            ("user:pw@h", "****@h"),
            ("http://h/x?api_key=1", "http://h/x?****"),
            ("http:/u:p@q@h", "****@h"),
        ] {
            assert_eq!(masked_url(url), expected);
        }
    }

    #[test]
    fn header_values_are_never_shown() {
        let headers = by_key("otlp.headers").unwrap();
        let value = Value::Pairs(vec![("authorization".into(), "Bearer x".into())]);
        assert_eq!(shown(headers, &value), "authorization=****");
        assert_eq!(quoted(headers, "authorization=Bearer x"), "\"****\"");
    }

    #[test]
    fn quotations_are_short_and_harmless() {
        let service = by_key("service").unwrap();
        assert_eq!(quoted(service, "a\u{1b}[31m"), "\"a\\u{1b}[31m\"");
        assert!(quoted(service, &"ä".repeat(1_000)).len() < 300);
    }
}
