//! What the program writes to a connection; and the headers that are put into its requests.

use super::connection::{Connection, Sending};
use super::exchange::Exchanges;
use super::memory::{ROOM, memory};
use super::rewrite::{Rewrite, Segment};
use super::{Place, Vector, connection, session};
use crate::hash::hash;
use crate::protocol::Lost;
use crate::protocol::http::{self, Ahead, RequestHead};
use crate::tracer::native;
use core::mem::MaybeUninit;
use core::ptr::{NonNull, null};
use core::sync::atomic::Ordering;
use ddtrace::propagation::CarrierMut;
use ddtrace::sys;

/// The most buffers that a call is made with in place of the program's, without a room for them.
const MOST_VECTORS: usize = 96;
/// The most that the system takes in one call; a room has place for them.
const MOST_OF_SYSTEM: usize = 1024;
/// The most buffers over which a head may be spread.
const MOST_HOST_VECTORS: usize = 64;
/// Longer heads, and such with more lines, are left as they are: servers have limits, and ours must not break one.
const MAX_HEAD: usize = 6 * 1024;
const MOST_LINES: usize = 80;
/// The most that is put in.
const MAX_TEXT: usize = 3 * 1024;

/// A call that is to be made with other buffers than the program's.
pub(crate) struct Prepared {
    /// The buffers; the first `count` were written.
    vectors: [MaybeUninit<Vector>; MOST_VECTORS],
    /// Where they are if they are more than that: place for [`MOST_OF_SYSTEM`] in a room of the connection's.
    many: Option<NonNull<MaybeUninit<Vector>>>,
    count: usize,
    /// How many bytes they hold.
    offered: usize,
    /// How many bytes the program has given, up to the end of the request, and how many of them were taken.
    length: usize,
    taken: usize,
    /// What is put in.
    own: Vector,
    /// By which the result is translated.
    rewrite: Rewrite,
}

impl Prepared {
    /// Room for one. It is large: filled in where it is, and not moved.
    pub(crate) const fn new() -> Prepared {
        Prepared {
            vectors: [const { MaybeUninit::uninit() }; MOST_VECTORS],
            many: None,
            count: 0,
            offered: 0,
            length: 0,
            taken: 0,
            own: Vector { base: null(), length: 0 },
            rewrite: Rewrite::NONE,
        }
    }

    /// For another call.
    pub(crate) fn begin_again(&mut self) {
        (self.many, self.count, self.offered, self.length, self.taken) = (None, 0, 0, 0, 0);
        self.own = Vector { base: null(), length: 0 };
        self.rewrite = Rewrite::NONE;
    }

    /// The buffers, and how many bytes they hold.
    pub(crate) fn vectors(&self) -> (&[Vector], usize) {
        let written = match self.many {
            // SAFETY: `push` wrote the first `count`; the room is the connection's until the head is sent, and its memory is
            // never given back.
            Some(many) => unsafe { core::slice::from_raw_parts(many.as_ptr(), self.count) },
            None => self.vectors.get(..self.count).unwrap_or_default(),
        };
        // SAFETY: `push` wrote the first `count`, and `MaybeUninit` has the layout of what is in it.
        (unsafe { core::slice::from_raw_parts(written.as_ptr().cast::<Vector>(), written.len()) }, self.offered)
    }
}

/// Before a call: whether it is to be made with other buffers, which are `prepared` then, as it sends the head of a request.
///
/// # Safety
///
/// The vectors are what the program has given to the call, whose buffers may be bad.
#[cold]
pub(crate) unsafe fn prepare(fd: i32, vectors: &[Vector], prepared: &mut Prepared) -> bool {
    let Some(connection) = connection(fd) else { return false };
    let place = Place::Descriptor(fd);
    // SAFETY: the caller's promise.
    if unsafe { session::takes_over(place, &connection, vectors, usize::MAX) } {
        return false;
    }
    prepared.length = vectors.iter().fold(0usize, |sum, vector| sum.saturating_add(vector.length));
    let is_prepared = connection.sending.with(|sending| {
        if sending.as_ref().is_none_or(|sending| sending.rewrite.is_unsent()) {
            connection.set_sending(true);
            // SAFETY: the caller's promise.
            unsafe { begin(&connection, sending, vectors, place) };
        }
        let Some(begun) = sending else {
            connection.set_sending(false);
            return false;
        };
        if !prepared.is_of(begun, vectors) && begun.rewrite.is_unsent() {
            // With a call more it could be sent, but not with all that the program's one call means.
            *sending = None;
            connection.set_sending(false);
        }
        sending.is_some()
    });
    let is_prepared = is_prepared.unwrap_or(false);
    if !is_prepared && connection.is_lost.load(Ordering::Relaxed) {
        place.give_up(&connection);
    }
    is_prepared
}

