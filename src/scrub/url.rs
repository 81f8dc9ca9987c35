//! Secrets in addresses: user names and passwords, signatures, and what the default rule for query strings finds.
//!
//! Two conventions meet here. OpenTelemetry's (semantic conventions, "HTTP spans", `url.full`) hides the user's name and
//! password, and the values of the parameters by which cloud providers sign requests, whose names stay. Datadog's is in
//! [`query`](super::query). Where both find the same parameter, OpenTelemetry's form is kept.
//!
//! In-process code: no allocation, no reachable panic, time linear in the length.

use super::REDACTED;
use super::cursor::{byte, from};
use super::query::secret;

const REDACTED_VALUE: &[u8] = b"REDACTED";
const REDACTED_USER: &[u8] = b"REDACTED:REDACTED";

/// Parameters that grant access by themselves; names are compared exactly.
const SIGNATURES: [&[u8]; 7] = [
    b"AWSAccessKeyId",
    b"Signature",
    b"X-Amz-Credential",
    b"X-Amz-Security-Token",
    b"X-Amz-Signature",
    b"X-Goog-Signature",
    b"sig",
];

/// An address or a query string without its secrets: pieces of the original with what stands for a secret between them.
/// None is empty.
#[derive(Clone, Debug)]
pub struct UrlPieces<'a> {
    text: &'a [u8],
    /// What lies before was given out or is hidden.
    at: usize,
    /// The user's name and password, still to come.
    user: Option<(usize, usize)>,
    /// Where parameters begin; the end where there are none.
    query: usize,
    /// Whether Datadog's rule is applied.
    obfuscate: bool,
    replacement: Option<&'static [u8]>,
}

/// A part to hide: its beginning, its end, and what stands for it.
type Cut = (usize, usize, &'static [u8]);

impl<'a> UrlPieces<'a> {
    /// Scrubs an address, whole or without scheme and host; `obfuscate`: whether Datadog's rule is applied to what
    /// follows the first `?` or `#`.
    #[must_use]
    pub fn of_url(text: &'a [u8], obfuscate: bool) -> Self {
        let path_end = text.iter().position(|byte| matches!(byte, b'?' | b'#'));
        let before_query = path_end.and_then(|end| text.get(..end)).unwrap_or(text);
        UrlPieces {
            user: user(before_query),
            query: path_end.map_or(text.len(), |end| end.saturating_add(1)),
            ..Self::of_query(text, obfuscate)
        }
    }

    /// Scrubs a query string, without its `?`.
    #[must_use]
    pub fn of_query(text: &'a [u8], obfuscate: bool) -> Self {
        UrlPieces { text, at: 0, user: None, query: 0, obfuscate, replacement: None }
    }

    /// Whether nothing is hidden.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.clone().next_cut().is_none()
    }

    fn next_cut(&mut self) -> Option<Cut> {
        if let Some((start, end)) = self.user.take() {
            return Some((start, end, REDACTED_USER));
        }
        (self.at.max(self.query)..self.text.len()).find_map(|at| self.cut_at(at))
    }

    fn cut_at(&self, at: usize) -> Option<Cut> {
        let begins_parameter = at == self.query || byte(self.text, at.wrapping_sub(1)) == Some(b'&');
        if begins_parameter && let Some((start, end)) = signature(self.text, at) {
            return Some((start, end, REDACTED_VALUE));
        }
        if self.obfuscate { Some((at, secret(self.text, at)?, REDACTED)) } else { None }
    }
}

/// Where the user's name and password stand in an address without query.
fn user(url: &[u8]) -> Option<(usize, usize)> {
    let scheme_end = url.windows(3).position(|window| window == b"://")?;
    let start = scheme_end.saturating_add(3);
    let rest = from(url, start);
    let authority = rest.split(|byte| matches!(byte, b'/' | b'\\')).next()?;
    let length = authority.iter().rposition(|byte| *byte == b'@').filter(|length| *length > 0)?;
    Some((start, start.saturating_add(length)))
}

/// Where the value of a signing parameter stands that begins here.
fn signature(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let parameter = from(text, at).split(|byte| matches!(byte, b'&' | b'#')).next()?;
    let name = SIGNATURES.iter().find(|name| {
        parameter.strip_prefix(**name).is_some_and(|value| matches!(value, [b'=', _, ..]))
    })?;
    let value = at.saturating_add(name.len()).saturating_add(1);
    Some((value, at.saturating_add(parameter.len())))
}

impl<'a> Iterator for UrlPieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if let Some(replacement) = self.replacement.take() {
            return Some(replacement);
        }
        let cut = self.next_cut();
        let (start, end) = cut.map_or((self.text.len(), self.text.len()), |(start, end, _)| (start, end));
        let piece = self.text.get(self.at..start).unwrap_or_default();
        self.at = end;
        let replacement = cut.map(|(_, _, replacement)| replacement);
        if piece.is_empty() {
            return replacement;
        }
        self.replacement = replacement;
        Some(piece)
    }
}

#[cfg(test)]
mod tests;
