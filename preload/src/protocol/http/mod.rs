//! HTTP/1.0 and 1.1 (RFC 9112). HTTP/2 is recognised by its preface and left alone.

mod chunked;
mod head;
mod messages;
mod preamble;
#[cfg(test)]
mod tests;

pub use head::{Header, Headers, Lines, MAX_HEAD, MOST_LINES, RequestHead, ResponseHead};
pub use messages::Ahead;

use super::{End, Event, Lost, MOST_PENDING, Protocol, Request, Response, Room, Side, Tell};
use head::Framing;
use messages::{Found, Messages};

/// Whether a request's whole head is at the beginning of the bytes, behind what may come before it.
#[must_use]
pub fn has_whole_head(bytes: &[u8]) -> bool {
    let head = bytes.get(preamble::length(bytes, true)..).unwrap_or_default();
    head::end_of_head(head, 0).is_some()
}

/// A request that is not answered completely.
#[derive(Clone, Copy, Default, Debug)]
struct Pending {
    is_head: bool,
    is_connect: bool,
    wants_upgrade: bool,
    /// The size of its body, once that is complete.
    bytes: u64,
}

/// A connection with HTTP/1.
pub struct Http {
    requests: Messages,
    responses: Messages,
    pending: [Pending; MOST_PENDING],
    /// How many requests have begun and how many are over.
    begun: u32,
    ended: u32,
}

impl Default for Http {
    fn default() -> Self {
        Http {
            requests: Messages::new(true),
            responses: Messages::new(false),
            pending: [Pending::default(); MOST_PENDING],
            begun: 0,
            ended: 0,
        }
    }
}

impl Protocol for Http {
    fn begins_with(first: u8) -> bool {
        // Methods are upper case by custom. Empty lines come first where a client before us was sloppy.
        first.is_ascii_uppercase() || first == b'\r'
    }

    fn feed(&mut self, side: Side, bytes: &[u8], room: &mut dyn Room, tell: &mut Tell<'_>) -> Result<(), Lost> {
        let mut rest = bytes;
        // Each round takes at least one byte or ends a body, of which every head brings one.
        loop {
            let taken = match side {
                Side::Client => self.request_bytes(rest, room, tell)?,
                Side::Server => self.response_bytes(rest, room, tell)?,
            };
            let Some(taken) = taken else { break };
            rest = rest.get(taken..).unwrap_or_default();
        }
        let messages = if side == Side::Client { &self.requests } else { &self.responses };
        if messages.has_nothing_gathered() {
            room.release();
        }
        Ok(())
    }

    fn skip(&mut self, side: Side, count: u64, tell: &mut Tell<'_>) -> Result<(), Lost> {
        match side {
            Side::Client => {
                if self.requests.skip(count)? {
                    self.request_ended();
                }
            }
            Side::Server => {
                if self.responses.skip(count)? {
                    self.end(true, tell);
                }
            }
        }
        Ok(())
    }

    fn closed(&mut self, side: Side, tell: &mut Tell<'_>) {
        if side == Side::Client {
            return;
        }
        let mut is_complete = self.responses.ends_with_connection();
        while self.is_pending() {
            self.end(is_complete, tell);
            is_complete = false;
        }
        self.become_tunnel();
    }
}

impl Http {
    /// The head of a request that would be complete if the client sent `bytes` next.
    pub fn complete_request<'a>(&self, bytes: &'a [u8], room: &'a mut dyn Room) -> Option<Ahead<'a>> {
        self.requests.complete_with(bytes, room)
    }

    /// Whether a request has begun of which not all has come.
    #[must_use]
    pub fn is_in_request(&self) -> bool {
        self.requests.is_in_body() || !self.requests.has_nothing_gathered()
    }

    /// How many bytes of a request's head have come that is not complete.
    #[must_use]
    pub fn gathered_of_request(&self) -> u64 {
        self.requests.gathered()
    }

    /// Whether the client's next bytes begin a request, or go on with a head.
    #[must_use]
    pub fn expects_request(&self) -> bool {
        self.requests.expects_head()
    }

    /// Whether the server, of which an answer is awaited, would say with these bytes something else: they begin as no answer
    /// of HTTP/1 does.
    #[must_use]
    pub fn is_answered_otherwise(&self, bytes: &[u8]) -> bool {
        let said = bytes.get(preamble::length(bytes, false)..).unwrap_or_default();
        self.is_pending() && self.responses.is_between() && !head::is_plausible(said, false)
    }

