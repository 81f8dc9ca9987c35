//! SQL: the first byte chooses the dialect, the rest is the statement.
#![no_main]

use ddtrace::scrub::sql::{Dialect, SqlPieces};
use libfuzzer_sys::fuzz_target;

const DIALECTS: [Dialect; 8] = [
    Dialect::Unknown,
    Dialect::Standard,
    Dialect::Extended,
    Dialect::PostgreSql,
    Dialect::MySql,
    Dialect::SqlServer,
    Dialect::Oracle,
    Dialect::Sqlite,
];

fuzz_target!(|data: &[u8]| {
    let Some((choice, statement)) = data.split_first() else { return };
    let dialect = DIALECTS[usize::from(*choice) % DIALECTS.len()];
    let pieces: Vec<&[u8]> = SqlPieces::new(statement, dialect).collect();
    assert!(pieces.iter().all(|piece| !piece.is_empty()));
    let shown = pieces.concat();
    // Where SQLite may take what is in double quotes for a value it is hidden, whatever follows.
    if dialect == Dialect::Sqlite {
        let value = [b"SELECT a IS DISTINCT FROM \"s3cret\", \"s3cret\" ", statement].concat();
        let shown = SqlPieces::new(&value, dialect).collect::<Vec<_>>().concat();
        assert!(shown.starts_with(b"SELECT a IS DISTINCT FROM ?, ? "), "{:?}", String::from_utf8_lossy(&shown));
    }
    // A comment may become a blank, a literal a question mark.
    assert!(shown.len() <= statement.len() + pieces.len());
    if let Ok(statement) = std::str::from_utf8(statement) {
        assert!(std::str::from_utf8(&shown).is_ok(), "{statement:?} is cut within a character");
    }
    // What is shown is the original with parts replaced, in order.
    let mut rest = statement;
    for piece in pieces.iter().filter(|piece| statement.as_ptr_range().contains(&piece.as_ptr())) {
        let at = piece.as_ptr() as usize - rest.as_ptr() as usize;
        rest = &rest[at + piece.len()..];
    }
});