/// The bytes of a buffer, as far as a head may reach into it; `None` where they cannot be read.
///
/// # Safety
///
/// As for [`prepare`].
pub(super) unsafe fn bytes_of<'a>(vector: &Vector) -> Option<&'a [u8]> {
    const PAGE: usize = 4096;
    let length = vector.length.min(http::MAX_HEAD);
    let start = vector.base as usize;
    let last = start.checked_add(length)?.checked_sub(1)?;
    let mut page = start;
    while page <= last {
        // A bad buffer is the program's error, not a crash of ours.
        if !sys::is_readable(page) {
            return None;
        }
        page = (page | PAGE.wrapping_sub(1)).checked_add(1)?;
    }
    // SAFETY: all pages of it can be read (just tried), and the program does not change what it is sending.
    Some(unsafe { core::slice::from_raw_parts(vector.base, length) })
}

/// The beginning of what the buffers hold, if the first one does not hold a whole head: some send a line in each.
///
/// # Safety
///
/// As for [`prepare`].
unsafe fn gather(vectors: &[Vector], room: &mut [u8]) -> Option<usize> {
    let mut used = 0usize;
    for vector in vectors.iter().filter(|vector| vector.length > 0) {
        // SAFETY: the caller's promise.
        let bytes = unsafe { bytes_of(vector) }?;
        let free = room.get_mut(used..)?;
        for (to, from) in free.iter_mut().zip(bytes) {
            *to = *from;
        }
        used = used.wrapping_add(bytes.len().min(free.len()));
    }
    Some(used)
}

/// Makes up what is to be sent if the program's next bytes complete the head of a request.
///
/// # Safety
///
/// As for [`prepare`].
pub(super) unsafe fn begin(connection: &Connection, sending: &mut Option<Sending>, vectors: &[Vector], place: Place) {
    let begun = connection.with_traffic(|traffic| {
        if !traffic.is_http() {
            traffic.exchanges.asked_unix_ns = native::unix_ns();
        }
        if !traffic.expects_request() {
            return Ok(None);
        }
        let Some(first) = vectors.iter().find(|vector| vector.length > 0) else { return Ok(None) };
        // SAFETY: the caller's promise.
        let Some(mut bytes) = (unsafe { bytes_of(first) }) else { return Ok(None) };
        let mut room = None;
        if vectors.len() > 1 && vectors.len() <= MOST_HOST_VECTORS && !http::has_whole_head(bytes) {
            let Some(room) = memory().and_then(|memory| memory.take_room()).map(|new| room.insert(new)) else {
                return Ok(None);
            };
            // SAFETY: as above.
            let Some(used) = (unsafe { gather(vectors, room.bytes()) }) else { return Ok(None) };
            bytes = room.as_bytes().get(..used).unwrap_or_default();
        }
        let inode = traffic.inode;
        match traffic.was_all_seen(place) {
            Some(true) => {}
            Some(false) => return Err(Lost),
            None => return Ok(None),
        }
        traffic.with_complete_request(bytes, |ahead, exchanges| {
            let known = hash(ahead.head);
            if let Some(old) = sending.take() {
                if old.head == known {
                    return Ok(Some(old));
                }
                // Nothing of the other one was sent, and the program has something else to say.
                exchanges.abandon_prepared();
            }
            let mut lines = http::Lines::new();
            let head = RequestHead::parse(ahead.head, &mut lines)?;
            // What was closed and opened again behind our back is no connection.
            if let Place::Descriptor(fd) = place
                && sys::file_status(fd).map(|status| status.inode) != Ok(inode)
            {
                return Err(Lost);
            }
            Ok(plan(exchanges, &head, ahead, known, place.descriptor()))
        })
    });
    *sending = begun.unwrap_or(None);
}