    fn is_pending(&self) -> bool {
        self.begun != self.ended
    }

    fn become_tunnel(&mut self) {
        self.requests.become_tunnel();
        self.responses.become_tunnel();
    }

    fn oldest(&mut self) -> Option<&mut Pending> {
        let number = self.ended as usize % MOST_PENDING;
        if self.is_pending() { self.pending.get_mut(number) } else { None }
    }

    /// Takes in bytes of requests. Gives how many; `None` where all are.
    fn request_bytes(&mut self, bytes: &[u8], room: &mut dyn Room, tell: &mut Tell<'_>) -> Result<Option<usize>, Lost> {
        match self.requests.next(bytes, room)? {
            Found::Head(head, taken) => {
                let mut lines = Lines::new();
                let head = RequestHead::parse(head, &mut lines)?;
                if self.begun.wrapping_sub(self.ended) as usize >= MOST_PENDING {
                    return Err(Lost);
                }
                if !self.is_pending() {
                    // Mostly there is one at a time, which then always lies in the same place.
                    (self.begun, self.ended) = (0, 0);
                }
                if let Some(place) = self.pending.get_mut(self.begun as usize % MOST_PENDING) {
                    *place = Pending {
                        is_head: head.method == b"HEAD",
                        is_connect: head.method == b"CONNECT",
                        wants_upgrade: head.wants_upgrade,
                        ..Pending::default()
                    };
                }
                self.begun = self.begun.wrapping_add(1);
                self.requests.body(head.framing);
                tell(Event::Request(Request::Http(&head)));
                Ok(Some(taken))
            }
            Found::End(taken) => {
                self.request_ended();
                Ok(Some(taken))
            }
            Found::Nothing => Ok(None),
        }
    }

    /// The body of the request that began last is complete.
    fn request_ended(&mut self) {
        let content = self.requests.content();
        if self.is_pending()
            && let Some(last) = self.pending.get_mut(self.begun.wrapping_sub(1) as usize % MOST_PENDING)
        {
            last.bytes = content;
        }
    }

    /// Takes in bytes of responses.
    fn response_bytes(
        &mut self,
        bytes: &[u8],
        room: &mut dyn Room,
        tell: &mut Tell<'_>,
    ) -> Result<Option<usize>, Lost> {
        match self.responses.next(bytes, room)? {
            Found::Head(head, taken) => {
                let mut lines = Lines::new();
                let head = ResponseHead::parse(head, &mut lines)?;
                self.answer(&head, tell)?;
                Ok(Some(taken))
            }
            Found::End(taken) => {
                self.end(true, tell);
                Ok(Some(taken))
            }
            Found::Nothing => Ok(None),
        }
    }

    fn answer(&mut self, head: &ResponseHead<'_>, tell: &mut Tell<'_>) -> Result<(), Lost> {
        let pending = self.oldest().ok_or(Lost)?;
        if (100..200).contains(&head.status) && head.status != 101 {
            // The answer is still to come.
            return Ok(());
        }
        let tunnel =
            (head.status == 101 && pending.wants_upgrade) || (pending.is_connect && (200..300).contains(&head.status));
        if head.status == 101 && !tunnel {
            return Err(Lost);
        }
        let no_body = pending.is_head || matches!(head.status, 204 | 304);
        self.responses.body(if no_body { Framing::Length(0) } else { head.framing });
        tell(Event::Response(Response::Http(head)));
        if tunnel {
            self.end(true, tell);
            self.become_tunnel();
        }
        Ok(())
    }

    /// The oldest exchange is over.
    fn end(&mut self, is_complete: bool, tell: &mut Tell<'_>) {
        let still_sent = self.begun.wrapping_sub(self.ended) == 1 && !self.requests.is_between();
        let so_far = self.requests.content();
        let response_bytes = if is_complete || self.responses.is_in_body() { self.responses.content() } else { 0 };
        let Some(oldest) = self.oldest() else { return };
        let request_bytes = if still_sent { so_far } else { oldest.bytes };
        self.ended = self.ended.wrapping_add(1);
        tell(Event::End(End { is_complete, request_bytes, response_bytes }));
    }
}
