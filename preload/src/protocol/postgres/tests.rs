//! What PostgreSQL's protocol says, in any pieces.

use super::super::testing::{Told, told};
use super::super::{Parser, Side};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

const CLIENT: Side = Side::Client;
const SERVER: Side = Side::Server;

fn postgres() -> Parser {
    Parser::Postgres(Postgres::default())
}

fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind][..], &(content.len() as u32 + 4).to_be_bytes(), content].concat()
}

fn untyped(code: u32, content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes()[..], &code.to_be_bytes(), content].concat()
}

fn session() -> Vec<(Side, Vec<u8>)> {
    Vec::from([
        (CLIENT, untyped(SSL_REQUEST, b"")),
        (SERVER, b"N".to_vec()),
        (CLIENT, untyped(196_608, b"user\0me\0database\0shop\0\0")),
        (SERVER, [message(b'R', &[0; 4]), message(b'Z', b"I")].concat()),
    ])
}

fn ask(parts: &[(u8, &[u8])]) -> (Side, Vec<u8>) {
    (CLIENT, parts.iter().flat_map(|(kind, content)| message(*kind, content)).collect())
}

fn say(parts: &[(u8, &[u8])]) -> (Side, Vec<u8>) {
    (SERVER, ask(parts).1)
}

fn whole(parts: Vec<(Side, Vec<u8>)>) -> (Vec<String>, bool) {
    let conversation: Vec<_> = session().into_iter().chain(parts).collect();
    let result = told(postgres(), &conversation, &[usize::MAX]);
    for size in [1, 2, 3, 5, 8, 100] {
        assert_eq!(told(postgres(), &conversation, &[size]), result, "in pieces of {size}");
    }
    result
}

#[track_caller]
fn tells(parts: Vec<(Side, Vec<u8>)>, expected: &[&str]) {
    assert_eq!(whole(parts), (expected.iter().map(|line| String::from(*line)).collect(), false));
}

const ERROR: &[u8] = b"SERROR\0C42P01\0Mno such table\0\0";

#[test]
fn simple_queries_and_errors() {
    tells(
        Vec::from([
            ask(&[(b'Q', b"SELECT 1; SELECT 2\0")]),
            say(&[(b'T', b"x"), (b'D', b"SELECT"), (b'C', b"SELECT 1\0"), (b'C', b"SELECT 1\0"), (b'Z', b"I")]),
            ask(&[(b'Q', b"SELECT * FROM none\0")]),
            say(&[(b'E', ERROR), (b'Z', b"I")]),
            ask(&[(b'X', b"")]),
        ]),
        &["? shop: SELECT 1; SELECT 2", ". 0 0", "? shop: SELECT * FROM none", "! 42P01", ". 0 0"],
    );
}

#[test]
fn prepared_statements_and_pipelines() {
    tells(
        Vec::from([
            ask(&[
                (b'P', b"\0SELECT $1\0\0\0"),
                (b'B', b"\0\0\0\0"),
                (b'D', b"P\0"),
                (b'E', b"\0\0\0\0\0"),
                (b'S', b""),
            ]),
            say(&[(b'1', b""), (b'2', b""), (b'T', b"x"), (b'D', b"x"), (b'C', b"SELECT 1\0"), (b'Z', b"I")]),
            ask(&[(b'P', b"one\0SELECT 1\0\0\0"), (b'P', b"two\0SELECT 2\0\0\0"), (b'S', b"")]),
            say(&[(b'1', b""), (b'1', b""), (b'Z', b"I")]),
            ask(&[
                (b'B', b"\0two\0"),
                (b'E', b"\0\0\0\0\0"),
                (b'B', b"\0one\0"),
                (b'E', b"\0\0\0\0\0"),
                (b'B', b"\0gone\0"),
                (b'E', b"\0\0\0\0\0"),
                (b'S', b""),
                (b'Q', b"COMMIT\0"),
            ]),
            say(&[
                (b'2', b""),
                (b's', b""),
                (b'2', b""),
                (b'E', ERROR),
                (b'Z', b"E"),
                (b'C', b"ROLLBACK\0"),
                (b'Z', b"I"),
            ]),
        ]),
        &[
            "? shop: SELECT $1",
            ". 0 0",
            "? shop: SELECT 2",
            "? shop: SELECT 1",
            "? shop: ",
            "? shop: COMMIT",
            ". 0 0",
            "! 42P01",
            ". 0 0",
            "skipped",
            "cut 0 0",
            ". 0 0",
        ],
    );
}

