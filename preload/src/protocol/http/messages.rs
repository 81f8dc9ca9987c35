//! The messages of one direction: heads, and how far a body reaches.

use super::super::{Lost, Room};
use super::chunked::Chunked;
use super::head::{Framing, MAX_HEAD, end_of_head, is_plausible};
use super::preamble;

/// Where in a stream of messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// In a head, of which `Messages::gathered` bytes are in the room.
    Head,
    /// So many bytes of a body to go.
    Length(u64),
    Chunked(Chunked),
    /// The body ends with the connection.
    Close,
    /// Another protocol from here on.
    Tunnel,
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Messages {
    state: State,
    gathered: u16,
    is_request: bool,
    /// Bytes of content of the present message.
    content: u64,
}

/// What was found next in a stream.
pub(super) enum Found<'a> {
    /// A head, and how many of the bytes it takes up.
    Head(&'a [u8], usize),
    /// A message has ended, after so many bytes.
    End(usize),
    /// Nothing more: all bytes were taken in.
    Nothing,
}

impl Messages {
    pub(super) const fn new(is_request: bool) -> Messages {
        Messages { state: State::Head, gathered: 0, is_request, content: 0 }
    }

    /// Whether the next byte begins a message, or goes on with a head.
    pub(super) fn expects_head(&self) -> bool {
        self.state == State::Head
    }

    /// Whether no more than whole messages were seen.
    pub(super) fn is_between(&self) -> bool {
        self.expects_head() && self.gathered == 0
    }

    /// How much content the present message has had so far.
    pub(super) fn content(&self) -> u64 {
        self.content
    }