/// The head with the context of its span in it.
fn plan(exchanges: &mut Exchanges, head: &RequestHead<'_>, ahead: &Ahead<'_>, known: u64, fd: i32) -> Option<Sending> {
    if exchanges.prepared.is_some() {
        return None;
    }
    let begun = exchanges.begin_http(head, fd);
    // Also where there is none: it is not tried twice.
    exchanges.prepared = Some(begun.span);
    let length = head.headers.head_length();
    if begun.context == 0
        || !head.headers.is_complete()
        || length > MAX_HEAD
        || head.headers.iter().count() > MOST_LINES
    {
        return None;
    }
    let mut text = memory()?.take_room()?;
    let room = text.bytes().get_mut(..MAX_TEXT)?;
    let mut lines = Lines { room, used: 0, names: [(0, 0); MOST_OWN_LINES], count: 0, is_full: false };
    if !native::inject(begun.context, &mut lines) || lines.is_full || lines.used == 0 {
        return None;
    }
    // Before the empty line, so that something is left for the program to send behind it.
    let lines_end = head.headers.lines_end();
    let mut rewrite = Rewrite::new(ahead.place(lines_end)?, lines.used, ahead.place(length)?)?;
    for header in head.headers.iter().filter(|header| lines.has(header.name)) {
        if !rewrite.cut(ahead.place(header.start)?, ahead.place(header.end)?) {
            return None;
        }
    }
    let body = head.body_before_next().and_then(|body| usize::try_from(body).ok()).unwrap_or(usize::MAX);
    let request_end = rewrite.end().saturating_add(body);
    Some(Sending { rewrite, request_end, text, head: known, vectors: None })
}

/// The most header lines that all styles together write.
const MOST_OWN_LINES: usize = 24;

/// Header lines in the making.
struct Lines<'a> {
    room: &'a mut [u8],
    used: usize,
    /// Where their names are.
    names: [(u16, u16); MOST_OWN_LINES],
    count: usize,
    is_full: bool,
}

impl Lines<'_> {
    fn put(&mut self, text: &[u8]) {
        let end = self.used.saturating_add(text.len());
        match self.room.get_mut(self.used..end) {
            // Both are as long; that they are is seen by the compiler.
            Some(place) if place.len() == text.len() => {
                place.copy_from_slice(text);
                self.used = end;
            }
            _ => self.is_full = true,
        }
    }

    fn has(&self, name: &[u8]) -> bool {
        let names = self.names.get(..self.count).unwrap_or_default().iter();
        names.map(|(start, end)| (usize::from(*start), usize::from(*end))).any(|(start, end)| {
            end.wrapping_sub(start) == name.len()
                && self.room.get(start..end).is_some_and(|own| own.eq_ignore_ascii_case(name))
        })
    }
}

impl CarrierMut for Lines<'_> {
    fn set(&mut self, name: &str, value: &[u8]) {
        // No style writes a header twice; if two did, the first one counts.
        if self.has(name.as_bytes()) {
            return;
        }
        match self.names.get_mut(self.count) {
            // The room is smaller than 64 KiB.
            Some(place) => *place = (self.used as u16, self.used.saturating_add(name.len()) as u16),
            None => self.is_full = true,
        }
        self.count = self.count.saturating_add(1);
        for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.put(piece);
        }
    }
}

impl Prepared {
    /// Makes up the call for the program's buffers. Whether all of them are in it.
    fn is_of(&mut self, sending: &mut Sending, host: &[Vector]) -> bool {
        self.rewrite = sending.rewrite.clone();
        if self.own_is_next().is_none() {
            self.length = self.length.min(sending.request_end.saturating_sub(self.rewrite.taken()));
        }
        let text = sending.text.as_bytes();
        self.own = Vector { base: text.as_ptr(), length: text.len() };
        if self.rewrite.most_pieces(host.len()) > MOST_VECTORS {
            if sending.vectors.is_none() {
                sending.vectors = memory().and_then(|memory| memory.take_room());
            }
            const { assert!(ROOM >= MOST_OF_SYSTEM * size_of::<Vector>()) };
            self.many = sending.vectors.as_mut().and_then(|room| NonNull::new(room.bytes().as_mut_ptr().cast()));
        }
        self.assemble(host)
    }

