//! Operation name and resource of a span that nobody has named, from what its attributes show: the table that the Agent's
//! OTLP receiver and Datadog's tracers share.
//!
//! Once for the process that decides about a trace by these names and for the mapping that sends them.

use crate::semconv::kind_name;

/// What a span is called that nobody has named.
pub const UNNAMED: &str = "unnamed";

const SERVER: u8 = 2;
const CLIENT: u8 = 3;

/// A span, as far as its attributes name it.
pub trait Described {
    /// The first of these attributes that is a text and not empty.
    fn text(&self, keys: &[&str]) -> Option<&[u8]>;

    /// The role, by its number in OTLP ("SpanKind").
    fn kind(&self) -> u8;
}

/// A name in pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pieces<'a> {
    pieces: [&'a [u8]; 4],
    in_lower_case: bool,
}

impl<'a> Pieces<'a> {
    fn of(name: &'a [u8]) -> Self {
        Pieces { pieces: [name, b"", b"", b""], in_lower_case: false }
    }

    fn lower(pieces: [&'a [u8]; 4]) -> Self {
        Pieces { pieces, in_lower_case: true }
    }

    fn joined(first: &'a [u8], second: Option<&'a [u8]>) -> Self {
        match second {
            Some(second) => Pieces { pieces: [first, b" ", second, b""], in_lower_case: false },
            None => Pieces::of(first),
        }
    }

    /// The name, where it is somewhere as it stands.
    #[must_use]
    pub fn whole(&self) -> Option<&'a [u8]> {
        let [first, rest @ ..] = self.pieces;
        (!self.in_lower_case && rest.iter().all(|piece| piece.is_empty())).then_some(first)
    }

    /// Gives `push` the name, a part at a time. Lower case is ASCII's, as the names of systems are.
    pub fn write(&self, push: &mut dyn FnMut(&[u8])) {
        for piece in self.pieces {
            if self.in_lower_case {
                piece.iter().for_each(|byte| push(&[byte.to_ascii_lowercase()]));
            } else {
                push(piece);
            }
        }
    }
}

/// The operation name by the conventions that the attributes show.
pub fn operation_name(span: &impl Described) -> Pieces<'_> {
    let text = |keys| span.text(keys);
    let (server, client) = (span.kind() == SERVER, span.kind() == CLIENT);
    let kind = kind_name(span.kind()).as_bytes();
    let is_internal = kind == b"internal";

    if (client || server) && text(&["http.request.method", "http.method"]).is_some() {
        return Pieces::of(if server { b"http.server.request" } else { b"http.client.request" });
    }
    if let (true, Some(system)) = (client, text(&["db.system", "db.system.name"])) {
        return Pieces::lower([system, b".query", b"", b""]);
    }
    let messaging = (text(&["messaging.system"]), text(&["messaging.operation", "messaging.operation.type"]));
    if let ((Some(system), Some(operation)), false) = (messaging, is_internal) {
        return Pieces::lower([system, b".", operation, b""]);
    }
    if let Some(system) = text(&["rpc.system"]).filter(|_| client || server) {
        return match text(&["rpc.service"]) {
            Some(service) if client && system == b"aws-api" => Pieces::lower([b"aws.", service, b".request", b""]),
            None if client && system == b"aws-api" => Pieces::of(b"aws.client.request"),
            _ => Pieces::lower([system, b".", kind, b".request"]),
        };
    }
    let invoked = (text(&["faas.invoked_provider"]), text(&["faas.invoked_name"]));
    if let (true, (Some(provider), Some(name))) = (client, invoked) {
        return Pieces::lower([provider, b".", name, b".invoke"]);
    }
    if let (true, Some(trigger)) = (server, text(&["faas.trigger"])) {
        return Pieces::lower([trigger, b".invoke", b"", b""]);
    }
    if text(&["graphql.operation.type"]).is_some() {
        return Pieces::of(b"graphql.server.request");
    }
    if !client && !server {
        return Pieces::of(kind);
    }
    match text(&["network.protocol.name"]) {
        Some(protocol) => Pieces::lower([protocol, b".", kind, b".request"]),
        None => Pieces::of(if server { b"server.request" } else { b"client.request" }),
    }
}

/// The resource that the attributes identify, if they do.
pub fn resource(span: &impl Described) -> Option<Pieces<'_>> {
    let text = |keys| span.text(keys);
    if let Some(method) = text(&["http.request.method", "http.method"]) {
        // `_OTHER` is what the conventions write for a method nobody knows.
        let method = if method == b"_OTHER" { b"HTTP" } else { method };
        return Some(Pieces::joined(method, text(&["http.route"]).filter(|_| span.kind() == SERVER)));
    }
    if let Some(operation) = text(&["messaging.operation.type", "messaging.operation"]) {
        return Some(Pieces::joined(operation, text(&["messaging.destination", "messaging.destination.name"])));
    }
    if let Some(method) = text(&["rpc.method"]) {
        return Some(Pieces::joined(method, text(&["rpc.service"])));
    }
    if let Some(operation) = text(&["graphql.operation.type"]) {
        return Some(Pieces::joined(operation, text(&["graphql.operation.name"])));
    }
    let statement = text(&["db.statement", "db.query.text"]);
    statement.filter(|_| text(&["db.system.name", "db.system"]).is_some()).map(Pieces::of)
}
