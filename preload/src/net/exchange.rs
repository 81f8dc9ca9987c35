//! Requests and their answers as spans.

use super::address::Address;
use super::{database, http};
use crate::protocol::{End, Event, MOST_PENDING, Request, Response};
use crate::tracer::{Told, native};
use ddtrace::context::Bounded;
use ddtrace::sys;

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// The program has closed it.
    Closed,
    /// The program has closed it, or its own descriptor, but other processes may have it as well, and answer.
    LeftToOthers,
    /// The other side has.
    ClosedByPeer,
    /// A call has failed with this error.
    Failed(i32),
}

/// An exchange that is not over.
#[derive(Clone)]
pub(super) struct Exchange {
    /// The handle of its span; 0 for none.
    pub(super) span: u64,
    /// The request that was served when it was sent, of one that goes out; 0 for none.
    pub(super) request: u64,
    /// The status of its answer; 0 where there is none yet.
    pub(super) status: u16,
    /// It is a database's, and so the code of its error, empty for none.
    pub(super) code: Option<Bounded<14>>,
}

impl Exchange {
    const NONE: Exchange = Exchange { span: 0, request: 0, status: 0, code: None };
}

/// The exchanges of a connection, in order.
pub(super) struct Exchanges {
    pub(super) is_accepted: bool,
    /// What is seen is what a TLS library encrypts.
    pub(super) is_secure: bool,
    pub(super) peer: Address,
    /// The request that was served when the connection was made, to which the first one that goes out over it belongs.
    pub(super) owner: u64,
    /// The span of a request whose head is about to be sent.
    pub(super) prepared: Option<u64>,
    /// The request that was served when the last one that goes out was begun.
    served: u64,
    pub(super) why: Why,
    pending: [Exchange; MOST_PENDING],
    begun: u32,
    ended: u32,
}

impl Exchanges {
    pub(super) fn new(is_accepted: bool, peer: Address, owner: u64) -> Exchanges {
        Exchanges {
            is_accepted,
            is_secure: false,
            peer,
            owner,
            prepared: None,
            served: 0,
            why: Why::Closed,
            pending: [const { Exchange::NONE }; MOST_PENDING],
            begun: 0,
            ended: 0,
        }
    }

    /// Takes in what a parser tells.
    pub(super) fn take(&mut self, event: Event<'_>, fd: i32) {
        match event {
            Event::Request(request) => {
                let span = self.begin(&request, fd);
                let code = (!matches!(request, Request::Http(_))).then(Bounded::new);
                self.push(Exchange { span, request: self.served, status: 0, code });
            }
            Event::Response(response) => {
                if let Some(oldest) = self.oldest() {
                    match response {
                        Response::Http(head) => {
                            oldest.status = head.status;
                            http::tag_response(oldest.span, head);
                        }
                        Response::Failed(code) => {
                            let mut kept = Bounded::new();
                            let _ = kept.push(code);
                            oldest.code = Some(kept);
                        }
                    }
                }
            }
            Event::End(end) => {
                if let Some(exchange) = self.pop() {
                    self.end(&exchange, &end);
                }
            }
        }
    }

    fn begin(&mut self, request: &Request<'_>, fd: i32) -> u64 {
        if let Some(span) = self.prepared.take() {
            self.owner = 0;
            return span;
        }
        match request {
            Request::Http(head) => self.begin_http(head, fd),
            Request::Postgres(statement) => {
                self.begin_database(fd, |told, peer| database::describe_postgres(told, statement, peer))
            }
            Request::Redis(command) => {
                self.begin_database(fd, |told, peer| database::describe_redis(told, command, peer))
            }
        }
    }

    fn begin_database(&mut self, fd: i32, describe: impl Fn(&mut Told<'_>, &Address)) -> u64 {
        self.know_peer(fd);
        let owner = self.take_owner();
        native::begin_client(owner, None, &mut |told| describe(told, &self.peer))
    }

    /// Begins the span of a request that comes in or is about to go out.
    pub(super) fn begin_http(&mut self, head: &crate::protocol::http::RequestHead<'_>, fd: i32) -> u64 {
        self.know_peer(fd);
        let scheme = if self.is_secure { http::HTTPS } else { http::HTTP };
        if self.is_accepted {
            let headers = http::context_headers(head);
            native::begin_server(headers, &mut |told| http::describe_server(told, head, scheme, &self.peer))
        } else {
            let owner = self.take_owner();
            native::begin_client(owner, http::context_headers(head), &mut |told| {
                http::describe_client(told, head, scheme, &self.peer)
            })
        }
    }

    /// What a request that goes out belongs to, if the thread itself has nothing to say.
    fn take_owner(&mut self) -> u64 {
        let owner = core::mem::take(&mut self.owner);
        self.served = match native::current_request() {
            0 => owner,
            request => request,
        };
        owner
    }

    pub(super) fn know_peer(&mut self, fd: i32) {
        if !self.peer.is_known() && fd >= 0 {
            let mut bytes = [0u8; 112];
            let length = sys::peer_name(fd, &mut bytes);
            self.peer = bytes.get(..length).and_then(Address::of).unwrap_or(Address::UNKNOWN);
        }
    }

    fn end(&self, exchange: &Exchange, end: &End) {
        if exchange.span == 0 {
            return;
        }
        if let Some(code) = &exchange.code {
            // What the server did not do, as something before it has failed, has no code of its own.
            let is_error = !code.is_empty() || !end.is_complete;
            return native::end(exchange.span, is_error, &mut |told| database::describe_error(told, code.as_bytes()));
        }
        let outcome = http::Outcome::of(exchange.status, end, self.is_accepted, self.why);
        native::end(exchange.span, outcome.is_error(), &mut |told| outcome.describe(told));
    }

    /// Of the exchanges that are not over, the oldest one's request: itself where it came in, and where it goes out the one
    /// that was served then. 0 for none.
    pub(super) fn current(&self) -> u64 {
        if self.begun == self.ended {
            return 0;
        }
        let oldest = self.pending.get(self.ended as usize % MOST_PENDING);
        oldest.map_or(0, |exchange| if self.is_accepted { exchange.span } else { exchange.request })
    }

    /// Whether there are exchanges that are not over.
    pub(super) fn is_pending(&self) -> bool {
        self.begun != self.ended
    }

    /// The connection is not understood any more: what is open ends here, and nothing is said of how.
    pub(super) fn give_up(&mut self) {
        while let Some(exchange) = self.pop() {
            native::end(exchange.span, false, &mut |_| {});
        }
        self.abandon_prepared();
    }

    /// The program has given up a request before any of it was sent.
    pub(super) fn abandon_prepared(&mut self) {
        if let Some(span) = self.prepared.take() {
            native::end(span, false, &mut |_| {});
        }
    }

    fn push(&mut self, exchange: Exchange) {
        if self.begun == self.ended {
            // Mostly there is one at a time, which then always lies in the same place.
            (self.begun, self.ended) = (0, 0);
        }
        if let Some(place) = self.pending.get_mut(self.begun as usize % MOST_PENDING) {
            *place = exchange;
            self.begun = self.begun.wrapping_add(1);
        }
    }

    fn oldest(&mut self) -> Option<&mut Exchange> {
        if self.begun == self.ended { None } else { self.pending.get_mut(self.ended as usize % MOST_PENDING) }
    }

    fn pop(&mut self) -> Option<Exchange> {
        let oldest = self.oldest()?.clone();
        self.ended = self.ended.wrapping_add(1);
        Some(oldest)
    }
}
