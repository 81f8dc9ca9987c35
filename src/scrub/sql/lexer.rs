//! SQL as a row of tokens, as far as it takes to know what is a literal.

use super::dialect::{Backslash, Dialect};
use crate::scrub::cursor::{byte, from, one, run, word};

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Blanks and line ends.
    Space,
    /// A comment, without the end of its line.
    Comment,
    /// A value, to be hidden; also a bare `?`, which looks the same.
    Literal {
        /// A string in which backslashes escape, because of what stands before it.
        escapes: bool,
    },
    /// A name, quoted or not, a keyword or a placeholder.
    Word,
    /// Anything else, byte by byte.
    Other(u8),
}

/// A token and the place behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    pub end: usize,
}

/// Placeholders are numbered with no more digits: more are rather a value.
const MARK_DIGITS: usize = 4;

/// The token that begins at `at`; `None` at the end. `continues`: a string here goes on from one with escapes.
pub(super) fn token(text: &[u8], at: usize, dialect: Dialect, continues: bool) -> Option<Token> {
    let first = byte(text, at)?;
    let next = at.saturating_add(1);
    let second = byte(text, next);
    let comment = |end| Some(Token { kind: Kind::Comment, end });
    let word = |end| Some(Token { kind: Kind::Word, end });
    let literal = |end| Some(Token { kind: Kind::Literal { escapes: false }, end });
    if let Some(end) = uuid_end(text, at) {
        return literal(end);
    }
    match first {
        _ if is_space(first) => Some(Token { kind: Kind::Space, end: run(text, at, is_space) }),
        b'-' if is_dash_comment(text, at, dialect) => Some(line_comment(text, at, dialect)),
        b'#' if dialect.has_hash_comments() => Some(line_comment(text, at, dialect)),
        b'/' if second == Some(b'*') => comment(comment_end(text, at, dialect)),
        b'\'' if continues => Some(Token { kind: Kind::Literal { escapes: true }, end: escaped_end(text, next) }),
        b'\'' => literal(quoted_end(text, at, b'\'', dialect)),
        b'"' if dialect.has_double_quoted_strings() => literal(quoted_end(text, at, b'"', dialect)),
        b'"' => Some(quoted_name(text, next, b'"')),
        b'`' if dialect.has_backtick_names() => Some(quoted_name(text, next, b'`')),
        b'[' if dialect.has_bracket_names() => Some(quoted_name(text, next, b']')),
        b'0'..=b'9' => literal(number_end(text, at)),
        b'.' if second.is_some_and(|byte| byte.is_ascii_digit()) => literal(number_end(text, at)),
        b'$' => Some(dollar(text, at, dialect)),
        b'?' if dialect.has_numbered_marks() => match number_of_mark(text, next) {
            Some(end) => word(end),
            None => literal(next),
        },
        b'?' => literal(next),
        // A cast.
        b':' if second == Some(b':') => word(at.saturating_add(2)),
        b':' if second.is_some_and(begins_name) => word(name_end(text, next, dialect)),
        b':' if dialect.has_numbered_colons() && let Some(end) = number_of_mark(text, next) => word(end),
        b'#' if dialect.has_hash_in_names() => word(name_end(text, at, dialect)),
        _ if begins_name(first) => Some(name(text, at, dialect)),
        _ => Some(Token { kind: Kind::Other(first), end: next }),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

fn begins_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'@') || !byte.is_ascii()
}

fn name_end(text: &[u8], at: usize, dialect: Dialect) -> usize {
    run(text, at, |byte| {
        begins_name(byte)
            || byte.is_ascii_digit()
            || (byte == b'$' && dialect.has_dollar_in_names())
            || (byte == b'#' && dialect.has_hash_in_names())
    })
}

/// A name, or a literal that begins like one.
fn name(text: &[u8], at: usize, dialect: Dialect) -> Token {
    let end = name_end(text, at, dialect);
    let name = text.get(at..end).unwrap_or_default();
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    let literal = |end| Token { kind: Kind::Literal { escapes: false }, end };
    if is(b"true") || is(b"false") {
        return literal(end);
    }
    if dialect.has_money() && has_currency(name) {
        return literal(number_end(text, at));
    }
    let quote = if is(b"u") { word(text, end, b"&'") } else { word(text, end, b"'") };
    match quote {
        Some(string) if is(b"e") && dialect.has_escape_strings() => {
            Token { kind: Kind::Literal { escapes: true }, end: escaped_end(text, string) }
        }
        Some(string) if dialect.has_chosen_quotes() && (is(b"q") || is(b"nq")) => literal(chosen_end(text, string)),
        // `_utf8'…'` names the character set.
        Some(string) if is(b"e") || is(b"n") || is(b"b") || is(b"x") || is(b"u") || name.starts_with(b"_") => {
            literal(quoted_end(text, string.saturating_sub(1), b'\'', dialect))
        }
        _ => Token { kind: Kind::Word, end },
    }
}

