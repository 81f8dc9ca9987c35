//! What a statement does, in a few words: operations and what they are about, in order (OpenTelemetry's
//! `db.query.summary`).

use super::Dialect;
use super::lexer::{Kind, Token, token};
use super::names::Names;

/// Words that are operations where a statement begins.
const OPERATIONS: [&[u8]; 51] = [
    b"select", b"insert", b"update", b"delete", b"merge", b"replace", b"upsert", b"create", b"alter", b"drop", b"truncate",
    b"begin", b"start", b"commit", b"rollback", b"savepoint", b"release", b"set", b"show", b"explain", b"copy", b"call",
    b"execute", b"vacuum", b"analyze", b"lock", b"listen", b"notify", b"declare", b"fetch", b"end", b"abort", b"close",
    b"deallocate", b"checkpoint", b"values", b"do", b"prepare", b"reset", b"discard", b"unlisten", b"refresh", b"reindex",
    b"cluster", b"comment", b"grant", b"revoke", b"move", b"use", b"describe", b"pragma",
];

/// What `COPY` names where no table is meant.
const NO_TARGETS: [&[u8]; 3] = [b"stdin", b"stdout", b"program"];


/// Operations that may stand inside of a statement, where the others would be names.
const INNER: [&[u8]; 4] = [b"select", b"insert", b"update", b"delete"];

/// Words that a name follows.
const BEFORE_TARGETS: [&[u8]; 7] = [b"from", b"into", b"join", b"update", b"table", b"call", b"copy"];

/// Words between those and the name.
const SKIPPED: [&[u8]; 7] = [b"only", b"if", b"not", b"exists", b"lateral", b"ignore", b"low_priority"];

/// The words of a summary: pieces of the statement, as they stand there.
#[derive(Clone, Debug)]
pub struct Summary<'a> {
    text: &'a [u8],
    dialect: Dialect,
    at: usize,
    names: Names,
    /// The next word begins a statement.
    begins: bool,
    /// The next name is what the operation is about.
    expects_target: bool,
    /// Names come in a list with commas between.
    in_list: bool,
}

impl<'a> Summary<'a> {
    /// Reads a statement, or several.
    #[must_use]
    pub fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Summary { text, dialect, at: 0, names: Names::new(), begins: true, expects_target: false, in_list: false }
    }
}

fn is_one_of(word: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|other| other.eq_ignore_ascii_case(word))
}

impl<'a> Iterator for Summary<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let start = self.at;
            let found = token(self.text, start, self.dialect, false)?;
            let found = self.names.read(self.text, start, found, self.dialect);
            self.at = found.end;
            let word = self.text.get(start..found.end)?;
            match found.kind {
                Kind::Space | Kind::Comment => {}
                Kind::Literal { .. } => (self.begins, self.expects_target, self.in_list) = (false, false, false),
                Kind::Other(byte) => {
                    self.begins = byte == b';';
                    self.expects_target = byte == b',' && self.in_list;
                    self.in_list = self.expects_target;
                }
                Kind::Word => {
                    let (begins, expects_target) = (self.begins, self.expects_target);
                    let is_operation = (begins && is_one_of(word, &OPERATIONS)) || is_one_of(word, &INNER);
                    if expects_target && is_one_of(word, &SKIPPED) {
                        continue;
                    }
                    self.begins = false;
                    self.expects_target = is_one_of(word, &BEFORE_TARGETS);
                    if expects_target && !is_operation && !is_one_of(word, &NO_TARGETS) {
                        self.in_list = true;
                        self.at = self.end_of_name(found.end);
                        return self.text.get(start..self.at);
                    }
                    if is_operation {
                        self.in_list = false;
                        return Some(word);
                    }
                    // `FROM a x, b`: an alias does not end the list.
                    self.in_list = self.in_list && !is_one_of(word, &[b"where", b"on", b"using", b"set", b"values", b"order", b"group"]);
                }
            }
        }
    }
}

impl Summary<'_> {
    /// Behind a name that may have its schema before it: `a.b`.
    fn end_of_name(&mut self, mut end: usize) -> usize {
        let mut names = self.names.clone();
        while let Some(dot) = self.read(&mut names, end).filter(|token| token.kind == Kind::Other(b'.'))
            && let Some(next) = self.read(&mut names, dot.end).filter(|token| token.kind == Kind::Word)
        {
            end = next.end;
            self.names = names.clone();
        }
        end
    }

    fn read(&self, names: &mut Names, at: usize) -> Option<Token> {
        let token = token(self.text, at, self.dialect, false)?;
        Some(names.read(self.text, at, token, self.dialect))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;

    fn summary(text: &str) -> String {
        summary_of(text, Dialect::PostgreSql)
    }

    fn summary_of(text: &str, dialect: Dialect) -> String {
        let words: Vec<_> = Summary::new(text.as_bytes(), dialect).collect();
        words.iter().map(|word| std::str::from_utf8(word).unwrap()).collect::<Vec<_>>().join(" ")
    }

    /// The first ones are the examples of the convention.
    #[test]
    fn operations_and_their_targets_in_order() {
        for (text, expected) in [
            ("SELECT * FROM wuser_table WHERE username = ?", "SELECT wuser_table"),
            ("INSERT INTO shipping_details (a, b) SELECT a, b FROM orders WHERE c = ?", "INSERT shipping_details SELECT orders"),
            ("SELECT * FROM songs, artists WHERE songs.artist_id = artists.id", "SELECT songs artists"),
            ("SELECT a FROM (SELECT b FROM orders) x JOIN customers ON c = d", "SELECT SELECT orders customers"),
            ("SELECT * FROM \"song list\", 'artists'", "SELECT \"song list\""),
            ("select count(*) from public.users u, \"B\".t", "select public.users \"B\".t"),
            ("UPDATE ONLY accounts SET n = n + 1 WHERE id = $1", "UPDATE accounts"),
            ("delete from t where updated = 1; COMMIT", "delete t COMMIT"),
            ("BEGIN", "BEGIN"),
            ("CREATE TABLE IF NOT EXISTS t (id int)", "CREATE t"),
            ("/* x */ WITH a AS (SELECT 1) SELECT * FROM a", "SELECT SELECT a"),
            ("SELECT 1", "SELECT"),
            ("END", "END"),
            ("copy things from stdin with csv", "copy things"),
            ("INSERT INTO events (start, comment, values) SELECT a, (b) FROM c", "INSERT events SELECT c"),
            ("", ""),
        ] {
            assert_eq!(summary(text), expected, "{text}");
        }
    }

    #[test]
    fn tables_in_double_quotes() {
        for (text, expected) in [
            (r#"SELECT "t"."a" FROM "t" INNER JOIN "main"."u" ON ("t"."a" = "u"."b")"#, r#"SELECT "t" "main"."u""#),
            (r#"INSERT INTO "t" ("a") VALUES ("b")"#, r#"INSERT "t""#),
            (r#"CREATE TABLE IF NOT EXISTS "t" ("a" text)"#, r#"CREATE "t""#),
            (r#"SELECT a IS NOT DISTINCT FROM "s3cret""#, "SELECT"),
            (r#"VACUUM INTO "s3cret""#, "VACUUM"),
        ] {
            assert_eq!(summary_of(text, Dialect::Sqlite), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[a-z(),.;'\" *\n]{0,60}|(select|from|a|,|\\(| |;|'){0,30}") {
            let length: usize = Summary::new(text.as_bytes(), Dialect::Unknown).map(<[u8]>::len).sum();
            prop_assert!(length <= text.len(), "no word is there twice");
        }
    }
}