    /// Whether it is behind a head and before the end of its message.
    pub(super) fn is_in_body(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Chunked(_) | State::Close)
    }

    /// How many bytes of a head have come that is not complete.
    pub(super) fn gathered(&self) -> u64 {
        self.gathered.into()
    }

    /// Whether the room is not in use.
    pub(super) fn has_nothing_gathered(&self) -> bool {
        self.gathered == 0
    }

    /// Whether only the end of the connection ends the present message.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.state == State::Close
    }

    /// Nothing more is understood.
    pub(super) fn become_tunnel(&mut self) {
        self.state = State::Tunnel;
    }

    /// Says how long the body is behind the head that was found last. Without, the next head follows.
    pub(super) fn body(&mut self, framing: Framing) {
        self.content = 0;
        self.state = match framing {
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::START),
            Framing::Close => State::Close,
        };
    }

    /// Goes on by bytes that were not seen. Gives whether they end a body.
    pub(super) fn skip(&mut self, count: u64) -> Result<bool, Lost> {
        match &mut self.state {
            State::Length(left) => {
                *left = left.checked_sub(count).ok_or(Lost)?;
                let ends = *left == 0;
                self.content = self.content.wrapping_add(count);
                if ends {
                    self.state = State::Head;
                }
                Ok(ends)
            }
            State::Close => {
                self.content = self.content.wrapping_add(count);
                Ok(false)
            }
            State::Tunnel => Ok(false),
            State::Head | State::Chunked(_) => Err(Lost),
        }
    }

    /// Goes over `bytes` up to the next thing worth knowing.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8], room: &'a mut dyn Room) -> Result<Found<'a>, Lost> {
        match &mut self.state {
            State::Head => self.head(bytes, room),
            State::Length(0) => Ok(self.end(0)),
            State::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left = left.wrapping_sub(taken as u64);
                self.content = self.content.wrapping_add(taken as u64);
                Ok(if self.state == State::Length(0) { self.end(taken) } else { Found::Nothing })
            }
            State::Chunked(chunked) => {
                let (taken, content) = chunked.feed(bytes)?;
                self.content = self.content.wrapping_add(content);
                Ok(if self.state == State::Chunked(Chunked::Done) { self.end(taken) } else { Found::Nothing })
            }
            State::Close => {
                self.content = self.content.wrapping_add(bytes.len() as u64);
                Ok(Found::Nothing)
            }
            State::Tunnel => Ok(Found::Nothing),
        }
    }

    fn end<'a>(&mut self, taken: usize) -> Found<'a> {
        self.state = State::Head;
        Found::End(taken)
    }

    fn head<'a>(&mut self, bytes: &'a [u8], room: &'a mut dyn Room) -> Result<Found<'a>, Lost> {
        let gathered = usize::from(self.gathered);
        if gathered == 0 {
            let skipped = preamble::length(bytes, self.is_request);
            let bytes = bytes.get(skipped..).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(Found::Nothing);
            }
            if let Some(end) = end_of_head(bytes, 0) {
                let head = bytes.get(..end).filter(|head| head.len() <= MAX_HEAD).ok_or(Lost)?;
                return Ok(Found::Head(head, skipped.wrapping_add(end)));
            }
            self.gather(bytes, room)?;
            return Ok(Found::Nothing);
        }
        let taken = self.gather_some(bytes, room)?;
        let held = usize::from(self.gathered);
        let held_so_far = room.bytes().and_then(|room| room.get(..held)).ok_or(Lost)?;
        let skipped = preamble::length(held_so_far, self.is_request);
        if skipped > 0 {
            // What comes before the head was begun in what was there before, and ends in these bytes.
            self.gathered = 0;
            let rest = skipped.checked_sub(gathered).ok_or(Lost)?;
            return Ok(match self.head(bytes.get(rest..).unwrap_or_default(), room)? {
                Found::Head(head, end) => Found::Head(head, rest.wrapping_add(end)),
                found => found,
            });
        }
        let all = room.bytes().and_then(|room| room.get(..held)).ok_or(Lost)?;
        // The end may have begun in the last bytes of what was there before.
        match end_of_head(all, gathered.saturating_sub(3)) {
            Some(end) => {
                self.gathered = 0;
                let head = all.get(..end).ok_or(Lost)?;
                Ok(Found::Head(head, end.wrapping_sub(gathered)))
            }
            None if taken < bytes.len() || !is_plausible(all, self.is_request) => Err(Lost),
            None => Ok(Found::Nothing),
        }
    }

    fn gather(&mut self, bytes: &[u8], room: &mut dyn Room) -> Result<(), Lost> {
        if bytes.len() >= MAX_HEAD || !is_plausible(bytes, self.is_request) {
            return Err(Lost);
        }
        self.gather_some(bytes, room).map(drop)
    }

    /// Puts as much into the room as fits.
    fn gather_some(&mut self, bytes: &[u8], room: &mut dyn Room) -> Result<usize, Lost> {
        let room = room.bytes().and_then(|room| room.get_mut(..MAX_HEAD)).ok_or(Lost)?;
        let free = room.get_mut(usize::from(self.gathered)..).ok_or(Lost)?;
        let taken = bytes.len().min(free.len());
        if let (Some(free), Some(bytes)) = (free.get_mut(..taken), bytes.get(..taken)) {
            free.copy_from_slice(bytes);
        }
        self.gathered = self.gathered.wrapping_add(taken as u16);
        Ok(taken)
    }

    /// The head that would be complete if `bytes` came next. Changes nothing but unused bytes of the room.
    pub(super) fn complete_with<'a>(&self, bytes: &'a [u8], room: &'a mut dyn Room) -> Option<Ahead<'a>> {
        if !self.expects_head() {
            return None;
        }
        let mut trial = *self;
        match trial.next(bytes, room) {
            Ok(Found::Head(head, end)) => {
                let end_in_all = end.checked_add(usize::from(self.gathered))?;
                Some(Ahead { head, skipped: end_in_all.checked_sub(head.len())?, before: self.gathered.into() })
            }
            _ => None,
        }
    }
}

/// A head that is complete with bytes that are about to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ahead<'a> {
    /// The head.
    pub head: &'a [u8],
    /// How much was skipped before it, and how much of both was sent before those bytes.
    skipped: usize,
    before: usize,
}

impl Ahead<'_> {
    /// Where in the bytes that are about to be sent a place in the head is; `None` if it was sent before.
    #[must_use]
    pub fn place(&self, in_head: usize) -> Option<usize> {
        in_head.checked_add(self.skipped)?.checked_sub(self.before)
    }
}
