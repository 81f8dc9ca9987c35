//! A connection of the program: what is known of it, and who may look at it.

use super::address::Address;
use super::copy::Copied;
use super::exchange::{Exchanges, Why};
use super::memory::{Held, RoomRef, memory};
use super::rewrite::Rewrite;
use super::{Place, waits};
use crate::protocol::http::Ahead;
use crate::protocol::{Lost, Parser, Room, Side};
use crate::tracer::{brought, native};
use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use ddtrace::sys;

/// How often is looked for who else is at a connection. He needs a few microseconds, if he is not interrupted.
const PATIENCE: u32 = 200;

/// Something that one thread at a time looks at. Who finds it taken goes without, soon.
pub(super) struct Guarded<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is only reached by the one who took the flag.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    pub(super) const fn new(value: T) -> Self {
        Guarded { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// `None` where another thread, or what this signal handler interrupted, is at it.
    pub(super) fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut patience = PATIENCE;
        // Acquire pairs with the release below: what the one before did is visible.
        while self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            patience = patience.checked_sub(1)?;
            spin_loop();
        }
        // SAFETY: the flag is ours.
        let result = look(unsafe { &mut *self.value.get() });
        self.taken.store(false, Ordering::Release);
        Some(result)
    }
}

/// A request whose head is being sent with headers of ours.
pub(super) struct Sending {
    pub(super) rewrite: Rewrite,
    /// Where the next request may begin, counted as the places of the rewrite are: what is sent in the same call as this one is
    /// looked at by itself.
    pub(super) request_end: usize,
    /// What is put in: so many bytes of the room.
    pub(super) text: RoomRef,
    /// By which the head is known again, if the program tries once more to send it.
    pub(super) head: u64,
    /// Where the buffers of the call are, if they are many.
    pub(super) vectors: Option<RoomRef>,
}

/// What is known of a connection.
pub(crate) struct Connection {
    /// The program sends wrongly if two threads send at the same time, so this is for one thread alone. No other one looks
    /// at it, as what is noted there must not get lost: for all others there is the flag.
    pub(super) sending: Guarded<Option<Sending>>,
    /// The same, where it goes through a TLS library.
    pub(super) copied: Guarded<Option<Copied>>,
    is_sending: AtomicBool,
    pub(super) traffic: Guarded<Traffic>,
    /// Something of the traffic was not seen.
    pub(super) is_lost: AtomicBool,
    /// What has come over it is no request that is understood: how the program answers tells whether there was one.
    pub(super) is_in_doubt: AtomicBool,
    /// How many threads are in a call that sends: what that has sent is seen when it comes back.
    pub(super) calls: AtomicU32,
}

/// What goes over a connection.
pub(super) struct Traffic {
    pub(super) is_accepted: bool,
    pub(super) parser: Option<Parser>,
    rooms: [Option<RoomRef>; 2],
    pub(super) exchanges: Exchanges,
    /// The socket's number, by which a descriptor that was closed behind our back is noticed. Of connections that the
    /// program has made.
    pub(super) inode: u64,
    /// Which side the program is was asked for: of a TLS session that is not known before something goes over it.
    pub(super) is_settled: bool,
    /// What the program said about that when it made the session.
    pub(super) is_server: Option<bool>,
    /// How many children the process had begun before, which therefore do not have the connection.
    children_before: u32,
    /// The program has sent the descriptor to another process.
    pub(super) is_sent: bool,
    /// How many bytes had been written to the socket when the head was begun that is being sent in parts, if that is known.
    head_from: Option<u64>,
}

/// What a parser gathers in.
struct Gathering<'a>(&'a mut Option<RoomRef>);

impl Room for Gathering<'_> {
    fn bytes(&mut self) -> Option<&mut [u8]> {
        if self.0.is_none() {
            *self.0 = memory().and_then(|memory| memory.take_room());
        }
        self.0.as_mut().map(|room| room.bytes())
    }

    fn release(&mut self) {
        *self.0 = None;
    }
}

impl Connection {
    pub(super) fn new(is_accepted: bool, peer: Address, owner: u64, inode: u64) -> Connection {
        Connection {
            sending: Guarded::new(None),
            copied: Guarded::new(None),
            is_sending: AtomicBool::new(false),
            traffic: Guarded::new(Traffic {
                is_accepted,
                parser: None,
                rooms: [None, None],
                exchanges: Exchanges::new(is_accepted, peer, owner),
                inode,
                is_settled: true,
                is_server: None,
                children_before: super::children(),
                is_sent: false,
                head_from: None,
            }),
            is_lost: AtomicBool::new(false),
            is_in_doubt: AtomicBool::new(false),
            calls: AtomicU32::new(0),
        }
    }

