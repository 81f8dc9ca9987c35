//! What Redis's protocol says, in any pieces.

use super::super::testing::{Told, told};
use super::super::{Parser, Side};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::format;
use std::string::String;
use std::vec::Vec;

const CLIENT: Side = Side::Client;
const SERVER: Side = Side::Server;

fn redis() -> Parser {
    Parser::Redis(Redis::default())
}

fn command(words: &[&str]) -> String {
    let words: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{words}", words.matches('$').count())
}

fn whole(conversation: &[(Side, String)]) -> (Vec<String>, bool) {
    let conversation: Vec<_> = conversation.iter().map(|(side, text)| (*side, text.clone().into_bytes())).collect();
    let result = told(redis(), &conversation, &[usize::MAX]);
    for size in 1..6 {
        assert_eq!(told(redis(), &conversation, &[size]), result, "in pieces of {size}");
    }
    result
}

#[test]
fn commands_and_answers_of_all_kinds() {
    let ask = |words: &[&str]| (CLIENT, command(words));
    let say = |text: &str| (SERVER, String::from(text));
    let (log, is_lost) = whole(&[
        ask(&["SET", "key", "secret"]),
        say("+OK\r\n"),
        ask(&["hgetall", "key"]),
        say("%2\r\n+a\r\n:1\r\n$1\r\nb\r\n*2\r\n_\r\n#t\r\n"),
        ask(&["GET", "none"]),
        say("$-1\r\n"),
        ask(&["LPUSH", "a", "b"]),
        say("-WRONGTYPE Operation against a key\r\n"),
        ask(&["AUTH", "user", "password"]),
        say("!21\r\nSYNTAX invalid syntax\r\n"),
        ask(&["MGET", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]),
        say(">2\r\n+message\r\n+x\r\n|1\r\n+ttl\r\n:3\r\n*0\r\n"),
        ask(&["PING"]),
        say("+PONG\r\n"),
    ]);
    assert!(!is_lost);
    assert_eq!(
        log,
        [
            "? SET: SET key ?",
            ". 0 0",
            "? hgetall: hgetall key",
            ". 0 0",
            "? GET: GET none",
            ". 0 0",
            "? LPUSH: LPUSH a ?",
            "! WRONGTYPE",
            ". 0 0",
            "? AUTH: AUTH ? ?",
            "! SYNTAX",
            ". 0 0",
            "? MGET: MGET 1 ? ? ? ? ? ? ...",
            ". 0 0",
            "? PING: PING",
            ". 0 0",
        ]
    );
}

#[test]
fn a_long_pipeline_is_told_whole() {
    let many = 100;
    let (log, is_lost) = whole(&[
        (CLIENT, command(&["INCR", "a"]).repeat(many)),
        (SERVER, ":1\r\n".repeat(many)),
        (CLIENT, command(&["GET", "a"])),
        (SERVER, "$1\r\n1\r\n".into()),
    ]);
    assert!(!is_lost);
    assert_eq!(log.len(), 2 * (many + 1));
    assert_eq!(log[log.len() - 2..], ["? GET: GET a", ". 0 0"]);
}

#[test]
fn what_has_no_answers_in_order_is_left_alone() {
    for words in [&["SUBSCRIBE", "a"][..], &["monitor"], &["CLIENT", "REPLY", "OFF"], &["x".repeat(40).as_str()]] {
        assert!(whole(&[(CLIENT, command(words))]).1, "{words:?}");
    }
    for text in ["PING\r\n", "*a\r\n", "*1\r\n+x\r\n", "*1\r\n$-5\r\n"] {
        assert!(whole(&[(CLIENT, text.into())]).1, "{text:?}");
    }
    for text in ["?\r\n", "$?\r\n", "+unasked\r\n", "*9999999999999\r\n"] {
        assert!(whole(&[(SERVER, text.into())]).1, "{text:?}");
    }
    let mut told = Told::new(redis());
    told.feed(CLIENT, command(&["GET", "a"]).as_bytes());
    told.close(SERVER);
    assert_eq!(told.log, ["? GET: GET a", "cut 0 0"]);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        parts in vec((any::<bool>(), "[*$+:>%|!a-c0-3\r\n-]{0,40}"), 0..10),
        sizes in vec(1..9usize, 1..4),
    ) {
        let start = [(CLIENT, command(&["GET", "a"]).into_bytes())];
        let parts = parts.into_iter().map(|(client, text)| (if client { CLIENT } else { SERVER }, text.into_bytes()));
        let conversation: Vec<_> = start.into_iter().chain(parts).collect();
        prop_assert_eq!(told(redis(), &conversation, &sizes), told(redis(), &conversation, &[usize::MAX]));
    }
}
