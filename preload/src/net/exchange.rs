//! Requests and their answers as spans.

use super::address::Address;
use super::memory::{ROOM, RoomRef, memory};
use super::{database, http, left, waits};
use crate::protocol::{End, Event, MOST_PENDING, MOST_PIPELINED, Request, Response};
use crate::tracer::native::Begun;
use crate::tracer::{Told, native};
use ddtrace::context::Bounded;
use ddtrace::interface::{LEFT_HTTP, LEFT_POSTGRES, LEFT_REDIS, LEFT_REQUESTS};
use ddtrace::semconv::network::HTTP_RESPONSE_STATUS_CODE;
use ddtrace::sys;

/// Why a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// The program has closed it.
    Closed,
    /// The program has closed it after it has waited for as long as it would.
    ClosedInVain,
    /// The program has closed it, or its own descriptor, but other processes may have it as well, and answer.
    LeftToOthers,
    /// The other side has.
    ClosedByPeer,
    /// A call has failed with this error.
    Failed(i32),
    /// The other side does not speak the protocol.
    NotUnderstood,
}

/// An exchange that is not over.
#[derive(Clone, Copy)]
struct Exchange {
    /// The handle of its span; 0 for none.
    span: u64,
    /// The request that was served when it was sent, of one that goes out; 0 for none.
    request: u64,
}

/// What is known of the answer to the oldest one.
struct Answer {
    /// The status; 0 where there is none yet.
    status: u16,
    /// Of a database the code of its error, empty for none.
    code: Bounded<14>,
    /// The database has not even tried.
    is_skipped: bool,
    /// The status is recorded.
    is_told: bool,
}

impl Answer {
    const NONE: Answer = Answer { status: 0, code: Bounded::new(), is_skipped: false, is_told: false };
}

/// The exchanges of a connection, in order.
pub(super) struct Exchanges {
    pub(super) is_accepted: bool,
    /// What is seen is what a TLS library encrypts.
    pub(super) is_secure: bool,
    pub(super) peer: Address,
    /// The request that was served when the connection was made, to which the first one that goes out over it belongs.
    pub(super) owner: u64,
    /// It was begun for nobody that is known, and was not there yet when whoever has begun it went on: what is sent over it first
    /// is for him.
    pub(super) is_for_unknown: bool,
    /// The span of a request whose head is about to be sent.
    pub(super) prepared: Option<u64>,
    /// When the call began by which the program sends what is looked at when it is back, in nanoseconds since the Unix epoch; 0
    /// while it sends nothing so: a server may have answered by then.
    pub(super) asked_unix_ns: u64,
    /// The request that was served when the last one that goes out was begun.
    served: u64,
    pub(super) why: Why,
    is_database: bool,
    answer: Answer,
    /// The first few that wait for their answers; all of them are in `many` while they are more.
    few: [Exchange; MOST_PENDING],
    many: Option<RoomRef>,
    begun: u32,
    ended: u32,
    /// How many wait besides, of which nothing is told as there was no place for them.
    untold: u64,
}

impl Exchanges {
    pub(super) fn new(is_accepted: bool, peer: Address, owner: u64) -> Exchanges {
        Exchanges {
            is_accepted,
            is_secure: false,
            peer,
            owner,
            is_for_unknown: false,
            prepared: None,
            asked_unix_ns: 0,
            served: 0,
            why: Why::Closed,
            is_database: false,
            answer: Answer::NONE,
            few: [Exchange { span: 0, request: 0 }; MOST_PENDING],
            many: None,
            begun: 0,
            ended: 0,
            untold: 0,
        }
    }

    /// Takes in what a parser tells.
    pub(super) fn take(&mut self, event: Event<'_>, fd: i32) {
        match event {
            Event::Request(request) => {
                self.is_database = !matches!(request, Request::Http(_));
                if !self.has_place() {
                    self.untold = self.untold.wrapping_add(1);
                    return native::lost();
                }
                let span = self.begin(&request, fd);
                self.push(Exchange { span, request: self.served });
            }
            Event::Response(response) => {
                let Some(oldest) = self.oldest() else { return };
                match response {
                    Response::Http(head) => {
                        self.answer.status = head.status;
                        http::tag_response(oldest.span, head);
                    }
                    Response::Failed(code) => {
                        self.answer.code.clear();
                        let _ = self.answer.code.push(code);
                    }
                    Response::Skipped => self.answer.is_skipped = true,
                }
            }
            Event::End(end) => match self.pop() {
                Some((exchange, answer)) => self.end(exchange.span, &answer, &end),
                None => self.untold = self.untold.saturating_sub(1),
            },
        }
    }

