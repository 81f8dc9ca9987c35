//! Literals in SQL: every one becomes `?`, and the text stays as it is otherwise.
//!
//! Literals are strings of all spellings, numbers, truth values, and binary and hexadecimal values; `NULL` says nothing
//! and stays, as do names, keywords and placeholders (`?`, `$1`, `:name`, `@p`, `%s`). Comments go, lists of literals
//! behind `IN` become one literal. This is what OpenTelemetry asks of `db.query.text`, and what Datadog's Agent does with
//! what it calls a resource.
//!
//! Where texts begin and end depends on the database. In doubt more is hidden: what has no end reaches to the end of the
//! text, and where the database is not known ([`Dialect::Unknown`]), double quotes are taken for those of a string. So they
//! are for SQLite, which takes them for either, but where only a name can stand (`names.rs`).
//!
//! In-process code: no allocation, no reachable panic, time linear in the length.

mod dialect;
mod lexer;
mod names;
mod summary;

pub use dialect::Dialect;
pub use summary::Summary;

use lexer::{Kind, Token, token};
use names::Names;

const LITERAL: &[u8] = b"?";
const SPACE: &[u8] = b" ";

/// SQL without its literals: pieces to write one after the other. None is empty.
#[derive(Clone, Debug)]
pub struct SqlPieces<'a> {
    text: &'a [u8],
    dialect: Dialect,
    at: usize,
    list: List,
    names: Names,
    /// Something was left out that may have kept apart what stands around it.
    gap: bool,
    /// What the last piece was.
    before: Before,
    /// Whether a string with escapes may go on here.
    escapes: Escapes,
    waiting: Option<&'a [u8]>,
}

/// What stands before a gap: of two alike something new could come if they met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Before {
    /// A blank, or nothing.
    Space,
    /// A literal, a name or a keyword.
    Word,
    /// Anything else.
    Other,
}

/// PostgreSQL lets a string go on in the next line; one with escapes goes on with escapes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Escapes {
    No,
    /// Such a string has just ended.
    SameLine,
    /// It has ended in an earlier line.
    NextLine,
}

/// How far into `IN (?, ?)` it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum List {
    Outside,
    In,
    Open,
    /// Behind a literal of the list.
    Item,
}

impl<'a> SqlPieces<'a> {
    /// Scrubs a statement, or several.
    #[must_use]
    pub fn new(text: &'a [u8], dialect: Dialect) -> Self {
        SqlPieces {
            text,
            dialect,
            at: 0,
            list: List::Outside,
            names: Names::new(),
            gap: false,
            before: Before::Space,
            escapes: Escapes::No,
            waiting: None,
        }
    }

    fn token(&self, at: usize) -> Option<Token> {
        token(self.text, at, self.dialect, self.escapes == Escapes::NextLine)
    }

    /// The next token that is neither blank nor a comment.
    fn significant(&self, mut at: usize) -> Option<Token> {
        loop {
            let token = self.token(at)?;
            if !matches!(token.kind, Kind::Space | Kind::Comment) {
                return Some(token);
            }
            at = token.end;
        }
    }

    /// Behind an item of a list that is a literal and nothing else, with or without a sign.
    fn literal_item(&self, at: usize) -> Option<usize> {
        let mut item = self.significant(at)?;
        if matches!(item.kind, Kind::Other(b'-' | b'+')) {
            item = self.significant(item.end)?;
        }
        let next = self.significant(item.end)?;
        (matches!(item.kind, Kind::Literal { .. }) && matches!(next.kind, Kind::Other(b',' | b')'))).then_some(item.end)
    }

    fn list_after(&self, token: &Token, piece: &[u8]) -> List {
        match (self.list, token.kind) {
            (List::Open, Kind::Literal { .. }) => List::Item,
            (List::Open, Kind::Other(b'-' | b'+')) => List::Open,
            (List::In, Kind::Other(b'(')) => List::Open,
            (_, Kind::Word) if piece.eq_ignore_ascii_case(b"in") => List::In,
            _ => List::Outside,
        }
    }
}

impl<'a> Iterator for SqlPieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if let Some(waiting) = self.waiting.take() {
            return Some(waiting);
        }
        loop {
            let token = self.token(self.at)?;
            let token = self.names.read(self.text, self.at, token, self.dialect);
            let original = self.text.get(self.at..token.end)?;
            self.at = token.end;
            if token.kind == Kind::Space && self.escapes == Escapes::SameLine && original.contains(&b'\n') {
                self.escapes = Escapes::NextLine;
            }
            match token.kind {
                Kind::Comment => {
                    self.gap = true;
                    continue;
                }
                Kind::Space if self.gap && self.before == Before::Space => continue,
                Kind::Space => {
                    (self.gap, self.before) = (false, Before::Space);
                    return Some(original);
                }
                Kind::Other(b',') if self.list == List::Item => {
                    if let Some(behind) = self.literal_item(token.end) {
                        self.at = behind;
                        continue;
                    }
                }
                _ => {}
            }
            self.list = self.list_after(&token, original);
            self.escapes = match token.kind {
                Kind::Literal { escapes: true } => Escapes::SameLine,
                _ => Escapes::No,
            };
            let piece = if matches!(token.kind, Kind::Literal { .. }) { LITERAL } else { original };
            let this = if matches!(token.kind, Kind::Other(_)) { Before::Other } else { Before::Word };
            let joint = self.gap && self.before == this;
            (self.gap, self.before) = (false, this);
            if joint {
                self.waiting = Some(piece);
                return Some(SPACE);
            }
            return Some(piece);
        }
    }
}

#[cfg(test)]
mod tests;
