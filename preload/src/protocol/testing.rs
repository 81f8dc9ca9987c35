//! What the tests of all parsers share: streams are fed whole and in pieces, and must tell the same.

use super::{Event, Lost, Parser, Request, Response, Room, Side};
use std::format;
use std::string::String;
use std::vec::Vec;

/// Room in a test.
pub(crate) struct Memory(pub(crate) Vec<u8>, pub(crate) usize);

impl Default for Memory {
    fn default() -> Self {
        Memory(Vec::new(), 16 * 1024)
    }
}

impl Room for Memory {
    fn bytes(&mut self) -> Option<&mut [u8]> {
        self.0.resize(self.1, 0xaa);
        Some(&mut self.0)
    }

    fn release(&mut self) {
        self.0 = Vec::new();
    }
}

/// A parser with what it told, as text.
pub(crate) struct Told {
    parser: Parser,
    rooms: [Memory; 2],
    pub(crate) log: Vec<String>,
    pub(crate) is_lost: bool,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn line(event: Event<'_>) -> String {
    match event {
        Event::Request(Request::Http(head)) => {
            let headers: Vec<_> =
                head.headers.iter().map(|line| format!("{}={}", text(line.name), text(line.value))).collect();
            format!("? {} {} {} {headers:?}", text(head.method), text(head.target), head.minor)
        }
        Event::Response(Response::Http(head)) => {
            let headers: Vec<_> =
                head.headers.iter().map(|line| format!("{}={}", text(line.name), text(line.value))).collect();
            format!("! {} {} {headers:?}", head.status, head.minor)
        }
        Event::Request(Request::Postgres(statement)) => {
            format!("? {}: {}", text(statement.database), text(statement.text))
        }
        Event::Request(Request::Redis(command)) => format!("? {}: {}", text(command.name), text(command.text)),
        Event::Response(Response::Failed(code)) => format!("! {}", text(code)),
        Event::Response(Response::Skipped) => String::from("skipped"),
        Event::End(end) => {
            let how = if end.is_complete { "." } else { "cut" };
            format!("{how} {} {}", end.request_bytes, end.response_bytes)
        }
    }
}

impl Told {
    pub(crate) fn new(parser: Parser) -> Told {
        Told { parser, rooms: [Memory::default(), Memory::default()], log: Vec::new(), is_lost: false }
    }

    pub(crate) fn feed(&mut self, side: Side, bytes: &[u8]) {
        if self.is_lost {
            return;
        }
        let log = &mut self.log;
        let room = &mut self.rooms[side as usize];
        self.is_lost = self.parser.feed(side, bytes, room, &mut |event| log.push(line(event))) == Err(Lost);
    }

    pub(crate) fn skip(&mut self, side: Side, count: u64) {
        let log = &mut self.log;
        self.is_lost |= self.parser.skip(side, count, &mut |event| log.push(line(event))) == Err(Lost);
    }

    pub(crate) fn close(&mut self, side: Side) {
        if !self.is_lost {
            let log = &mut self.log;
            self.parser.closed(side, &mut |event| log.push(line(event)));
        }
    }

    pub(crate) fn has_nothing_gathered(&self) -> bool {
        self.rooms.iter().all(|room| room.0.is_empty())
    }
}

/// What is told of a conversation if each part of it comes in pieces of at most so many bytes; `sizes` is gone through in a
/// circle.
pub(crate) fn told(parser: Parser, conversation: &[(Side, Vec<u8>)], sizes: &[usize]) -> (Vec<String>, bool) {
    let mut told = Told::new(parser);
    let mut sizes = sizes.iter().copied().cycle();
    for (side, bytes) in conversation {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len()));
            told.feed(*side, piece);
            rest = after;
        }
    }
    told.close(Side::Client);
    told.close(Side::Server);
    (told.log, told.is_lost)
}