/// Whether it is an amount with the sign of a currency, of those of Latin-1 and those next to the euro's.
fn has_currency(name: &[u8]) -> bool {
    match name {
        [0xc2, 0xa2..=0xa5, digit, ..] | [0xe2, 0x82 | 0x83, _, digit, ..] => digit.is_ascii_digit(),
        _ => false,
    }
}

/// A name between quotes; one without an end may be anything.
fn quoted_name(text: &[u8], start: usize, quote: u8) -> Token {
    let mut at = start;
    loop {
        let end = run(text, at, |byte| byte != quote);
        let Some(behind) = one(text, end, |byte| byte == quote) else {
            return Token { kind: Kind::Literal { escapes: false }, end };
        };
        match one(text, behind, |byte| byte == quote) {
            Some(doubled) => at = doubled,
            None => return Token { kind: Kind::Word, end: behind },
        }
    }
}

/// Whether double quotes that have an end begin at `at`.
pub(super) fn is_name_in_double_quotes(text: &[u8], at: usize) -> bool {
    byte(text, at) == Some(b'"') && quoted_name(text, at.saturating_add(1), b'"').kind == Kind::Word
}

/// Behind a string that begins at `start` with a quote, or with three where the dialect may have that.
fn quoted_end(text: &[u8], start: usize, quote: u8, dialect: Dialect) -> usize {
    let end = string_end(text, start.saturating_add(1), quote, dialect.backslash());
    let three = [quote; 3];
    let inside = if dialect.has_triple_quotes() { word(text, start, &three) } else { None };
    let length = inside.and_then(|inside| from(text, inside).windows(3).position(|part| part == three));
    match inside.zip(length) {
        // Where both readings do not end in the same place, the meaning of every quote behind it would be a guess.
        Some((inside, length)) if inside.saturating_add(length).saturating_add(3) != end => text.len(),
        _ => end,
    }
}

/// Behind a string, of which the text up to `start` is its beginning. The quote is doubled inside of it.
fn string_end(text: &[u8], start: usize, quote: u8, backslash: Backslash) -> usize {
    let mut at = start;
    loop {
        at = run(text, at, |byte| byte != quote && byte != b'\\');
        let backslashes_end = run(text, at, |byte| byte == b'\\');
        let is_odd = backslashes_end.wrapping_sub(at) & 1 == 1;
        at = backslashes_end;
        match byte(text, at) {
            None => return at,
            Some(_) if is_odd && backslash == Backslash::Escapes => at = at.saturating_add(1),
            // Behind it the meaning of every quote would be a guess.
            Some(next) if is_odd && backslash == Backslash::Unknown && next == quote => return text.len(),
            Some(next) if next == quote => {
                at = at.saturating_add(1);
                match one(text, at, |byte| byte == quote) {
                    Some(doubled) => at = doubled,
                    None => return at,
                }
            }
            Some(_) => {}
        }
    }
}

/// Behind a string with escapes.
fn escaped_end(text: &[u8], start: usize) -> usize {
    string_end(text, start, b'\'', Backslash::Escapes)
}

/// Behind `q'[…]'`, whose quotes anyone may choose; `start` is behind the apostrophe.
fn chosen_end(text: &[u8], start: usize) -> usize {
    let Some(open) = byte(text, start) else { return text.len() };
    let close = match open {
        b'[' => b']',
        b'(' => b')',
        b'{' => b'}',
        b'<' => b'>',
        other => other,
    };
    let inside = start.saturating_add(1);
    let length = from(text, inside).windows(2).position(|pair| pair == [close, b'\'']);
    length.map_or(text.len(), |length| inside.saturating_add(length).saturating_add(2))
}

/// Behind a number: digits in any base, a fraction, an exponent, and what sticks to them.
fn number_end(text: &[u8], at: usize) -> usize {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || !byte.is_ascii();
    let end = run(text, at, is_part);
    let digits = text.get(at..end).unwrap_or_default();
    let is_hexadecimal = matches!(digits, [b'0', b'x' | b'X', ..]);
    let has_exponent = !is_hexadecimal && matches!(digits, [.., b'e' | b'E']);
    match one(text, end, |byte| has_exponent && matches!(byte, b'-' | b'+')) {
        Some(exponent) if byte(text, exponent).is_some_and(|byte| byte.is_ascii_digit()) => run(text, exponent, is_part),
        _ => end,
    }
}