#[test]
fn a_long_pipeline_is_told_as_far_as_there_is_room() {
    let (log, is_lost) = whole(Vec::from([
        ask(&[(b'E', &b"\0\0\0\0\0"[..]); 1500]),
        ask(&[(b'S', b"")]),
        say(&[(b'C', &b"INSERT 0 1\0"[..]); 1500]),
        say(&[(b'Z', b"I")]),
        ask(&[(b'Q', b"COMMIT\0")]),
        say(&[(b'C', b"COMMIT\0"), (b'Z', b"I")]),
    ]));
    assert!(!is_lost);
    assert_eq!(log.len(), 2 * (MOST_PIPELINED + 1));
    assert_eq!(log[log.len() - 2..], ["? shop: COMMIT", ". 0 0"]);
}

#[test]
fn long_statements_are_seen_in_part_and_many_are_forgotten() {
    let long = [&b"SELECT '"[..], &[b'x'; 9000], b"'\0"].concat();
    let (log, is_lost) = whole(Vec::from([ask(&[(b'Q', &long)]), say(&[(b'Z', b"I")])]));
    assert!(!is_lost && log[0].len() == "? shop: ".len() + MOST_SEEN);
    let mut told = Told::new(postgres());
    for (side, bytes) in session() {
        told.feed(side, &bytes);
    }
    for number in 0..100 {
        let name = std::format!("statement{number}");
        let text = std::format!("SELECT {number} {}", "x".repeat(500));
        told.feed(CLIENT, &message(b'P', std::format!("{name}\0{text}\0").as_bytes()));
        told.feed(CLIENT, &message(b'B', std::format!("\0{name}\0").as_bytes()));
        told.feed(CLIENT, &message(b'E', b"\0\0\0\0\0"));
        told.feed(SERVER, &message(b'C', b"SELECT 1\0"));
        assert_eq!(told.log.drain(..).next(), Some(std::format!("? shop: {text}")));
    }
    assert!(!told.is_lost);
}

#[test]
fn what_is_encrypted_or_something_else_is_left_alone() {
    let mut conversation = Vec::from([(CLIENT, untyped(SSL_REQUEST, b"")), (SERVER, b"S".to_vec())]);
    conversation.push((CLIENT, b"\x16\x03\x01\x02\0\x01".to_vec()));
    conversation.extend(session());
    assert_eq!(told(postgres(), &conversation, &[1]), (Vec::new(), false));
    let conversation = [(CLIENT, untyped(SSL_REQUEST, b"")), (SERVER, b"E".to_vec())];
    assert_eq!(told(postgres(), &conversation, &[1]), (Vec::new(), true));
    for start in [&b"\0\0\0\x01"[..], b"\0\0\0\x08\0\0\0\0", b"\0\x01\0\0\0\x03\0\0"] {
        assert!(told(postgres(), &[(CLIENT, start.to_vec())], &[usize::MAX]).1, "{start:?}");
    }
    assert!(whole(Vec::from([(CLIENT, message(3, b"x"))])).1);
}

proptest! {
    #[test]
    fn any_messages_are_survived(
        parts in vec((any::<bool>(), vec((any::<u8>(), vec(any::<u8>(), 0..30)), 0..4)), 0..8),
        noise in vec(any::<u8>(), 0..20),
        sizes in vec(1..30usize, 1..5),
    ) {
        let parts = parts.into_iter().map(|(client, messages)| {
            let bytes = messages.iter().flat_map(|(kind, content)| {
                let kind = b"QPBESXTDCEZ12s"[usize::from(*kind) % 14];
                message(kind, content)
            });
            (if client { CLIENT } else { SERVER }, bytes.collect())
        });
        let mut conversation: Vec<_> = session().into_iter().chain(parts).collect();
        conversation.push((CLIENT, noise.clone()));
        conversation.push((SERVER, noise));
        prop_assert_eq!(told(postgres(), &conversation, &sizes), told(postgres(), &conversation, &[usize::MAX]));
    }
}
