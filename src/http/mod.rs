//! What is said of HTTP requests: attributes by the semantic conventions for HTTP spans (1.44, stable), once for what
//! connections tell and for what the libraries of a program do.
//!
//! In-process code: no allocation, no reachable panic.

mod client;
mod outcome;
mod target;
mod telemetry;

pub use client::ClientAddress;
pub use outcome::{ErrorStatuses, is_error_status};
pub use target::{Target, first_of_list, forwarded_part, split_authority};
pub use telemetry::{is_telemetry, may_be_telemetry};

use crate::context::Bounded;
use crate::decimal::Decimal;
use crate::semconv::network::*;

/// The methods that a span may be named by (RFC 9110, RFC 5789, and QUERY).
const KNOWN_METHODS: [&[u8]; 10] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH", b"QUERY"];

/// A scheme, as URLs have it, and its port.
pub type Scheme = (&'static [u8], u16);
/// Without encryption.
pub const HTTP: Scheme = (b"http", 80);
/// With encryption.
pub const HTTPS: Scheme = (b"https", 443);
/// A websocket (RFC 6455).
pub const WS: Scheme = (b"ws", 80);
/// One with encryption.
pub const WSS: Scheme = (b"wss", 443);

/// What `url.path`, `url.query` and `user_agent.original` hold at most, in bytes.
const MAX_TEXT: usize = 2048;

/// Where attributes go.
pub trait Attributes {
    /// A text; nothing where it is empty.
    fn text(&mut self, name: &[u8], text: &[u8]);

    /// A text made of pieces.
    fn pieces(&mut self, name: &[u8], pieces: &[&[u8]]);

    /// Texts, as a list of one.
    fn list(&mut self, name: &[u8], text: &[u8]);

    /// A number.
    fn integer(&mut self, name: &[u8], number: i64);
}

/// The headers of a message.
pub trait HeaderFields {
    /// The value of the header with this name, in lower case; `None` where there is none.
    fn header(&self, name: &[u8]) -> Option<&[u8]>;

    /// The same of several headers.
    fn first_of<const COUNT: usize>(&self, names: [&[u8]; COUNT]) -> [Option<&[u8]>; COUNT] {
        names.map(|name| self.header(name))
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer<'a> {
    /// Its address, or the path of its socket; empty where it is not known.
    pub address: &'a [u8],
    /// The port, of TCP.
    pub port: Option<u16>,
    /// Whether it is a Unix socket.
    pub is_unix: bool,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The target, in any of its forms.
    pub target: &'a [u8],
    /// The version, such as `1.1`; empty where it is not known.
    pub version: &'a [u8],
    /// What the connection uses.
    pub scheme: Scheme,
    /// The other end of it.
    pub peer: Peer<'a>,
}

impl Request<'_> {
    /// The name of its span, where nothing better is known: the method.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        if self.has_known_method() { self.method } else { b"HTTP" }
    }

    fn has_known_method(&self) -> bool {
        KNOWN_METHODS.contains(&self.method)
    }
}

/// The request that came in; `client` is by which rule its client's address is found.
pub fn describe_server(
    told: &mut impl Attributes,
    request: &Request<'_>,
    headers: &impl HeaderFields,
    client: ClientAddress<'_>,
) {
    describe_method(told, request);
    let target = Target::of(request.target);
    let [forwarded, proto, forwarded_host, own_host, user_agent] = headers
        .first_of([b"forwarded", b"x-forwarded-proto", b"x-forwarded-host", b"host", b"user-agent"])
        .map(Option::unwrap_or_default);
    let or = |one: &'static [u8], other| {
        let value = if forwarded.is_empty() { b"" } else { forwarded_part(forwarded, one) };
        if value.is_empty() { first_of_list(other) } else { value }
    };
    told.text(URL_PATH, cut(target.path));
    told.text(URL_QUERY, cut(target.query));
    // A proxy says what its client has used; of websockets some say over what.
    let said = or(b"proto", proto);
    let is_websocket = matches!(request.scheme, WS | WSS);
    let is = |scheme: Scheme| said.eq_ignore_ascii_case(scheme.0);
    let (scheme, default_port) = match said {
        b"" => request.scheme,
        _ if is_websocket && (is(HTTPS) || is(WSS)) => WSS,
        _ if is_websocket && is(HTTP) => WS,
        _ if is(HTTPS) => HTTPS,
        _ => (said, HTTP.1),
    };
    told.text(URL_SCHEME, scheme);
    let host = or(b"host", forwarded_host);
    let host = [host, target.authority, own_host];
    let host = host.iter().find(|host| !host.is_empty()).copied().unwrap_or_default();
    describe_server_address(told, host, default_port);
    told.text(CLIENT_ADDRESS, client.of(headers, &request.peer));
    if matches!(client, ClientAddress::Resolved(_)) && !request.peer.is_unix {
        // What Datadog's tracers tell beside it.
        told.text(NETWORK_CLIENT_IP, request.peer.address);
    }
    told.text(USER_AGENT_ORIGINAL, cut(user_agent));
    describe_connection(told, request);
}

