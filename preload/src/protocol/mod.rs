//! What is understood of the bytes on a connection: one row for each protocol, in [`protocols!`](self).
//!
//! A parser is fed what each side sends, in any pieces, and tells the same events as if it had come whole. It keeps a few
//! words of state; what has to be seen as a whole but came in pieces is gathered in a [`Room`] of fixed size. What it does
//! not understand makes it [`Lost`], and the connection is left alone from there on: it never guesses where a message ends.
//!
//! `docs/protocols.md` says how one is added. In-process code: no allocation, no reachable panic.

pub mod http;
pub mod postgres;
pub mod redis;
#[cfg(test)]
mod testing;

/// Which side of a connection sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The one that asks: it has connected.
    Client,
    /// The one that answers: it has accepted.
    Server,
}

/// The connection is not understood, or not any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lost;

/// The most HTTP requests of a connection that can wait for their answers.
pub const MOST_PENDING: usize = 32;

/// The most exchanges of a connection that can wait for their answers and are told of.
pub const MOST_PIPELINED: usize = 1024;

/// How an exchange ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// The answer was complete; else the connection ended before.
    pub is_complete: bool,
    /// Bytes of the request's body, as far as they were sent. Without what a transfer coding adds.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
}

/// What a parser tells. Exchanges end in the order in which they began.
pub enum Event<'a> {
    /// An exchange has begun.
    Request(Request<'a>),
    /// The oldest exchange is being answered.
    Response(Response<'a>),
    /// The oldest exchange is over.
    End(End),
}

/// What is asked.
pub enum Request<'a> {
    /// HTTP/1.
    Http(&'a http::RequestHead<'a>),
    /// PostgreSQL.
    Postgres(&'a postgres::Statement<'a>),
    /// Redis.
    Redis(&'a redis::Command<'a>),
}

/// What is answered.
pub enum Response<'a> {
    /// HTTP/1.
    Http(&'a http::ResponseHead<'a>),
    /// An error of a database, with its code.
    Failed(&'a [u8]),
    /// A database has not done it, as something before it has failed.
    Skipped,
}

/// Takes the events of a parser.
pub type Tell<'a> = dyn FnMut(Event<'_>) + 'a;

/// Memory for what came in pieces: for each side of a connection its own, which keeps its content as long as the parser
/// has something gathered.
pub trait Room {
    /// The memory; `None` where there is none to be had.
    fn bytes(&mut self) -> Option<&mut [u8]>;
    /// Nothing is gathered any more.
    fn release(&mut self);
}

/// A protocol in which one side asks and the other one answers in order.
pub trait Protocol: Default {
    /// Whether what the client sends first can be the protocol's, by its first byte.
    fn begins_with(first: u8) -> bool;
    /// Takes in what one side has sent.
    ///
    /// # Errors
    ///
    /// [`Lost`]; what was told before stands.
    fn feed(&mut self, side: Side, bytes: &[u8], room: &mut dyn Room, tell: &mut Tell<'_>) -> Result<(), Lost>;
    /// One side has sent bytes that were not seen.
    ///
    /// # Errors
    ///
    /// [`Lost`] where it matters what they were.
    fn skip(&mut self, side: Side, count: u64, tell: &mut Tell<'_>) -> Result<(), Lost>;
    /// One side will send no more.
    fn closed(&mut self, side: Side, tell: &mut Tell<'_>);
}

macro_rules! protocols {
    ($($(#[$doc:meta])* $name:ident = $parser:ty, served: $served:literal;)*) => {
        /// The parser of a connection.
        #[expect(clippy::large_enum_variant, reason = "it lies in the connection's slot, and nothing can be allocated")]
        pub enum Parser {
            $($(#[$doc])* $name($parser),)*
        }

        impl Parser {
            /// The parser for what begins so; `None` for what nobody here understands. `accepted`: on the server's side,
            /// where not every protocol is of interest.
            #[must_use]
            pub fn recognise(first: u8, accepted: bool) -> Option<Parser> {
                $(if (!accepted || $served) && <$parser>::begins_with(first) {
                    return Some(Parser::$name(<$parser>::default()));
                })*
                None
            }

            /// [`Protocol::feed`].
            ///
            /// # Errors
            ///
            /// [`Lost`].
            pub fn feed(
                &mut self,
                side: Side,
                bytes: &[u8],
                room: &mut dyn Room,
                tell: &mut Tell<'_>,
            ) -> Result<(), Lost> {
                match self {
                    $(Parser::$name(parser) => parser.feed(side, bytes, room, tell),)*
                }
            }

            /// [`Protocol::skip`].
            ///
            /// # Errors
            ///
            /// [`Lost`].
            pub fn skip(&mut self, side: Side, count: u64, tell: &mut Tell<'_>) -> Result<(), Lost> {
                match self {
                    $(Parser::$name(parser) => parser.skip(side, count, tell),)*
                }
            }

            /// [`Protocol::closed`].
            pub fn closed(&mut self, side: Side, tell: &mut Tell<'_>) {
                match self {
                    $(Parser::$name(parser) => parser.closed(side, tell),)*
                }
            }
        }
    };
}

protocols! {
    /// HTTP/1.0 and 1.1.
    Http = http::Http, served: true;
    /// PostgreSQL.
    Postgres = postgres::Postgres, served: false;
    /// Redis.
    Redis = redis::Redis, served: false;
}