/// A string between dollars, a placeholder, an amount of money, or a name.
fn dollar(text: &[u8], at: usize, dialect: Dialect) -> Token {
    let next = at.saturating_add(1);
    let literal = |end| Token { kind: Kind::Literal { escapes: false }, end };
    let starts_with_digit = byte(text, next).is_some_and(|byte| byte.is_ascii_digit());
    if starts_with_digit {
        return match number_of_mark(text, next) {
            Some(end) if !dialect.has_money() => Token { kind: Kind::Word, end },
            _ => literal(number_end(text, next)),
        };
    }
    let tag_end = run(text, next, |byte| byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii());
    match one(text, tag_end, |byte| byte == b'$') {
        Some(body) if dialect.has_dollar_quotes() => {
            let tag = text.get(at..body).unwrap_or_default();
            literal(end_of_tagged(text, body, tag))
        }
        _ => Token { kind: Kind::Word, end: name_end(text, next, dialect) },
    }
}

/// Behind the next `$tag$`. Only dollars are looked at, so that many of them cost no more than others.
fn end_of_tagged(text: &[u8], start: usize, tag: &[u8]) -> usize {
    let mut at = start;
    loop {
        at = run(text, at, |byte| byte != b'$');
        if at >= text.len() {
            return at;
        }
        if let Some(end) = word_exactly(text, at, tag) {
            return end;
        }
        at = at.saturating_add(1);
    }
}

fn word_exactly(text: &[u8], at: usize, tag: &[u8]) -> Option<usize> {
    from(text, at).starts_with(tag).then(|| at.saturating_add(tag.len()))
}

/// Behind the number of a placeholder.
fn number_of_mark(text: &[u8], at: usize) -> Option<usize> {
    let end = run(text, at, |byte| byte.is_ascii_digit());
    let digits = end.wrapping_sub(at);
    let goes_on = byte(text, end).is_some_and(|byte| begins_name(byte) || byte == b'.');
    ((1..=MARK_DIGITS).contains(&digits) && !goes_on).then_some(end)
}

fn is_dash_comment(text: &[u8], at: usize, dialect: Dialect) -> bool {
    match from(text, at) {
        [b'-', b'-', after, ..] => !dialect.dash_comment_needs_blank() || *after <= b' ',
        rest => rest == b"--",
    }
}

/// A comment up to the end of its line. Where that is not known to be one (`#` and `--` are operators elsewhere), quotes in it may
/// open a string: behind them the meaning of everything would be a guess.
fn line_comment(text: &[u8], at: usize, dialect: Dialect) -> Token {
    let end = line_end(text, at);
    let is_sure = dialect != Dialect::Unknown || is_dash_comment(text, at, Dialect::MySql);
    let said = text.get(at..end).unwrap_or_default();
    if !is_sure && said.iter().any(|byte| matches!(byte, b'\'' | b'"' | b'`' | b'$')) {
        return Token { kind: Kind::Literal { escapes: false }, end: text.len() };
    }
    Token { kind: Kind::Comment, end }
}

/// Behind a UUID that stands for itself, as in CQL; elsewhere nothing is written so.
fn uuid_end(text: &[u8], at: usize) -> Option<usize> {
    const LENGTH: usize = 36;
    let end = at.saturating_add(LENGTH);
    let is_whole = !byte(text, end).is_some_and(|byte| begins_name(byte) || byte.is_ascii_digit());
    let is_uuid = byte(text, at.saturating_add(8)) == Some(b'-')
        && text.get(at..end)?.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    (is_uuid && is_whole).then_some(end)
}

fn line_end(text: &[u8], at: usize) -> usize {
    run(text, at, |byte| byte != b'\n')
}

/// Behind a comment that begins at `start`.
fn comment_end(text: &[u8], start: usize, dialect: Dialect) -> usize {
    let mut at = start.saturating_add(2);
    let mut depth = 1usize;
    while depth > 0 {
        at = run(text, at, |byte| !matches!(byte, b'*' | b'/'));
        match (byte(text, at), byte(text, at.saturating_add(1))) {
            (None, _) => return text.len(),
            (Some(b'*'), Some(b'/')) => {
                depth = depth.saturating_sub(1);
                at = at.saturating_add(2);
            }
            (Some(b'/'), Some(b'*')) if dialect.nests_comments() => {
                depth = depth.saturating_add(1);
                at = at.saturating_add(2);
            }
            _ => at = at.saturating_add(1),
        }
    }
    at
}
