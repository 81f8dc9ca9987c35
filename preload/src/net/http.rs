//! What is said of HTTP requests: attributes by the semantic conventions for HTTP spans (1.44, stable).

use super::address::Address;
use super::exchange::Why;
use crate::protocol::End;
use crate::protocol::http::{Headers, RequestHead, ResponseHead};
use crate::tracer::{Told, native};
use ddtrace::context::Bounded;
use ddtrace::decimal::Decimal;
use ddtrace::propagation::Carrier;
use ddtrace::semconv::network::*;
use ddtrace::semconv::{ERROR_TYPE, REQUEST_HEADER, RESPONSE_HEADER};

/// The methods that a span may be named by (RFC 9110, RFC 5789, and QUERY).
const KNOWN_METHODS: [&[u8]; 10] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH", b"QUERY"];

/// A scheme, as URLs have it, and its port.
pub(super) type Scheme = (&'static [u8], u16);
pub(super) const HTTP: Scheme = (b"http", 80);
pub(super) const HTTPS: Scheme = (b"https", 443);

/// What `url.path`, `url.query` and `user_agent.original` hold at most, in bytes.
const MAX_TEXT: usize = 2048;

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

/// The request that came in.
pub(super) fn describe_server(told: &mut Told<'_>, head: &RequestHead<'_>, used: Scheme, peer: &Address) {
    describe_method(told, head, b"http.server.request");
    let headers = &head.headers;
    let target = Target::of(head.target);
    let [forwarded, proto, forwarded_host, forwarded_for, own_host, user_agent] = headers
        .first_of([b"forwarded", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-for", b"host", b"user-agent"])
        .map(Option::unwrap_or_default);
    let or = |one: &'static [u8], other| {
        let value = if forwarded.is_empty() { b"" } else { forwarded_part(forwarded, one) };
        if value.is_empty() { first_of_list(other) } else { value }
    };
    told.text(URL_PATH, cut(target.path));
    told.text(URL_QUERY, cut(target.query));
    // A proxy says what its client has used.
    let said = or(b"proto", proto);
    let (scheme, default_port) = match said {
        b"" => used,
        _ if said.eq_ignore_ascii_case(HTTPS.0) => HTTPS,
        _ => (said, HTTP.1),
    };
    told.text(URL_SCHEME, scheme);
    let host = or(b"host", forwarded_host);
    let host = [host, target.authority, own_host];
    let host = host.iter().find(|host| !host.is_empty()).copied().unwrap_or_default();
    describe_server_address(told, host, default_port);
    let client = or(b"for", forwarded_for);
    if client.is_empty() {
        if !peer.is_unix() {
            told.text(CLIENT_ADDRESS, peer.text().as_bytes());
        }
    } else {
        told.text(CLIENT_ADDRESS, split_authority(client).0);
    }
    told.text(USER_AGENT_ORIGINAL, cut(user_agent));
    describe_connection(told, head.minor, peer);
    describe_headers(told, headers, REQUEST_HEADER);
}

/// The request that goes out.
pub(super) fn describe_client(told: &mut Told<'_>, head: &RequestHead<'_>, used: Scheme, peer: &Address) {
    describe_method(told, head, b"http.client.request");
    let target = Target::of(head.target);
    let address = peer.text();
    let own_host = head.headers.get(b"host");
    let host = [target.authority, own_host.unwrap_or_default(), address.as_bytes()];
    let host = host.iter().find(|host| !host.is_empty()).copied().unwrap_or_default();
    if target.authority.is_empty() {
        told.pieces(URL_FULL, &[used.0, b"://", host, cut(head.target)]);
    } else {
        told.pieces(URL_FULL, &[cut(head.target)]);
    }
    let default = own_host.map_or(peer.port(), |_| None).unwrap_or(used.1);
    describe_server_address(told, host, default);
    describe_connection(told, head.minor, peer);
    describe_headers(told, &head.headers, REQUEST_HEADER);
}

fn describe_method(told: &mut Told<'_>, head: &RequestHead<'_>, operation: &[u8]) {
    if KNOWN_METHODS.contains(&head.method) {
        told.name(head.method, operation);
        told.text(HTTP_REQUEST_METHOD, head.method);
    } else {
        told.name(b"HTTP", operation);
        told.text(HTTP_REQUEST_METHOD, b"_OTHER");
        told.text(HTTP_REQUEST_METHOD_ORIGINAL, head.method);
    }
}

fn describe_server_address(told: &mut Told<'_>, authority: &[u8], default_port: u16) {
    let (host, port) = split_authority(authority);
    if !host.is_empty() {
        told.text(SERVER_ADDRESS, host);
        told.integer(SERVER_PORT, i64::from(port.unwrap_or(default_port)));
    }
}

fn describe_connection(told: &mut Told<'_>, minor: u8, peer: &Address) {
    told.text(NETWORK_PROTOCOL_VERSION, if minor == 0 { b"1.0" } else { b"1.1" });
    told.text(NETWORK_PEER_ADDRESS, peer.text().as_bytes());
    match peer.port() {
        Some(port) => told.integer(NETWORK_PEER_PORT, i64::from(port)),
        None if peer.is_unix() => told.text(NETWORK_TRANSPORT, b"unix"),
        None => {}
    }
}

/// The headers of a message that the user wants as tags. A header that has no tag's name of its own gets the conventions'
/// attribute: its name behind `prefix`.
fn describe_headers(told: &mut Told<'_>, headers: &Headers<'_>, prefix: &str) {
    let Some(wanted) = native::header_tags() else { return };
    for (header, tag) in wanted.iter() {
        let Some(value) = headers.get(header) else { continue };
        if tag.is_empty() {
            let mut name = Bounded::<256>::new();
            let _ = name.push(prefix.as_bytes());
            for byte in header.iter().take(200) {
                let _ = name.push(&[byte.to_ascii_lowercase()]);
            }
            told.list(name.as_bytes(), value);
        } else {
            told.text(tag, value);
        }
    }
}

/// Adds what the user wants of an answer's headers.
pub(super) fn tag_response(span: u64, head: &ResponseHead<'_>) {
    let Some(wanted) = native::header_tags().filter(|_| span != 0) else { return };
    if wanted.iter().any(|(header, _)| head.headers.get(header).is_some()) {
        native::amend(span, &mut |told| describe_headers(told, &head.headers, RESPONSE_HEADER));
    }
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

    /// What failed, as `error.type` has it; empty where nothing did.
    fn error(&self, number: &mut Option<Decimal>) -> &'static [u8] {
        match self.why {
            // Who closes a connection on which he waits for an answer has changed his mind.
            Some(Why::Closed) if !self.is_server => return b"",
            Some(Why::Closed | Why::ClosedByPeer) => return b"connection_closed",
            Some(Why::Failed(errno)) => return errno_name(errno),
            None => {}
        }
        if self.status >= 500 || (self.status >= 400 && !self.is_server) {
            *number = Some(Decimal::of(self.status.into()));
        }
        b""
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

/// The parts of a request target (RFC 9112, section 3.2).
struct Target<'a> {
    /// Of the absolute form and of CONNECT.
    authority: &'a [u8],
    path: &'a [u8],
    query: &'a [u8],
}

impl<'a> Target<'a> {
    fn of(target: &'a [u8]) -> Target<'a> {
        let (authority, rest) = match target.first() {
            Some(b'/' | b'*') | None => (&b""[..], target),
            _ => {
                let scheme = target.windows(3).position(|window| window == b"://");
                let after = scheme.and_then(|at| target.get(at.wrapping_add(3)..)).unwrap_or(target);
                let end = after.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(after.len());
                let (authority, rest) = after.split_at_checked(end).unwrap_or((after, b""));
                // What is before the last @ names the user.
                (authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default(), rest)
            }
        };
        let rest = rest.split(|byte| *byte == b'#').next().unwrap_or_default();
        match rest.iter().position(|byte| *byte == b'?').and_then(|mark| rest.split_at_checked(mark)) {
            Some((path, query)) => Target { authority, path, query: query.get(1..).unwrap_or_default() },
            None => Target { authority, path: rest, query: b"" },
        }
    }
}

/// A host and its port, if one is there.
fn split_authority(authority: &[u8]) -> (&[u8], Option<u16>) {
    let (host, rest) = match authority.strip_prefix(b"[") {
        Some(v6) => match v6.iter().position(|byte| *byte == b']').and_then(|end| v6.split_at_checked(end)) {
            Some((host, rest)) => (host, rest.get(1..).unwrap_or_default()),
            None => return (authority, None),
        },
        None => match authority.iter().position(|byte| *byte == b':') {
            // Several colons without brackets are an IPv6 address, as `X-Forwarded-For` has them.
            Some(colon) if authority.iter().filter(|byte| **byte == b':').count() == 1 => {
                authority.split_at_checked(colon).unwrap_or((authority, b""))
            }
            _ => (authority, &b""[..]),
        },
    };
    let port = rest.strip_prefix(b":").and_then(ddtrace::decimal::parse_u64).and_then(|port| u16::try_from(port).ok());
    (host, port)
}

fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

fn first_of_list(value: &[u8]) -> &[u8] {
    trim(value.split(|byte| *byte == b',').next().unwrap_or_default())
}

/// A part of the first element of `Forwarded` (RFC 7239); empty where it has none.
fn forwarded_part<'a>(value: &'a [u8], wanted: &[u8]) -> &'a [u8] {
    let element = value.split(|byte| *byte == b',').next().unwrap_or_default();
    let part = element.split(|byte| *byte == b';').find_map(|pair| {
        let mut sides = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (trim(sides.next()?), trim(sides.next()?));
        name.eq_ignore_ascii_case(wanted).then_some(value)
    });
    let part = part.unwrap_or_default();
    part.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(part)
}

fn cut(text: &[u8]) -> &[u8] {
    text.get(..MAX_TEXT).unwrap_or(text)
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

    #[test]
    fn targets_of_all_forms() {
        let parts = |target: &'static [u8]| {
            let target = Target::of(target);
            [target.authority, target.path, target.query].map(|part| std::str::from_utf8(part).unwrap())
        };
        assert_eq!(parts(b"/a/b?c=d?e"), ["", "/a/b", "c=d?e"]);
        assert_eq!(parts(b"*"), ["", "*", ""]);
        assert_eq!(parts(b"http://u:p@x.org:8080/a?b#c"), ["x.org:8080", "/a", "b"]);
        assert_eq!(parts(b"http://x.org"), ["x.org", "", ""]);
        assert_eq!(parts(b"x.org:443"), ["x.org:443", "", ""]);
    }

    #[test]
    fn hosts_and_ports() {
        assert_eq!(split_authority(b"x.org"), (&b"x.org"[..], None));
        assert_eq!(split_authority(b"x.org:80"), (&b"x.org"[..], Some(80)));
        assert_eq!(split_authority(b"[::1]:80"), (&b"::1"[..], Some(80)));
        assert_eq!(split_authority(b"[::1]"), (&b"::1"[..], None));
        assert_eq!(split_authority(b"2001:db8::1"), (&b"2001:db8::1"[..], None));
        assert_eq!(split_authority(b"x:99999"), (&b"x"[..], None));
        assert_eq!(split_authority(b"[::1"), (&b"[::1"[..], None));
    }

    #[test]
    fn the_first_proxy_counts() {
        let value = b"for=\"[2001:db8::1]:4711\";Host=a.org:8080; proto=https, for=10.0.0.1;host=b";
        assert_eq!(forwarded_part(value, b"for"), b"[2001:db8::1]:4711");
        assert_eq!(forwarded_part(value, b"host"), b"a.org:8080");
        assert_eq!(forwarded_part(value, b"proto"), b"https");
        assert_eq!(forwarded_part(b"for=x", b"host"), b"");
        assert_eq!(first_of_list(b" a , b"), b"a");
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
        assert_eq!(outcome(0, true, Some(Why::Closed)), (true, &b"connection_closed"[..]));
        assert_eq!(outcome(200, true, Some(Why::Failed(104))), (true, &b"ECONNRESET"[..]));
    }
}