    /// Before an answer is looked at: whoever has sent the request for it may be on his way back from the call, in another
    /// thread, and is waited for, a little.
    pub(super) fn wait_for_request(&self) {
        const MOST_LOOKS: u32 = 2000;
        for _ in 0..MOST_LOOKS {
            if self.calls.load(Ordering::Acquire) == 0 {
                return;
            }
            let awaits_none = |traffic: &mut Traffic| !traffic.is_accepted && !traffic.exchanges.is_pending();
            if self.traffic.with(awaits_none) == Some(false) {
                return;
            }
            sys::give_way();
        }
    }

    pub(super) fn is_accepted(&mut self) -> bool {
        self.traffic.get_mut().is_accepted
    }

    pub(super) fn exchanges(&mut self) -> &mut Exchanges {
        &mut self.traffic.get_mut().exchanges
    }

    /// What is inside of an encrypted one.
    pub(super) fn secure(owner: u64, is_server: Option<bool>) -> Connection {
        let mut connection = Connection::new(false, Address::UNKNOWN, owner, 0);
        let traffic = connection.traffic.get_mut();
        traffic.is_settled = false;
        traffic.is_server = is_server;
        traffic.exchanges.is_secure = true;
        connection
    }

    /// Says whether a head with headers of ours is on its way, or may be after the next look at the traffic.
    pub(super) fn set_sending(&self, is_sending: bool) {
        self.is_sending.store(is_sending, Ordering::Relaxed);
        // Pairs with the fence in `is_sending`: of one who begins to send, or has sent all, and then looks whether the
        // connection is lost, and one who has lost it and then looks whether something is being sent, one sees the other.
        fence(Ordering::SeqCst);
    }

    /// Whether a head with headers of ours may be on its way: asked after the connection was lost. Whoever sends it gives
    /// the connection up then.
    pub(super) fn is_sending(&self) -> bool {
        fence(Ordering::SeqCst);
        self.is_sending.load(Ordering::Relaxed)
    }

    /// Looks at the traffic; `None` once something of it was not seen, as then nothing is certain any more.
    pub(super) fn with_traffic<R>(&self, look: impl FnOnce(&mut Traffic) -> Result<R, Lost>) -> Result<R, Lost> {
        if self.is_lost.load(Ordering::Relaxed) {
            return Err(Lost);
        }
        let result = self.traffic.with(|traffic| {
            let result = look(traffic);
            // Somebody may have come by meanwhile.
            if result.is_err() || self.is_lost.load(Ordering::Relaxed) {
                traffic.exchanges.give_up();
                return Err(Lost);
            }
            result
        });
        let result = result.unwrap_or(Err(Lost));
        if result.is_err() {
            self.is_lost.store(true, Ordering::Relaxed);
        }
        result
    }

    /// The program has closed it.
    pub(super) fn closed(&self) {
        let _ = self.sending.with(|sending| *sending = None);
        let _ = self.copied.with(|copied| *copied = None);
        let _ = self.with_traffic(|traffic| {
            let served = traffic.exchanges.served();
            if served != 0 && waits::deals_at_once() {
                // It is given up, and another one is tried for the same request.
                native::set_current_request(served);
            }
            traffic.ended(Side::Server, traffic.why_closed());
            traffic.exchanges.give_up();
            Ok(())
        });
    }
}

impl Traffic {
    /// What goes over the connection from here on is not seen, or not understood: requests may be.
    pub(super) fn is_not_seen(&mut self) {
        self.exchanges.give_up();
        if self.is_accepted {
            brought::some_are_unseen();
        }
    }

    /// Why it ends where the program ends it.
    pub(super) fn why_closed(&self) -> Why {
        let is_shared = self.is_sent || self.children_before != super::children();
        if !self.is_accepted && waits::has_waited_in_vain() {
            return Why::ClosedInVain;
        }
        if is_shared { Why::LeftToOthers } else { Why::Closed }
    }

    /// It has turned out which side the program is. Nothing has gone over the connection yet.
    pub(super) fn settle(&mut self, is_accepted: bool) {
        self.is_settled = true;
        self.is_accepted = is_accepted;
        self.exchanges.is_accepted = is_accepted;
    }

    /// The side that this program is.
    pub(super) fn own_side(&self) -> Side {
        if self.is_accepted { Side::Server } else { Side::Client }
    }

    pub(super) fn other_side(&self) -> Side {
        if self.is_accepted { Side::Client } else { Side::Server }
    }

    /// The parser, chosen by what the client sends first.
    fn parser(&mut self, side: Side, bytes: &[u8]) -> Result<&mut Parser, Lost> {
        if self.parser.is_none() {
            if side == Side::Server {
                return Err(Lost);
            }
            let first = bytes.first().ok_or(Lost)?;
            self.parser = Some(Parser::recognise(*first, self.is_accepted).ok_or(Lost)?);
        }
        self.parser.as_mut().ok_or(Lost)
    }

