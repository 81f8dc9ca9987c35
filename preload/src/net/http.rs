//! What connections tell of HTTP requests.

use super::address::Address;
use super::exchange::Why;
use crate::protocol::End;
use crate::protocol::http::{Headers, RequestHead, ResponseHead};
use crate::tracer::{Told, native};
use ddtrace::decimal::Decimal;
use ddtrace::http::{self, ErrorStatuses, HeaderFields, Peer, Request};
use ddtrace::propagation::Carrier;
use ddtrace::semconv::network::*;
use ddtrace::semconv::{ERROR_TYPE, REQUEST_HEADER, RESPONSE_HEADER};

pub(super) use ddtrace::http::{HTTP, HTTPS, Scheme};

/// The headers, if there are any in which a context can be: that is quickly seen by how their names begin.
pub(super) fn context_headers<'a>(head: &'a RequestHead<'_>) -> Option<&'a dyn Carrier> {
    // `trace…`, `x-…`, `b3`, `baggage`, `uber-…` and `ot…`, and a few that are none.
    let can_be = |name: &[u8]| {
        matches!(
            name,
            [b't' | b'T', _, _, b'c' | b'C', ..]
                | [b'x' | b'X', b'-', ..]
                | [b'b' | b'B', b'3' | b'a' | b'A', ..]
                | [b'u' | b'U', b'b' | b'B', ..]
                | [b'o' | b'O', b't' | b'T', ..]
        )
    };
    if head.headers.iter().any(|header| can_be(header.name)) { Some(&head.headers) } else { None }
}

impl HeaderFields for Headers<'_> {
    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.get(name)
    }

    fn first_of<const COUNT: usize>(&self, names: [&[u8]; COUNT]) -> [Option<&[u8]>; COUNT] {
        Headers::first_of(self, names)
    }
}

impl http::Attributes for Told<'_> {
    fn text(&mut self, name: &[u8], text: &[u8]) {
        Told::text(self, name, text);
    }

    fn pieces(&mut self, name: &[u8], pieces: &[&[u8]]) {
        Told::pieces(self, name, pieces);
    }

    fn list(&mut self, name: &[u8], text: &[u8]) {
        Told::list(self, name, text);
    }

    fn integer(&mut self, name: &[u8], number: i64) {
        Told::integer(self, name, number);
    }
}

/// Calls `tell` with the request.
fn with_request(head: &RequestHead<'_>, scheme: Scheme, peer: &Address, tell: impl FnOnce(&Request<'_>)) {
    let address = peer.text();
    tell(&Request {
        method: head.method,
        target: head.target,
        version: if head.minor == 0 { b"1.0" } else { b"1.1" },
        scheme,
        peer: Peer { address: address.as_bytes(), port: peer.port(), is_unix: peer.is_unix() },
    });
}

/// The request that came in.
pub(super) fn describe_server(told: &mut Told<'_>, head: &RequestHead<'_>, used: Scheme, peer: &Address) {
    with_request(head, used, peer, |request| {
        told.name(request.name(), b"http.server.request");
        http::describe_server(told, request, &head.headers, native::client_address());
    });
    describe_headers(told, &head.headers, REQUEST_HEADER);
}

/// The request that goes out.
pub(super) fn describe_client(told: &mut Told<'_>, head: &RequestHead<'_>, used: Scheme, peer: &Address) {
    with_request(head, used, peer, |request| {
        told.name(request.name(), b"http.client.request");
        http::describe_client(told, request, head.headers.get(b"host").unwrap_or_default());
    });
    describe_headers(told, &head.headers, REQUEST_HEADER);
}

/// The headers of a message that the user wants as tags.
fn describe_headers(told: &mut Told<'_>, headers: &Headers<'_>, prefix: &str) {
    let Some(wanted) = native::header_tags() else { return };
    http::describe_headers(told, headers, wanted.iter(), prefix);
}

/// Adds what the user wants of an answer's headers.
pub(super) fn tag_response(span: u64, head: &ResponseHead<'_>) {
    let Some(wanted) = native::header_tags().filter(|_| span != 0) else { return };
    if wanted.iter().any(|(header, _)| head.headers.get(header).is_some()) {
        native::amend(span, &mut |told| describe_headers(told, &head.headers, RESPONSE_HEADER));
    }
}

/// Whether the request delivers what another tracer of the program has recorded.
pub(super) fn is_telemetry(head: &RequestHead<'_>) -> bool {
    http::is_telemetry(head.method, head.target, &head.headers)
}

/// How a request ended.
pub(super) struct Outcome {
    status: u16,
    end: End,
    why: Option<Why>,
    is_server: bool,
}

impl Outcome {
    pub(super) fn of(status: u16, end: &End, is_server: bool, why: Why) -> Outcome {
        Outcome { status, end: *end, why: (!end.is_complete).then_some(why), is_server }
    }

