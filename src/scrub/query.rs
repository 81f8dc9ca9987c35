//! Secrets in query strings: the default rule that all Datadog tracers share (`DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP`).
//!
//! The rule is a regular expression; here it is written out by hand, for processes in which there is no room for an
//! engine. It can be, since at every place at most one way of the expression can succeed: what may be repeated never
//! begins like what may follow it. The tests compare it with the expression itself.
//!
//! The expression is applied to bytes, with ASCII's letters, blanks and letter cases.
//!
//! In-process code: no allocation, no reachable panic, time linear in the length.

use super::cursor::{any_word, byte, one, repeat, run, word};

const BLANK: &[&[u8]] = &[b"%20"];
const EQUALS: &[&[u8]] = &[b"=", b"%3D"];
const COLON: &[&[u8]] = &[b":", b"%3A"];
const QUOTE: &[&[u8]] = &[b"\"", b"%22"];

/// The next secret that begins at `start` or behind it, as the place where it begins and the place behind its end.
///
/// What is found includes the name of the secret, and before a JSON web token the character that sets it apart.
#[must_use]
pub fn next_secret(text: &[u8], start: usize) -> Option<(usize, usize)> {
    (start..text.len()).find_map(|at| Some((at, secret(text, at)?)))
}

/// Behind the secret that begins exactly here.
pub(super) fn secret(text: &[u8], at: usize) -> Option<usize> {
    let named = match byte(text, at)? {
        b'"' | b'%' => any_word(text, at, QUOTE).and_then(|key| named_secret(text, key)),
        b'a' | b'A' | b'c' | b'C' | b'n' | b'N' | b'o' | b'O' | b'p' | b'P' | b's' | b'S' | b't' | b'T' => {
            named_secret(text, at)
        }
        _ => None,
    };
    named.or_else(|| known_shape(text, at))
}

fn named_secret(text: &[u8], at: usize) -> Option<usize> {
    let value = name(text, at)?;
    parameter(text, value).or_else(|| json_member(text, value))
}

/// Behind the longest name that announces a secret. A shorter one never counts: what can follow a name is no part of
/// a longer one.
fn name(text: &[u8], at: usize) -> Option<usize> {
    let endings = [password(text, at), key(text, at), consumer(text, at), plain_name(text, at)];
    endings.into_iter().flatten().max()
}

/// `(old|new)[-_]? p(ass)?w(or)?d [12]?`
fn password(text: &[u8], at: usize) -> Option<usize> {
    let start = any_word(text, at, &[b"old", b"new"]).map_or(at, |end| joint(text, end));
    let p = word(text, start, b"p")?;
    let w = word(text, word(text, p, b"ass").unwrap_or(p), b"w")?;
    let d = word(text, word(text, w, b"or").unwrap_or(w), b"d")?;
    Some(one(text, d, |byte| matches!(byte, b'1' | b'2')).unwrap_or(d))
}

/// `(api|private|public|access|secret|app(lication)?)[-_]? key ([-_]?id)?`
fn key(text: &[u8], at: usize) -> Option<usize> {
    const WHOSE: [&[u8]; 7] = [b"api", b"private", b"public", b"access", b"secret", b"application", b"app"];
    let whose = any_word(text, at, &WHOSE)?;
    let key = word(text, joint(text, whose), b"key")?;
    Some(word(text, joint(text, key), b"id").unwrap_or(key))
}

/// `consumer[-_]?(id|key|secret)`
fn consumer(text: &[u8], at: usize) -> Option<usize> {
    any_word(text, joint(text, word(text, at, b"consumer")?), &[b"id", b"key", b"secret"])
}

/// The names without parts of their own.
fn plain_name(text: &[u8], at: usize) -> Option<usize> {
    if let Some(pass) = word(text, at, b"pass") {
        return Some(word(text, joint(text, pass), b"phrase").unwrap_or(pass));
    }
    const NAMES: [&[u8]; 8] = [
        b"secret",
        b"token",
        b"signature",
        b"signed",
        b"sign",
        b"authentication",
        b"authorization",
        b"auth",
    ];
    any_word(text, at, &NAMES)
}