    /// Takes in what one side has sent.
    pub(super) fn feed(&mut self, side: Side, bytes: &[u8], fd: i32) -> Result<(), Lost> {
        if bytes.is_empty() {
            return Ok(());
        }
        // Bytes of bodies are never touched: the program may send a file that it has mapped, and that may shrink.
        self.parser(side, bytes)?;
        let Traffic { parser: Some(parser), rooms: [of_client, of_server], exchanges, .. } = self else {
            return Err(Lost);
        };
        if let Parser::Http(http) = parser
            && side == Side::Server
            && !exchanges.is_accepted
            && http.is_answered_otherwise(bytes)
        {
            exchanges.answered_otherwise();
            return Err(Lost);
        }
        let room = if side == Side::Client { of_client } else { of_server };
        parser.feed(side, bytes, &mut Gathering(room), &mut |event| exchanges.take(event, fd))
    }

    /// One side has sent so many bytes that were not seen.
    pub(super) fn skip(&mut self, side: Side, count: u64, fd: i32) -> Result<(), Lost> {
        let exchanges = &mut self.exchanges;
        self.parser.as_mut().ok_or(Lost)?.skip(side, count, &mut |event| exchanges.take(event, fd))
    }

    /// One side sends no more.
    pub(super) fn ended(&mut self, side: Side, why: Why) {
        let exchanges = &mut self.exchanges;
        exchanges.why = why;
        if let Some(parser) = &mut self.parser {
            parser.closed(side, &mut |event| exchanges.take(event, -1));
        }
    }

    /// Whether it is known to speak HTTP.
    pub(super) fn is_http(&self) -> bool {
        matches!(self.parser, Some(Parser::Http(_)))
    }

    /// Whether a request has begun of which not all has come.
    pub(super) fn is_in_request(&self) -> bool {
        matches!(&self.parser, Some(Parser::Http(http)) if http.is_in_request())
    }

    /// Notes where the head begins of which the program has sent a part.
    pub(super) fn note_part_of_head(&mut self, place: Place) {
        let Some(Parser::Http(http)) = &self.parser else { return };
        let sent = http.gathered_of_request();
        if sent == 0 || self.is_accepted {
            self.head_from = None;
        } else if self.head_from.is_none()
            && let Place::Descriptor(fd) = place
        {
            self.head_from = sys::tcp_bytes_written(fd).and_then(|written| written.checked_sub(sent));
        }
    }

    /// Whether all that has gone out since the present head began was seen: what is written past us (by another process, by
    /// streams of the C library) would make a head of what is none. `None` where that is not known.
    pub(super) fn was_all_seen(&self, place: Place) -> Option<bool> {
        let (Place::Descriptor(fd), Some(Parser::Http(http))) = (place, &self.parser) else { return Some(true) };
        let sent = http.gathered_of_request();
        if sent == 0 {
            return Some(true);
        }
        Some(self.head_from?.checked_add(sent)? == sys::tcp_bytes_written(fd)?)
    }

    /// Whether the program's next bytes may be the head of an HTTP request, or go on with one.
    pub(super) fn expects_request(&self) -> bool {
        match &self.parser {
            _ if self.is_accepted => false,
            None => true,
            Some(Parser::Http(http)) => http.expects_request(),
            Some(_) => false,
        }
    }

    /// Calls `look` with the head that would be complete if the program sent `bytes` next.
    pub(super) fn with_complete_request<R>(
        &mut self,
        bytes: &[u8],
        look: impl FnOnce(&Ahead<'_>, &mut Exchanges) -> Result<Option<R>, Lost>,
    ) -> Result<Option<R>, Lost> {
        if bytes.is_empty() {
            return Ok(None);
        }
        self.parser(Side::Client, bytes)?;
        let Traffic { parser, rooms: [of_client, _], exchanges, .. } = self;
        let Some(Parser::Http(http)) = parser else { return Ok(None) };
        match http.complete_request(bytes, of_client) {
            Some(ahead) => look(&ahead, exchanges),
            None => Ok(None),
        }
    }
}

/// Without making room: what is to be seen ahead needs none but what is there.
impl Room for Option<RoomRef> {
    fn bytes(&mut self) -> Option<&mut [u8]> {
        self.as_mut().map(|room| room.bytes())
    }

    fn release(&mut self) {
        *self = None;
    }
}

pub(super) type ConnectionRef = Held<Connection>;

#[cfg(test)]
mod tests {
    use super::*;

    /// What the sending thread notes would be lost, if somebody else were at it just then.
    #[test]
    fn who_asks_whether_something_is_being_sent_does_not_take_the_place() {
        let connection = Connection::new(false, Address::UNKNOWN, 0, 0);
        let (mut seen, mut after) = (None, None);
        connection.sending.with(|_| seen = Some(connection.is_sending()));
        connection.set_sending(true);
        connection.sending.with(|_| after = Some(connection.is_sending()));
        assert_eq!((seen, after), (Some(false), Some(true)));
    }
}