/// The request that goes out; `host` is what its header of that name says, or empty.
pub fn describe_client(told: &mut impl Attributes, request: &Request<'_>, host: &[u8]) {
    describe_method(told, request);
    let target = Target::of(request.target);
    let Peer { address, port, .. } = request.peer;
    let authority = [target.authority, host, address];
    let authority = authority.iter().find(|host| !host.is_empty()).copied().unwrap_or_default();
    let default = if host.is_empty() { port } else { None }.unwrap_or(request.scheme.1);
    if target.authority.is_empty() {
        // The whole server has no path (RFC 9112, section 3.3).
        let path = if request.target == b"*" { b"" } else { cut(request.target) };
        if host.is_empty() && !request.peer.is_unix {
            let (open, close): (&[u8], &[u8]) = if address.contains(&b':') { (b"[", b"]") } else { (b"", b"") };
            let port = port.filter(|port| *port != request.scheme.1).map(|port| Decimal::of(port.into()));
            let (colon, port): (&[u8], &[u8]) = port.as_ref().map_or((b"", b""), |port| (b":", port.as_bytes()));
            told.pieces(URL_FULL, &[request.scheme.0, b"://", open, address, close, colon, port, path]);
        } else {
            told.pieces(URL_FULL, &[request.scheme.0, b"://", authority, path]);
        }
    } else if request.method != b"CONNECT" {
        // What a tunnel leads to is no URL.
        told.pieces(URL_FULL, &[cut(request.target)]);
    }
    describe_server_address(told, authority, default);
    describe_connection(told, request);
}

fn describe_method(told: &mut impl Attributes, request: &Request<'_>) {
    if request.has_known_method() {
        told.text(HTTP_REQUEST_METHOD, request.method);
    } else {
        told.text(HTTP_REQUEST_METHOD, b"_OTHER");
        told.text(HTTP_REQUEST_METHOD_ORIGINAL, request.method);
    }
}

fn describe_server_address(told: &mut impl Attributes, authority: &[u8], default_port: u16) {
    let (host, port) = split_authority(authority);
    if !host.is_empty() {
        told.text(SERVER_ADDRESS, host);
        told.integer(SERVER_PORT, i64::from(port.unwrap_or(default_port)));
    }
}

fn describe_connection(told: &mut impl Attributes, request: &Request<'_>) {
    told.text(NETWORK_PROTOCOL_VERSION, request.version);
    told.text(NETWORK_PEER_ADDRESS, request.peer.address);
    match request.peer.port {
        Some(port) => told.integer(NETWORK_PEER_PORT, i64::from(port)),
        None if request.peer.is_unix => told.text(NETWORK_TRANSPORT, b"unix"),
        None => {}
    }
}

/// The headers of a message that the user wants as tags: each header's name and the tag's. A header that has no tag's name of
/// its own gets the conventions' attribute: its name behind `prefix`.
pub fn describe_headers<'a>(
    told: &mut impl Attributes,
    headers: &impl HeaderFields,
    wanted: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    prefix: &str,
) {
    for (header, tag) in wanted {
        let mut name = Bounded::<256>::new();
        for byte in header.iter().take(200) {
            let _ = name.push(&[byte.to_ascii_lowercase()]);
        }
        let Some(value) = headers.header(name.as_bytes()) else { continue };
        if tag.is_empty() {
            let mut attribute = Bounded::<256>::new();
            let _ = attribute.push(prefix.as_bytes());
            let _ = attribute.push(name.as_bytes());
            told.list(attribute.as_bytes(), value);
        } else {
            told.text(tag, value);
        }
    }
}

fn cut(text: &[u8]) -> &[u8] {
    text.get(..MAX_TEXT).unwrap_or(text)
}

#[cfg(test)]
mod tests;