    /// What happened to the connection before the answer was complete, as `error.type` has it; empty where that is no
    /// failure.
    pub(super) fn failure(&self) -> &'static [u8] {
        match self.why {
            None => b"",
            // Who closes a connection on which he waits for an answer has changed his mind.
            Some(Why::Closed | Why::LeftToOthers) if !self.is_server => b"",
            Some(Why::ClosedInVain) => b"timeout",
            // Whether, and how, it was answered is not known here. Who has begun to answer was to end it, too.
            Some(Why::LeftToOthers) if self.status == 0 => b"",
            Some(Why::Closed | Why::LeftToOthers | Why::ClosedByPeer) => b"connection_closed",
            Some(Why::Failed(errno)) => errno_name(errno),
            // HTTP conventions, "Status": what cannot be parsed is an error.
            Some(Why::NotUnderstood) => b"invalid_response",
        }
    }

    /// What failed, as `error.type` has it; empty where nothing did, or where it is the number.
    fn error(&self, number: &mut Option<Decimal>) -> &'static [u8] {
        // Who has read the status may do without the rest.
        let is_told = self.why.is_none() || !self.is_server && self.status != 0;
        if is_told && http::is_error_status(self.status, self.is_server, &ErrorStatuses::DEFAULT) {
            *number = Some(Decimal::of(self.status.into()));
        }
        self.failure()
    }

    pub(super) fn is_error(&self) -> bool {
        let mut number = None;
        !self.error(&mut number).is_empty() || number.is_some()
    }

    pub(super) fn describe(&self, told: &mut Told<'_>) {
        if self.status != 0 {
            told.integer(HTTP_RESPONSE_STATUS_CODE, i64::from(self.status));
        }
        let mut number = None;
        let error = self.error(&mut number);
        told.text(ERROR_TYPE.as_bytes(), number.as_ref().map_or(error, Decimal::as_bytes));
        for (name, size) in
            [(HTTP_REQUEST_BODY_SIZE, self.end.request_bytes), (HTTP_RESPONSE_BODY_SIZE, self.end.response_bytes)]
        {
            if size > 0 {
                told.integer(name, i64::try_from(size).unwrap_or(i64::MAX));
            }
        }
    }
}

fn errno_name(errno: i32) -> &'static [u8] {
    match errno {
        32 => b"EPIPE",
        103 => b"ECONNABORTED",
        104 => b"ECONNRESET",
        107 => b"ENOTCONN",
        110 => b"ETIMEDOUT",
        111 => b"ECONNREFUSED",
        112 => b"EHOSTDOWN",
        113 => b"EHOSTUNREACH",
        _ => b"_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::http::Lines;
    use ddtrace::propagation::{Propagation, Style};

    /// Whatever name a style writes must be seen.
    #[test]
    fn contexts_are_looked_for_where_they_can_be() {
        let propagation = Propagation { inject: Style::ALL.into_iter().collect(), ..Propagation::default() };
        let mut count = 0;
        propagation.fields(&mut |name| {
            count += 1;
            let head = std::format!("GET / HTTP/1.1\r\n{}: x\r\n\r\n", name.to_uppercase());
            let mut lines = Lines::new();
            assert!(context_headers(&RequestHead::parse(head.as_bytes(), &mut lines).unwrap()).is_some(), "{name}");
        });
        assert!(count > 10);
        let head = b"GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n";
        assert!(context_headers(&RequestHead::parse(head, &mut Lines::new()).unwrap()).is_none());
    }

    fn outcome(status: u16, is_server: bool, why: Option<Why>) -> (bool, &'static [u8]) {
        let end = End { is_complete: why.is_none(), request_bytes: 0, response_bytes: 0 };
        let outcome = Outcome::of(status, &end, is_server, why.unwrap_or(Why::Closed));
        (outcome.is_error(), outcome.error(&mut None))
    }

    #[test]
    fn what_is_an_error() {
        assert_eq!(outcome(200, true, None), (false, &b""[..]));
        assert_eq!(outcome(404, true, None), (false, &b""[..]));
        assert_eq!(outcome(404, false, None), (true, &b""[..]));
        assert_eq!(outcome(500, true, None), (true, &b""[..]));
        assert_eq!(outcome(200, false, Some(Why::ClosedByPeer)), (true, &b"connection_closed"[..]));
        assert_eq!(outcome(0, false, Some(Why::Closed)), (false, &b""[..]));
        assert_eq!(outcome(0, false, Some(Why::ClosedInVain)), (true, &b"timeout"[..]));
        assert_eq!(outcome(0, true, Some(Why::Closed)), (true, &b"connection_closed"[..]));
        assert_eq!(outcome(0, true, Some(Why::LeftToOthers)), (false, &b""[..]));
        assert_eq!(outcome(200, true, Some(Why::LeftToOthers)), (true, &b"connection_closed"[..]));
        assert!(outcome(404, false, Some(Why::Closed)).0 && !outcome(200, false, Some(Why::Closed)).0);
        assert_eq!(outcome(200, true, Some(Why::Failed(104))), (true, &b"ECONNRESET"[..]));
    }
}