/// `[-_]?`
fn joint(text: &[u8], at: usize) -> usize {
    one(text, at, |byte| matches!(byte, b'-' | b'_')).unwrap_or(at)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// One blank, encoded or not.
fn blank(text: &[u8], at: usize) -> Option<usize> {
    one(text, at, is_space).or_else(|| any_word(text, at, BLANK))
}

fn blanks(text: &[u8], at: usize) -> usize {
    repeat(text, at, usize::MAX, blank).0
}

/// `=VALUE`, up to the next parameter.
fn parameter(text: &[u8], at: usize) -> Option<usize> {
    let value = any_word(text, blanks(text, at), EQUALS)?;
    let end = run(text, value, |byte| byte != b'&');
    (end > value).then_some(end)
}

/// `": "VALUE"`, as in JSON, quotes and colon encoded or not.
fn json_member(text: &[u8], at: usize) -> Option<usize> {
    let colon = any_word(text, blanks(text, any_word(text, at, QUOTE)?), COLON)?;
    let value = any_word(text, blanks(text, colon), QUOTE)?;
    let (end, characters) = repeat(text, value, usize::MAX, quoted_character);
    if characters == 0 {
        return None;
    }
    any_word(text, end, QUOTE)
}

/// One character of a quoted text, encoded or not. What follows a percent sign belongs to it, whatever it is.
fn quoted_character(text: &[u8], at: usize) -> Option<usize> {
    match (byte(text, at)?, byte(text, at.saturating_add(1)), byte(text, at.saturating_add(2))) {
        (b'"', ..) | (b'%', None, _) | (b'%', Some(b'2'), None | Some(b'2')) => None,
        (b'%', Some(b'2'), Some(_)) => Some(at.saturating_add(3)),
        (b'%', Some(_), _) => Some(at.saturating_add(2)),
        _ => Some(at.saturating_add(1)),
    }
}

/// Behind a secret that is known by its shape.
fn known_shape(text: &[u8], at: usize) -> Option<usize> {
    match byte(text, at)? {
        b'b' | b'B' => bearer(text, at),
        b't' | b'T' => {
            let value = any_word(text, word(text, at, b"token")?, COLON)?;
            exactly(text, value, 13, |byte| byte.is_ascii_alphanumeric())
        }
        b'g' | b'G' => {
            let kind = one(text, word(text, at, b"gh")?, |byte| matches!(byte | 0x20, b'o' | b'p' | b's' | b'u'))?;
            exactly(text, word(text, kind, b"_")?, 36, |byte| byte.is_ascii_alphanumeric())
        }
        b'-' => private_key(text, at),
        b's' | b'S' => public_key(text, at),
        b'e' | b'E' => web_token(text, at).or_else(|| public_key(text, at)),
        _ => web_token(text, at),
    }
}

fn exactly(text: &[u8], at: usize, length: usize, is: impl Fn(u8) -> bool) -> Option<usize> {
    let end = at.saturating_add(length);
    text.get(at..end)?.iter().all(|byte| is(*byte)).then_some(end)
}

fn bearer(text: &[u8], at: usize) -> Option<usize> {
    let word = word(text, at, b"bearer")?;
    let value = blanks(text, word);
    let end = run(text, value, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    (value > word && end > value).then_some(end)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A JSON web token with what sets it apart: `HEADER.PAYLOAD[.SIGNATURE]`, of which the first two are Base64 of `{"`.
fn web_token(text: &[u8], at: usize) -> Option<usize> {
    let payload = word(text, web_token_part(text, web_token_start(text, at)?)?, b".")?;
    let end = web_token_part(text, payload)?;
    let Some(signature) = word(text, end, b".") else { return Some(end) };
    let (signature_end, length) = repeat(text, signature, usize::MAX, |text, at| {
        one(text, at, |byte| is_word(byte) || matches!(byte, b'.' | b'+' | b'/' | b'=' | b'-'))
            .or_else(|| any_word(text, at, &[b"%3D", b"%2F", b"%2B"]))
    });
    Some(if length > 0 { signature_end } else { end })
}

/// The beginning of the text, a character that is no part of a word, or an encoded one.
///
/// Of a character beyond ASCII nothing is taken: half of one would remain.
fn web_token_start(text: &[u8], at: usize) -> Option<usize> {
    let first = byte(text, at)?;
    let before = at.checked_sub(1).and_then(|before| byte(text, before));
    if matches!(first, b'e' | b'E') && before.is_none_or(|byte| !byte.is_ascii()) {
        return Some(at);
    }
    if first == b'%' {
        return exactly(text, at.saturating_add(1), 2, |byte| byte.is_ascii_hexdigit());
    }
    one(text, at, |byte| byte.is_ascii() && !is_word(byte) && byte != b'-')
}

/// `ey[I-L][\w-]+(=|%3D)*`
fn web_token_part(text: &[u8], at: usize) -> Option<usize> {
    let head = one(text, word(text, at, b"ey")?, |byte| matches!(byte.to_ascii_uppercase(), b'I'..=b'L'))?;
    let end = run(text, head, |byte| is_word(byte) || byte == b'-');
    (end > head).then(|| padding(text, end))
}

fn padding(text: &[u8], at: usize) -> usize {
    repeat(text, at, usize::MAX, |text, at| any_word(text, at, EQUALS)).0
}

/// A private key in PEM.
fn private_key(text: &[u8], at: usize) -> Option<usize> {
    const DASHES: &[u8] = b"-----";
    let label = word(text, word(text, at, DASHES)?, b"BEGIN")?;
    let label_end = label_run(text, label);
    if private_key_label(text, label, label_end) != Some(label_end) {
        return None;
    }
    let body = word(text, label_end, DASHES)?;
    let body_end = run(text, body, |byte| byte != b'-');
    if body_end == body {
        return None;
    }
    let label = word(text, word(text, body_end, DASHES)?, b"END")?;
    let end = private_key_label(text, label, label_run(text, label))?;
    let end = word(text, end, DASHES).unwrap_or(end);
    Some(any_word(text, end, &[b"\n", b"%0A"]).unwrap_or(end))
}

/// Behind the letters and blanks that a label is made of.
fn label_run(text: &[u8], at: usize) -> usize {
    repeat(text, at, usize::MAX, |text, at| {
        one(text, at, |byte| byte.is_ascii_alphabetic()).or_else(|| blank(text, at))
    })
    .0
}

/// Behind the last `PRIVATE KEY` of a label that has something before it.
fn private_key_label(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let label = text.get(..end)?;
    (start.saturating_add(1)..end)
        .rev()
        .find_map(|at| word(label, blank(label, word(label, at, b"PRIVATE")?)?, b"KEY"))
}

/// A public key as SSH writes it.
fn public_key(text: &[u8], at: usize) -> Option<usize> {
    let alphanumeric = |byte: u8| byte.is_ascii_alphanumeric();
    let kind = match word(text, at, b"ssh-") {
        Some(kind) => any_word(text, kind, &[b"rsa", b"dss"])?,
        None => {
            let first = word(text, at, b"ecdsa-")?;
            let second = word(text, run(text, one(text, first, alphanumeric)?, alphanumeric), b"-")?;
            run(text, one(text, second, alphanumeric)?, alphanumeric)
        }
    };
    let space = |text: &[u8], at| blank(text, at).or_else(|| any_word(text, at, &[b"%09"]));
    let (key, spaces) = repeat(text, kind, usize::MAX, space);
    let (end, length) = repeat(text, key, usize::MAX, |text, at| {
        one(text, at, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'+'))
            .or_else(|| any_word(text, at, &[b"%2F", b"%5C", b"%2B"]))
    });
    if spaces == 0 || length < 100 {
        return None;
    }
    let end = padding(text, end);
    let (comment, spaces) = repeat(text, end, usize::MAX, space);
    let comment_end = run(text, comment, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    Some(if spaces > 0 && comment_end > comment { comment_end } else { end })
}

#[cfg(test)]
mod tests;
