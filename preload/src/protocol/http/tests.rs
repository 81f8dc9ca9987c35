use super::super::testing::{Memory, Told, told};
use super::super::{Parser, Side};
use super::{Http, Lines, MAX_HEAD, RequestHead, ResponseHead};
use proptest::collection::vec;
use proptest::prelude::*;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec as list};

const CLIENT: Side = Side::Client;
const SERVER: Side = Side::Server;

fn http() -> Parser {
    Parser::Http(Http::default())
}

fn whole(conversation: &[(Side, &str)]) -> (Vec<String>, bool) {
    let conversation: Vec<_> = conversation.iter().map(|(side, text)| (*side, text.as_bytes().to_vec())).collect();
    let result = told(http(), &conversation, &[usize::MAX]);
    for size in 1..9 {
        assert_eq!(told(http(), &conversation, &[size]), result, "in pieces of {size}");
    }
    result
}

#[track_caller]
fn tells(conversation: &[(Side, &str)], expected: &[&str]) {
    let (log, is_lost) = whole(conversation);
    assert_eq!(log, expected);
    assert!(!is_lost);
}

const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n";
const GOT: &str = "? GET /a?b=c 1 [\"Host=x\"]";

#[test]
fn keep_alive_and_bodies_of_known_length() {
    tells(
        &[
            (CLIENT, GET),
            (SERVER, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
            (CLIENT, "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"),
            (SERVER, "HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n"),
            (CLIENT, "GET / HTTP/1.0\n\n"),
            (SERVER, "HTTP/1.0 200\n\nto the end"),
        ],
        &[
            GOT,
            "! 200 1 [\"Content-Length=5\"]",
            ". 0 5",
            "? POST / 1 [\"Content-Length=3\"]",
            "! 404 1 [\"content-length=0\"]",
            ". 3 0",
            "? GET / 0 []",
            "! 200 0 []",
            ". 0 10",
        ],
    );
}

#[test]
fn chunked_bodies_both_ways() {
    tells(
        &[
            (
                CLIENT,
                "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
            ),
            (
                SERVER,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n1\r\na\r\n0\r\nTrailer: 1\r\n\r\n",
            ),
            (CLIENT, GET),
            (SERVER, "HTTP/1.1 204 No Content\r\n\r\n"),
        ],
        &[
            "? PUT / 1 [\"Transfer-Encoding=gzip, chunked\"]",
            "! 200 1 [\"Transfer-Encoding=chunked\", \"Content-Length=7\"]",
            ". 13 1",
            GOT,
            "! 204 1 []",
            ". 0 0",
        ],
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    tells(
        &[
            (CLIENT, "GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\n\r\nGET /3 HTTP/1.1\r\n\r\n"),
            (SERVER, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
            (SERVER, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
        ],
        &[
            "? GET /1 1 []",
            "? HEAD /2 1 []",
            "? GET /3 1 []",
            "! 200 1 [\"Content-Length=1\"]",
            ". 0 1",
            "! 200 1 [\"Content-Length=100\"]",
            ". 0 0",
            "! 304 1 [\"Content-Length=9\"]",
            ". 0 0",
        ],
    );
}

#[test]
fn informational_answers_come_before_the_answer() {
    tells(
        &[
            (CLIENT, "POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"),
            (SERVER, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
            (CLIENT, "ab"),
            (SERVER, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
        ],
        &["? POST / 1 [\"Content-Length=2\", \"Expect=100-continue\"]", "! 201 1 [\"Content-Length=0\"]", ". 2 0"],
    );
}

#[test]
fn after_an_upgrade_or_connect_nothing_is_looked_at() {
    tells(
        &[
            (CLIENT, "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
            (SERVER, "HTTP/1.1 101 Switching Protocols\r\n\r\n\0\x01GET / HTTP/1.1\r\n\r\n"),
            (CLIENT, "\0\x02"),
        ],
        &["? GET / 1 [\"Upgrade=websocket\", \"Connection=upgrade\"]", "! 101 1 []", ". 0 0"],
    );
    tells(
        &[
            (CLIENT, "CONNECT x:443 HTTP/1.1\r\n\r\n"),
            (SERVER, "HTTP/1.1 200 Connection established\r\n\r\n\x16\x03"),
            (CLIENT, "\x16\x03"),
        ],
        &["? CONNECT x:443 1 []", "! 200 1 []", ". 0 0"],
    );
    // A server that refuses goes on with HTTP.
    tells(
        &[
            (CLIENT, "CONNECT x:443 HTTP/1.1\r\n\r\n"),
            (SERVER, "HTTP/1.1 407 No\r\nContent-Length: 1\r\n\r\nx"),
            (CLIENT, GET),
        ],
        &["? CONNECT x:443 1 []", "! 407 1 [\"Content-Length=1\"]", ". 0 1", GOT, "cut 0 0"],
    );
}

#[test]
fn an_answer_may_come_before_the_request_is_complete() {
    tells(
        &[
            (CLIENT, "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"),
            (SERVER, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"),
            (CLIENT, "cde"),
            (CLIENT, GET),
            (SERVER, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            "? POST / 1 [\"Content-Length=5\"]",
            "! 413 1 [\"Content-Length=0\"]",
            ". 2 0",
            GOT,
            "! 200 1 [\"Content-Length=0\"]",
            ". 0 0",
        ],
    );
}

#[test]
fn what_is_cut_off_says_so() {
    tells(
        &[(CLIENT, GET), (SERVER, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")],
        &[GOT, "! 200 1 [\"Content-Length=10\"]", "cut 0 3"],
    );
    tells(&[(CLIENT, GET)], &[GOT, "cut 0 0"]);
}

#[test]
fn what_is_no_http_is_left_alone() {
    for stream in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "EHLO example.org\r\n",
        "GET /\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nBad Name: x\r\n\r\n",
        "GET / HTTP/1.1\r\nNo colon\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nA: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "G\x7fT",
    ] {
        assert_eq!(whole(&[(CLIENT, stream)]), (Vec::new(), true), "{stream:?}");
    }
    for answer in [
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 101 x\r\n\r\n",
    ] {
        assert_eq!(whole(&[(CLIENT, GET), (SERVER, answer)]), (Vec::from([GOT.to_string()]), true), "{answer:?}");
    }
    assert!(whole(&[(SERVER, "HTTP/1.1 408 Timeout\r\n\r\n")]).1, "nobody has asked");
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for bad in ["g\r\n", "\r\n", "1\r\nab\r\n", "10000000000000000\r\n", "0\r\n\rx"] {
        assert!(whole(&[(CLIENT, GET), (SERVER, &format!("{chunks}{bad}"))]).1, "{bad:?}");
    }
}

#[test]
fn a_head_that_is_too_long_is_given_up_at_the_same_place() {
    let long = |length: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(length - 23));
    for (length, is_lost) in [(MAX_HEAD - 1, false), (MAX_HEAD, false), (MAX_HEAD + 1, true), (MAX_HEAD * 3, true)] {
        let conversation = [(CLIENT, long(length).into_bytes())];
        for sizes in [&[usize::MAX][..], &[1000], &[MAX_HEAD - 1], &[1, 7]] {
            let (log, lost) = told(http(), &conversation, sizes);
            assert_eq!((log.len(), lost), (if is_lost { 0 } else { 2 }, is_lost), "{length} bytes in {sizes:?}");
        }
    }
}

#[test]
fn too_many_pipelined_requests_are_given_up() {
    let (log, is_lost) = whole(&[(CLIENT, &GET.repeat(33))]);
    assert!(is_lost && log.len() == 32);
}

#[test]
fn only_counted_bodies_can_be_skipped() {
    let mut told = Told::new(http());
    told.feed(CLIENT, GET.as_bytes());
    told.feed(SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    told.skip(SERVER, 4);
    told.feed(SERVER, b"xx");
    told.skip(SERVER, 4);
    assert_eq!(told.log.last().map(String::as_str), Some(". 0 10"));
    assert!(!told.is_lost);
    told.skip(SERVER, 1);
    assert!(told.is_lost);
}

#[test]
fn room_is_given_back() {
    let mut told = Told::new(http());
    for _ in 0..3 {
        told.feed(CLIENT, &GET.as_bytes()[..10]);
        assert!(!told.has_nothing_gathered());
        told.feed(CLIENT, &GET.as_bytes()[10..]);
        assert!(told.has_nothing_gathered());
    }
    assert_eq!(told.log.len(), 3);
}

/// Where a head begins and ends in what is about to be sent behind `sent`.
fn ahead(sent: &str, next: &str) -> Option<(String, Option<usize>, Option<usize>)> {
    let mut room = Memory::default();
    let mut parser = http();
    parser.feed(CLIENT, sent.as_bytes(), &mut room, &mut |_| {}).unwrap();
    let Parser::Http(parser) = parser else { unreachable!() };
    let ahead = parser.complete_request(next.as_bytes(), &mut room)?;
    let head = String::from_utf8(ahead.head.to_vec()).unwrap();
    Some((head, ahead.place(0), ahead.place(ahead.head.len())))
}

#[test]
fn a_head_is_seen_before_it_is_sent() {
    let length = GET.len();
    assert_eq!(ahead("", GET), Some((GET.to_string(), Some(0), Some(length))));
    assert_eq!(ahead("", &GET[..20]), None);
    let rest = format!("{}body", &GET[20..]);
    assert_eq!(ahead(&GET[..20], &rest), Some((GET.to_string(), None, Some(length - 20))));
}

/// Places are those of what is sent, whatever comes before the head in it.
#[test]
fn what_comes_before_a_head_moves_its_places() {
    let length = GET.len();
    for before in ["\r\n", "\r\n\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY UNKNOWN\r\n\r\n"] {
        let moved = before.len();
        let next = format!("{before}{GET}");
        assert_eq!(ahead("", &next), Some((GET.to_string(), Some(moved), Some(moved + length))), "{before:?}");
        assert_eq!(ahead(before, GET), Some((GET.to_string(), Some(0), Some(length))), "{before:?}");
    }
    let (begun, rest) = ("PROXY TCP4 192.0.2.1 192.0", format!(".2.2 1 2\r\n{GET}"));
    assert_eq!(ahead(begun, &rest), Some((GET.to_string(), Some(10), Some(10 + length))));
}

#[test]
fn what_a_proxy_says_of_its_client_comes_before_the_requests() {
    let answer = (SERVER, "HTTP/1.1 204 No Content\r\n\r\n");
    let proxied = format!("PROXY TCP6 ::1 ::2 65535 80\r\n\r\n{GET}");
    tells(
        &[(CLIENT, &proxied), answer, (CLIENT, GET), answer],
        &[GOT, "! 204 1 []", ". 0 0", GOT, "! 204 1 []", ". 0 0"],
    );
    let binary =
        [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x12\x34\0\x50"[..], GET.as_bytes()].concat();
    let (log, is_lost) = told(http(), &[(CLIENT, binary)], &[usize::MAX]);
    assert_eq!((log, is_lost), (list![GOT.to_string(), "cut 0 0".to_string()], false));
}

/// Messages of which every kind of framing is made.
fn message(is_request: bool) -> impl Strategy<Value = String> {
    let body = "[a-z\r\n]{0,20}";
    let start = if is_request {
        prop_oneof!["(GET|POST|HEAD|CONNECT|M-SEARCH) [/*a-z?=]{1,9} HTTP/1\\.[01]", "[A-Z ]{0,8}[ -~]{0,20}"].boxed()
    } else {
        prop_oneof!["HTTP/1\\.[01] (100|101|200|204|304|404|500)( [a-zA-Z ]{0,8})?", "[ -~]{0,20}"].boxed()
    };
    let lines = vec(prop_oneof!["[A-Za-z-]{1,9}: ?[ -~]{0,9}", Just("Upgrade: x".to_string())], 0..4);
    (start, lines, body, 0..5u8, any::<bool>()).prop_map(|(start, mut lines, body, framing, bare)| {
        let body = match framing {
            0 => String::new(),
            1 => {
                lines.push(format!("Content-Length: {}", body.len()));
                body
            }
            2 => {
                lines.push("Transfer-Encoding: chunked".to_string());
                let chunk = if body.is_empty() { String::new() } else { format!("{:x}\r\n{body}\r\n", body.len()) };
                format!("{chunk}0\r\nX: y\r\n\r\n")
            }
            3 => {
                lines.push("Content-Length: 9".to_string());
                body
            }
            _ => body,
        };
        let end = if bare { "\n" } else { "\r\n" };
        let lines: String = lines.iter().map(|line| format!("{line}{end}")).collect();
        format!("{start}{end}{lines}{end}{body}")
    })
}

fn conversation() -> impl Strategy<Value = Vec<(Side, Vec<u8>)>> {
    let part = any::<bool>().prop_flat_map(|is_request| {
        let side = if is_request { CLIENT } else { SERVER };
        vec(message(is_request), 1..4).prop_map(move |messages| (side, messages.concat().into_bytes()))
    });
    vec(part, 1..8)
}

proptest! {
    #[test]
    fn pieces_tell_the_same_as_the_whole(conversation in conversation(), sizes in vec(1..40usize, 1..12)) {
        let whole = told(http(), &conversation, &[usize::MAX]);
        prop_assert_eq!(told(http(), &conversation, &sizes), whole.clone());
        prop_assert_eq!(told(http(), &conversation, &[1]), whole);
    }

    #[test]
    fn any_bytes_are_survived(parts in vec((any::<bool>(), vec(any::<u8>(), 0..60)), 0..12), sizes in vec(1..9usize, 1..4)) {
        let start = [(CLIENT, GET.as_bytes().to_vec())];
        let parts = parts.into_iter().map(|(client, bytes)| (if client { CLIENT } else { SERVER }, bytes));
        let conversation: Vec<_> = start.into_iter().chain(parts).collect();
        prop_assert_eq!(told(http(), &conversation, &sizes), told(http(), &conversation, &[usize::MAX]));
    }

    #[test]
    fn any_head_is_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let mut lines = Lines::new();
        let _ = (RequestHead::parse(&bytes, &mut lines).is_ok(), ResponseHead::parse(&bytes, &mut lines).is_ok());
    }
}
