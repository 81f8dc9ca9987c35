//! What texts look like without their secrets; `None` where nothing is hidden.

use super::{QueryRule, Rules};
use crate::scrub::REDACTED;
use crate::scrub::sql::{Dialect, SqlPieces};
use crate::scrub::url::UrlPieces;
use regex::NoExpand;
use std::borrow::Cow;
use std::string::String;
use std::vec::Vec;

pub(super) fn scrubbed_sql(statement: &str, dialect: Dialect) -> Option<String> {
    let shown = joined(SqlPieces::new(statement.as_bytes(), dialect));
    (shown != statement).then_some(shown)
}

pub(super) fn scrubbed_address(address: &str, rules: &Rules, shows_query: bool) -> Option<String> {
    let query = address.find(['?', '#']);
    let Some(query) = query else { return scrubbed_url(address, rules) };
    if shows_query {
        return match &rules.query {
            QueryRule::Pattern(_) => {
                let without_user = scrubbed_url(address, rules);
                let address = without_user.as_deref().unwrap_or(address);
                let query = address.find(['?', '#']).map_or(address.len(), |mark| mark + 1);
                scrubbed_query(address, query, rules).or(without_user)
            }
            _ => scrubbed_url(address, rules),
        };
    }
    let path = address.get(..query).unwrap_or_default();
    Some(scrubbed_url(path, rules).unwrap_or_else(|| String::from(path)))
}

/// Scrubs a name that may have an address in it: `GET /login?token=x`.
///
/// Where query strings are not shown, it ends before one. A mark at the end or before a blank begins none, as in
/// `valid?`, and `#` may set a class apart from its method.
pub(super) fn scrubbed_title(title: &str, rules: &Rules, shows_query: bool) -> Option<String> {
    let begins_query = |(at, _): &(usize, &str)| {
        title.get(at + 1..).is_some_and(|behind| behind.starts_with(|first: char| !first.is_whitespace()))
    };
    match title.match_indices('?').find(begins_query) {
        Some((query, _)) if !shows_query => {
            let before = title.get(..query)?;
            Some(scrubbed_url(before, rules).unwrap_or_else(|| String::from(before)))
        }
        _ => scrubbed_address(title, rules, true),
    }
}

/// All but the user's own pattern.
fn scrubbed_url(address: &str, rules: &Rules) -> Option<String> {
    let pieces = UrlPieces::of_url(address.as_bytes(), matches!(rules.query, QueryRule::Shared));
    (!pieces.is_unchanged()).then(|| joined(pieces))
}

/// Scrubs the query string that begins at `start`.
pub(super) fn scrubbed_query(text: &str, start: usize, rules: &Rules) -> Option<String> {
    let (before, query) = text.split_at_checked(start)?;
    let pieces = UrlPieces::of_query(query.as_bytes(), matches!(rules.query, QueryRule::Shared));
    let signatures_hidden = (!pieces.is_unchanged()).then(|| joined(pieces));
    let query = signatures_hidden.as_deref().unwrap_or(query);
    let hidden = match &rules.query {
        QueryRule::Pattern(pattern) => match pattern.replace_all(query, NoExpand(REDACTED_TEXT)) {
            Cow::Owned(hidden) => Some(hidden),
            Cow::Borrowed(_) => None,
        },
        _ => None,
    };
    Some([before, &hidden.or(signatures_hidden)?].concat())
}

/// [`REDACTED`] as text.
pub(super) const REDACTED_TEXT: &str = match std::str::from_utf8(REDACTED) {
    Ok(text) => text,
    Err(_) => "",
};

/// Text is cut between its characters only, so that what comes out is text again.
pub(super) fn joined<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> String {
    let mut bytes = Vec::new();
    pieces.for_each(|piece| bytes.extend_from_slice(piece));
    match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(text) => String::from(text),
        Cow::Owned(text) => text,
    }
}
