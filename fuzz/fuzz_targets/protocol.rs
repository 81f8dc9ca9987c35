//! What goes over a connection: the first byte chooses the protocol, then for each part a byte that says whose it is (its
//! lowest bit) and how long (the rest).
#![no_main]

use ddtrace_preload::protocol::{Event, Parser, Request, Response, Room, Side};
use libfuzzer_sys::fuzz_target;

const ROOM: usize = 16 * 1024;

struct Memory(Box<[u8; ROOM]>);

impl Room for Memory {
    fn bytes(&mut self) -> Option<&mut [u8]> {
        Some(&mut self.0[..])
    }

    fn release(&mut self) {
        // What is not gathered any more must not be looked at.
        self.0.fill(0xaa);
    }
}

fn parts(mut rest: &[u8]) -> Vec<(Side, &[u8])> {
    let mut parts = Vec::new();
    while let Some((head, after)) = rest.split_first() {
        let (part, behind) = after.split_at(usize::from(head >> 1).min(after.len()));
        parts.push((if head & 1 == 0 { Side::Client } else { Side::Server }, part));
        rest = behind;
    }
    parts
}

/// What is told, and whether the parser was lost; each part comes in pieces of at most `size`.
fn told(first: u8, parts: &[(Side, &[u8])], size: usize) -> (Vec<String>, bool) {
    let Some(mut parser) = Parser::recognise(first, false) else { return (Vec::new(), true) };
    let mut rooms = [(); 2].map(|()| Memory(Box::new([0; ROOM])));
    let mut log = Vec::new();
    let (mut begun, mut ended) = (0, 0);
    for (side, part) in parts {
        for piece in part.chunks(size) {
            let mut tell = |event: Event<'_>| match event {
                Event::Request(request) => {
                    begun += 1;
                    log.push(match request {
                        Request::Http(head) => format!("{:?} {:?} {}", head.method, head.target, head.headers.iter().count()),
                        Request::Postgres(statement) => format!("{:?} {:?}", statement.text, statement.database),
                        Request::Redis(command) => format!("{:?} {:?}", command.name, command.text),
                    });
                }
                Event::Response(response) => log.push(match response {
                    Response::Http(head) => format!("{} {}", head.status, head.headers.iter().count()),
                    Response::Failed(code) => format!("{code:?}"),
                    Response::Skipped => "skipped".into(),
                }),
                Event::End(end) => {
                    ended += 1;
                    assert!(ended <= begun, "nothing ends that has not begun");
                    log.push(format!("{end:?}"));
                }
            };
            if parser.feed(*side, piece, &mut rooms[*side as usize], &mut tell).is_err() {
                return (log, true);
            }
        }
    }
    (log, false)
}

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let parts = parts(rest);
    // The second version of the PROXY protocol is known whole alone.
    let is_in_pieces_otherwise = parts.iter().any(|(_, part)| part.starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
    if is_in_pieces_otherwise {
        told(*first, &parts, usize::MAX);
        return;
    }
    let whole = told(*first, &parts, usize::MAX);
    assert_eq!(told(*first, &parts, 1), whole, "pieces tell the same");
    assert_eq!(told(*first, &parts, 7), whole, "pieces tell the same");
});
