//! Passwords in connection strings: addresses, and pairs such as `Password=x;` in any of the ways in which drivers write
//! them.

use super::texts::{REDACTED_TEXT, joined};
use crate::scrub::url::UrlPieces;
use std::string::String;

/// Names of a password, also as the end of a longer name.
const NAMES: [&str; 4] = ["password", "passwd", "passphrase", "pwd"];

/// `None` where nothing is hidden.
pub(super) fn scrubbed_connection(text: &str) -> Option<String> {
    let without_passwords = without_passwords(text);
    let pieces = UrlPieces::of_url(without_passwords.as_deref().unwrap_or(text).as_bytes(), true);
    let address = (!pieces.is_unchanged()).then(|| joined(pieces));
    address.or(without_passwords)
}

fn without_passwords(text: &str) -> Option<String> {
    // Of the same length as the text, and cut between characters where the text is.
    let lower = text.to_ascii_lowercase();
    let mut shown = String::new();
    let mut at = 0;
    while let Some((start, end)) = next_password(&lower, at) {
        shown.push_str(text.get(at..start)?);
        shown.push_str(REDACTED_TEXT);
        at = end;
    }
    if at == 0 {
        return None;
    }
    shown.push_str(text.get(at..)?);
    (shown != text).then_some(shown)
}

/// Where the next password stands from `from` on.
fn next_password(lower: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let rest = lower.get(at..)?;
        let (found, name) = NAMES.iter().filter_map(|name| Some((rest.find(name)?, *name))).min()?;
        let start = at + found;
        at = start + name.len();
        let Some(behind) = lower.get(at..)?.trim_start().strip_prefix('=') else { continue };
        let value = behind.trim_start();
        let is_parameter = lower.get(..start)?.ends_with(['?', '&']);
        let length = value_length(value, is_parameter);
        if length > 0 {
            let start = lower.len() - value.len();
            return Some((start, start + length));
        }
    }
}

/// The value up to what ends the pair. Blanks do not: a password may have some, and then the next pair is hidden, too.
fn value_length(value: &str, is_parameter: bool) -> usize {
    let ends = |character: char| character == ';' || (is_parameter && character == '&');
    let quoted = quoted_length(value);
    value.get(quoted..).and_then(|rest| rest.find(ends)).map_or(value.len(), |length| quoted + length)
}

/// How much of the value is between quotes or braces, in which a semicolon ends nothing.
fn quoted_length(value: &str) -> usize {
    let close = match value.chars().next() {
        Some('{') => '}',
        Some(quote @ ('\'' | '"')) => quote,
        _ => return 0,
    };
    let mut inside = value.char_indices().skip(1).peekable();
    while let Some((at, character)) = inside.next() {
        if character == '\\' && close != '}' {
            inside.next();
        } else if character == close && inside.next_if(|(_, next)| *next == close).is_none() {
            return at + 1;
        }
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn connection_strings_lose_their_passwords() {
        for (original, expected) in [
            ("postgresql://joe:hunter2@db:5432/shop", "postgresql://REDACTED:REDACTED@db:5432/shop"),
            ("Server=db;Uid=joe;Pwd=hunter2;Port=1", "Server=db;Uid=joe;Pwd=<redacted>;Port=1"),
            ("PASSWORD = hunter 2 ; a=b", "PASSWORD = <redacted>; a=b"),
            ("Password=\"hun;ter\"\"2\";a=b", "Password=<redacted>;a=b"),
            ("password='hun\\';ter2';a=b", "password=<redacted>;a=b"),
            ("PWD={hun;}}ter2};a=b", "PWD=<redacted>;a=b"),
            ("pwd='hunter2;a=b", "pwd=<redacted>"),
            ("host=db password=hunter2", "host=db password=<redacted>"),
            ("Password=a&hunter2;b=c", "Password=<redacted>;b=c"),
            ("jdbc:mysql://db/x?user=joe&pwd=é&ssl=true", "jdbc:mysql://db/x?user=joe&<redacted>&ssl=true"),
            ("jdbc:x://db/x?dbpasswd=hunter2&ssl=true", "jdbc:x://db/x?db<redacted>"),
            ("Password=;Pwd=hunter2", "Password=;Pwd=<redacted>"),
            ("Password policy=strict;Host=pwd", "Password policy=strict;Host=pwd"),
        ] {
            assert_eq!(scrubbed_connection(original).as_deref().unwrap_or(original), expected);
            assert_eq!(scrubbed_connection(expected).as_deref().unwrap_or(expected), expected, "twice");
        }
    }

    proptest! {
        #[test]
        fn no_password_survives(before in "([a-z;=' é]{0,8};)?", quote in "['\"]?", after in "(;[a-z=é]{0,9})?") {
            let text = [&before, "Password=", &quote, "S3CRET", &quote, &after].concat();
            let shown = scrubbed_connection(&text).unwrap_or(text);
            prop_assert!(!shown.contains("S3CRET"), "{}", shown);
        }

        #[test]
        fn any_text_is_scrubbed(text in r#"(pwd|password|=|;|&|\?|'|"|\{|\}|\\|é| |://|[a-z@]){0,30}"#) {
            let once = scrubbed_connection(&text).unwrap_or(text);
            let twice = scrubbed_connection(&once).unwrap_or_else(|| once.clone());
            prop_assert_eq!(twice, once);
        }
    }
}