    fn begin(&mut self, request: &Request<'_>, fd: i32) -> u64 {
        if let Some(span) = self.prepared.take() {
            self.owner = 0;
            return span;
        }
        match request {
            Request::Http(head) => self.begin_http(head, fd).span,
            Request::Postgres(statement) => {
                self.begin_database(fd, LEFT_POSTGRES, |told, peer| database::describe_postgres(told, statement, peer))
            }
            Request::Redis(command) => {
                self.begin_database(fd, LEFT_REDIS, |told, peer| database::describe_redis(told, command, peer))
            }
        }
    }

    fn begin_database(&mut self, fd: i32, kind: u32, describe: impl Fn(&mut Told<'_>, &Address)) -> u64 {
        // Also of what is left to others: what is asked for after the answer is for the same request.
        let (owner, is_certain) = self.take_owner();
        if left::is_left(kind) {
            return 0;
        }
        self.know_peer(fd);
        native::begin_client(owner, is_certain, self.asked_unix_ns, None, &mut |told| describe(told, &self.peer)).span
    }

    /// Begins the span of a request that comes in or is about to go out.
    pub(super) fn begin_http(&mut self, head: &crate::protocol::http::RequestHead<'_>, fd: i32) -> Begun {
        if left::is_left(if self.is_accepted { LEFT_REQUESTS } else { LEFT_HTTP }) {
            let _ = self.take_owner();
            return Begun::NOTHING;
        }
        self.know_peer(fd);
        let scheme = if self.is_secure { http::HTTPS } else { http::HTTP };
        if self.is_accepted {
            let headers = http::context_headers(head);
            let span = native::begin_server(headers, &mut |told| http::describe_server(told, head, scheme, &self.peer));
            Begun { span, context: span }
        } else {
            let (owner, is_certain) = self.take_owner();
            if http::is_telemetry(head) {
                return Begun::NOTHING;
            }
            native::begin_client(owner, is_certain, 0, http::context_headers(head), &mut |told| {
                http::describe_client(told, head, scheme, &self.peer)
            })
        }
    }

    /// What a request that goes out belongs to, if the thread itself has nothing to say, and whether it is certain what that has.
    fn take_owner(&mut self) -> (u64, bool) {
        let owner = core::mem::take(&mut self.owner);
        let is_for_unknown = core::mem::take(&mut self.is_for_unknown);
        let is_certain = waits::is_certain() && !(is_for_unknown && waits::is_loop());
        // Also where it is not certain: nothing else has come between then.
        self.served = if owner == 0 { native::current_request() } else { owner };
        waits::has_asked();
        (owner, is_certain)
    }

    pub(super) fn know_peer(&mut self, fd: i32) {
        if !self.peer.is_known() && fd >= 0 {
            let mut bytes = [0u8; 112];
            let length = sys::peer_name(fd, &mut bytes);
            self.peer = bytes.get(..length).and_then(Address::of).unwrap_or(Address::UNKNOWN);
        }
    }

    fn end(&self, span: u64, answer: &Answer, end: &End) {
        if span == 0 {
            return;
        }
        let outcome = http::Outcome::of(answer.status, end, self.is_accepted, self.why);
        if self.is_database {
            let code = answer.code.as_bytes();
            let error = match code {
                // What the server did not do, as something before it has failed, has no code of its own.
                b"" if answer.is_skipped => database::SKIPPED,
                b"" => outcome.failure(),
                code => code,
            };
            return native::end(span, !error.is_empty(), &mut |told| database::describe_error(told, code, error));
        }
        native::end(span, outcome.is_error(), &mut |told| outcome.describe(told));
    }

    /// Of an answer that is not whole the status is recorded now: the program may end before the rest has come.
    pub(super) fn tell_status(&mut self) {
        if self.answer.status == 0 || self.answer.is_told {
            return;
        }
        let Some(oldest) = self.oldest() else { return };
        let status = i64::from(self.answer.status);
        native::amend(oldest.span, &mut |told| told.integer(HTTP_RESPONSE_STATUS_CODE, status));
        self.answer.is_told = true;
    }

    /// Of the exchanges that are not over, the oldest one's request: itself where it came in, and where it goes out the one
    /// that was served then. 0 for none.
    pub(super) fn current(&self) -> u64 {
        self.oldest().map_or(0, |exchange| if self.is_accepted { exchange.span } else { exchange.request })
    }

    /// For which request the connection is there, as far as that is known: the one that is not over, or the one for which it was
    /// made, or which sends the next one over it. 0 for none.
    pub(super) fn served(&self) -> u64 {
        match self.current() {
            0 if self.owner != 0 => self.owner,
            0 if self.prepared.is_some() => self.served,
            current => current,
        }
    }

    /// Whether there are exchanges that are not over.
    pub(super) fn is_pending(&self) -> bool {
        self.begun != self.ended
    }

    /// What the other side says to the oldest one is no answer: it has failed.
    pub(super) fn answered_otherwise(&mut self) {
        self.why = Why::NotUnderstood;
        if let Some((exchange, answer)) = self.pop() {
            self.end(exchange.span, &answer, &End { is_complete: false, request_bytes: 0, response_bytes: 0 });
        }
    }

    /// The connection is not understood any more: what is open ends here, and nothing is said of how.
    pub(super) fn give_up(&mut self) {
        while let Some((exchange, _)) = self.pop() {
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

    /// Whether there is a place for one more; it is made if need be.
    fn has_place(&mut self) -> bool {
        // In order: one that can be noted is answered after those that could not.
        if self.untold > 0 {
            return false;
        }
        let count = self.begun.wrapping_sub(self.ended) as usize;
        if self.many.is_some() || count < MOST_PENDING {
            return count < if self.many.is_some() { MOST_PIPELINED } else { MOST_PENDING };
        }
        let Some(mut room) = memory().and_then(|memory| memory.take_room()) else { return false };
        for number in 0..count as u32 {
            let number = self.ended.wrapping_add(number);
            if let (Some(exchange), Some(place)) = (self.get(number), place_in(&mut room, number)) {
                *place = exchange.bytes();
            }
        }
        self.many = Some(room);
        true
    }

    fn push(&mut self, exchange: Exchange) {
        if !self.is_pending() {
            // Mostly there is one at a time, which then always lies in the same place.
            (self.begun, self.ended, self.many) = (0, 0, None);
        }
        match &mut self.many {
            Some(room) => {
                if let Some(place) = place_in(room, self.begun) {
                    *place = exchange.bytes();
                }
            }
            None => {
                if let Some(place) = self.few.get_mut(self.begun as usize % MOST_PENDING) {
                    *place = exchange;
                }
            }
        }
        self.begun = self.begun.wrapping_add(1);
    }

    fn get(&self, number: u32) -> Option<Exchange> {
        match &self.many {
            Some(room) => room.as_bytes().as_chunks().0.get(number as usize % MOST_PIPELINED).map(Exchange::of),
            None => self.few.get(number as usize % MOST_PENDING).copied(),
        }
    }

    fn oldest(&self) -> Option<Exchange> {
        if self.is_pending() { self.get(self.ended) } else { None }
    }

    fn pop(&mut self) -> Option<(Exchange, Answer)> {
        let oldest = self.oldest()?;
        self.ended = self.ended.wrapping_add(1);
        Some((oldest, core::mem::replace(&mut self.answer, Answer::NONE)))
    }
}

const _: () = assert!(ROOM >= MOST_PIPELINED * size_of::<Exchange>());

fn place_in(room: &mut RoomRef, number: u32) -> Option<&mut [u8; 16]> {
    room.bytes().as_chunks_mut().0.get_mut(number as usize % MOST_PIPELINED)
}

impl Exchange {
    fn bytes(self) -> [u8; 16] {
        (u128::from(self.span) << 64 | u128::from(self.request)).to_ne_bytes()
    }

    fn of(bytes: &[u8; 16]) -> Exchange {
        let both = u128::from_ne_bytes(*bytes);
        Exchange { span: (both >> 64) as u64, request: both as u64 }
    }
}
