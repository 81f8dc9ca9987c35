//! Where SQLite takes what stands between double quotes for a name, and for nothing else.
//!
//! It takes `"a"` for a string where it stands for a value and nothing is called so. It never does next to a dot, directly
//! behind a word that a table follows, or among the columns of an `INSERT`. Only what is surely in such a place is one here: a
//! dot touches both of its names, and a column is followed by a comma or by the end of the list.

use super::Dialect;
use super::lexer::{Kind, Token, is_name_in_double_quotes, token};
use crate::scrub::cursor::byte;

/// What has been read so far, as far as it says what the next token can be. It is told of every token, in order.
#[derive(Clone, Debug)]
pub(super) struct Names {
    expects: Expects,
    /// The last token that is neither blank nor a comment, and the one before it.
    last: Last,
    last_but_one: Last,
    /// The dot that has just been read, or its place if one comes: behind a name that it touches.
    dot: Dot,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expects {
    /// Anything.
    Any,
    /// A table.
    Table,
    /// A table, or `IF NOT EXISTS` before it.
    TableIf,
    /// The table of an `INSERT`.
    Inserted,
    /// The columns of an `INSERT`, in parentheses.
    Columns,
    /// One of them.
    Column,
    /// The comma behind one, or the end.
    Comma,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Last {
    Distinct,
    Insert,
    Or,
    Replace,
    /// What may be done about a conflict, beside that.
    Conflict,
    Word,
    /// No word.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Dot {
    No,
    /// A name has just ended.
    MayCome,
    /// A dot that touches a name has just been read.
    Read,
}

impl Names {
    pub(super) const fn new() -> Names {
        Names { expects: Expects::Any, last: Last::Other, last_but_one: Last::Other, dot: Dot::No }
    }

    /// The token that begins at `at`, as it is to be read.
    pub(super) fn read(&mut self, text: &[u8], at: usize, token: Token, dialect: Dialect) -> Token {
        // No connection has statements of SQLite, and what is in every process is small: there, more would be hidden.
        if cfg!(not(feature = "std")) || dialect != Dialect::Sqlite {
            return token;
        }
        if matches!(token.kind, Kind::Space | Kind::Comment) {
            self.dot = Dot::No;
            return token;
        }
        let is_name = match token.kind {
            Kind::Literal { .. } => is_name_in_double_quotes(text, at) && self.is_place_of_name(text, token.end),
            Kind::Word => byte(text, at).is_some_and(|first| !matches!(first, b':' | b'@' | b'$' | b'?')),
            _ => false,
        };
        let kind = if is_name { Kind::Word } else { token.kind };
        let word = text.get(at..token.end).unwrap_or_default();
        let is_keyword = is_name && token.kind == Kind::Word && self.dot != Dot::Read;
        let this = match kind {
            Kind::Word if is_keyword => last(word),
            Kind::Word => Last::Word,
            _ => Last::Other,
        };
        self.expects = self.expects_after(kind, if is_keyword { word } else { b"" });
        self.dot = match kind {
            Kind::Word if is_name => Dot::MayCome,
            Kind::Other(b'.') if self.dot == Dot::MayCome => Dot::Read,
            _ => Dot::No,
        };
        (self.last_but_one, self.last) = (self.last, this);
        Token { kind, ..token }
    }

    /// Whether double quotes are around a name that ends at `end`.
    fn is_place_of_name(&self, text: &[u8], end: usize) -> bool {
        match self.expects {
            Expects::Table | Expects::TableIf | Expects::Inserted => return true,
            Expects::Column if ends_column(text, end) => return true,
            _ => {}
        }
        self.dot == Dot::Read || is_dot_before_name(text, end)
    }

    fn expects_after(&self, kind: Kind, keyword: &[u8]) -> Expects {
        let is = |other: &[u8]| keyword.eq_ignore_ascii_case(other);
        match (self.expects, kind) {
            (Expects::Columns, Kind::Other(b'(')) | (Expects::Comma, Kind::Other(b',')) => Expects::Column,
            (Expects::Column, Kind::Word) => Expects::Comma,
            (Expects::Inserted, Kind::Word) => Expects::Columns,
            (Expects::Columns, Kind::Other(b'.')) if self.dot == Dot::MayCome => Expects::Inserted,
            (Expects::TableIf, Kind::Word) if is(b"if") || is(b"not") || is(b"exists") => Expects::TableIf,
            (_, Kind::Word) if is(b"from") && self.last != Last::Distinct => Expects::Table,
            (_, Kind::Word) if is(b"join") || is(b"update") => Expects::Table,
            (_, Kind::Word) if is(b"table") => Expects::TableIf,
            (_, Kind::Word) if is(b"into") && self.is_insert() => Expects::Inserted,
            _ => Expects::Any,
        }
    }

    /// Whether what has been read is `INSERT`, with or without what is to be done about a conflict: it is a file that follows
    /// `VACUUM INTO`.
    fn is_insert(&self) -> bool {
        match self.last {
            Last::Insert => true,
            Last::Conflict => self.last_but_one == Last::Or,
            Last::Replace => matches!(self.last_but_one, Last::Or | Last::Other),
            _ => false,
        }
    }
}

fn last(word: &[u8]) -> Last {
    let is = |other: &[u8]| word.eq_ignore_ascii_case(other);
    match () {
        () if is(b"distinct") => Last::Distinct,
        () if is(b"insert") => Last::Insert,
        () if is(b"or") => Last::Or,
        () if is(b"replace") => Last::Replace,
        () if is(b"ignore") || is(b"abort") || is(b"fail") || is(b"rollback") => Last::Conflict,
        () => Last::Word,
    }
}

/// Whether a dot with a name behind it stands here.
fn is_dot_before_name(text: &[u8], at: usize) -> bool {
    let next = at.saturating_add(1);
    byte(text, at) == Some(b'.')
        && match byte(text, next) {
            Some(b'*') => true,
            Some(b'"') => is_name_in_double_quotes(text, next),
            Some(b':' | b'@' | b'$' | b'?') | None => false,
            Some(_) => token(text, next, Dialect::Sqlite, false).is_some_and(|token| token.kind == Kind::Word),
        }
}

/// Whether a column of a list ends here.
fn ends_column(text: &[u8], mut at: usize) -> bool {
    while let Some(token) = token(text, at, Dialect::Sqlite, false) {
        match token.kind {
            Kind::Space | Kind::Comment => at = token.end,
            kind => return matches!(kind, Kind::Other(b',' | b')')),
        }
    }
    false
}