    /// The buffers for what the program's own hold behind what was taken. Whether there was room for all.
    fn assemble(&mut self, host: &[Vector]) -> bool {
        (self.count, self.offered) = (0, 0);
        let (skipped, own) = (self.taken, self.own);
        let mut is_whole = true;
        self.rewrite.clone().segments(self.length.saturating_sub(skipped), |segment| {
            is_whole = match segment {
                Segment::Skipped { .. } => true,
                Segment::Own { start, end } => {
                    let is_there = start <= end && end <= own.length;
                    is_there
                        && self.push(Vector { base: own.base.wrapping_add(start), length: end.wrapping_sub(start) })
                }
                Segment::Host { start, end } => {
                    let (start, end) = (start.saturating_add(skipped), end.saturating_add(skipped));
                    let mut before = 0usize;
                    host.iter().all(|vector| {
                        let from = start.saturating_sub(before).min(vector.length);
                        let to = end.saturating_sub(before).min(vector.length);
                        before = before.saturating_add(vector.length);
                        let piece = Vector { base: vector.base.wrapping_add(from), length: to.wrapping_sub(from) };
                        from >= to || self.push(piece)
                    })
                }
            };
            is_whole
        });
        is_whole
    }

    /// Whether there was room.
    fn push(&mut self, vector: Vector) -> bool {
        let place = match self.many {
            // SAFETY: the room has place for so many, and is the one call's.
            Some(many) if self.count < MOST_OF_SYSTEM => Some(unsafe { &mut *many.as_ptr().wrapping_add(self.count) }),
            Some(_) => None,
            None => self.vectors.get_mut(self.count),
        };
        let Some(place) = place else { return false };
        place.write(vector);
        self.count = self.count.wrapping_add(1);
        self.offered = self.offered.saturating_add(vector.length);
        true
    }

    /// How many of the program's bytes this is about: those of one request, where others follow.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Our bytes that must go out before any more of the program's.
    ///
    /// They go by themselves: of a call that sent them and nothing of the program's, it could only be told that there was an
    /// error, and nobody knows which one a call that has sent something would have had.
    pub(crate) fn own_is_next(&self) -> Option<Vector> {
        let (start, end) = self.rewrite.own_is_next()?;
        Some(Vector { base: self.own.base.wrapping_add(start), length: end.wrapping_sub(start) })
    }

    /// So many of them went out.
    pub(crate) fn own_went_out(&mut self, fd: i32, sent: usize) {
        self.rewrite.own_went_out(sent);
        self.note(fd);
    }

    /// After a call that has sent so many bytes. Gives how many of the program's own were taken, in all calls.
    pub(crate) fn went_out(&mut self, fd: i32, sent: usize) -> usize {
        let taken = self.rewrite.advance(self.length.saturating_sub(self.taken), sent);
        self.taken = self.taken.saturating_add(taken);
        self.note(fd);
        self.taken
    }

    /// Whether there is more of what the program has given than there was room for. It is the next call's, then.
    pub(crate) fn goes_on(&mut self, host: &[Vector]) -> bool {
        // What is being sent may have its room no more.
        self.many = None;
        self.taken < self.length && self.own_is_next().is_none() && {
            self.assemble(host);
            self.count > 0
        }
    }

    /// Notes how far the head is.
    fn note(&self, fd: i32) {
        let Some(connection) = connection(fd) else { return };
        let is_done = self.rewrite.is_done();
        let _ = connection.sending.with(|sending| match sending {
            Some(_) if is_done => *sending = None,
            Some(sending) => sending.rewrite = self.rewrite.clone(),
            None => {}
        });
        if is_done {
            connection.set_sending(false);
            if connection.is_lost.load(Ordering::Relaxed) {
                Place::Descriptor(fd).give_up(&connection);
            }
        }
    }
}
