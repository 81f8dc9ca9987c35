//! What the program reads from and writes to sessions of TLS libraries, before it is encrypted.
//!
//! A session is known by its address, from the call that makes it until the one that frees it: one that was not seen to
//! begin is left alone, as nobody knows where in its stream of messages it is. The socket below shows by what goes over it
//! while the library is called, and is forgotten then: it carries nothing but what is encrypted.

use super::connection::{Connection, ConnectionRef};
use super::copy::{Copied, Step};
use super::memory::memory;
use super::{
    Place, Vector, drop_word, enter, forget as forget_descriptor, is_enabled, keep, left, may_change, receive, send,
    sent, slot, waits,
};
use crate::protocol::Lost;
use crate::thread;
use crate::tracer::native;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use ddtrace::interface::LEFT_ALL;

/// How many sessions there is place for; those of which no more can be known than of connections.
const PLACES: usize = 8192;
/// How far from where it should be a session is looked for.
const REACH: usize = 16;

/// Where sessions are found by their addresses. All zero is empty.
pub(super) struct Sessions {
    places: [SessionPlace; PLACES],
}

struct SessionPlace {
    session: AtomicUsize,
    /// Names the connection, as the words of descriptors do.
    word: AtomicU64,
}

/// A session of a library, and what the library says of it.
pub(crate) struct Session<'a> {
    pub(crate) address: usize,
    pub(crate) facts: &'a dyn Fn() -> Facts,
}

/// What a library says of a session when something goes over it for the first time.
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    /// Whether the program is the server; `None` where the library does not say.
    pub(crate) is_server: Option<bool>,
    /// The two have agreed on HTTP/2.
    pub(crate) is_http2: bool,
}

impl Sessions {
    /// The places where a session can be.
    fn around(&self, session: usize) -> impl Iterator<Item = &SessionPlace> {
        // The top bits of a product depend on all bits of its factors. Addresses of objects end in four zeros.
        let start = (session >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PLACES.trailing_zeros());
        (start..start.wrapping_add(REACH)).filter_map(|place| self.places.get(place % PLACES))
    }

    fn find(&self, session: usize) -> Option<&SessionPlace> {
        self.around(session).find(|place| place.session.load(Ordering::Acquire) == session)
    }

    fn note(&self, session: usize, word: u64) -> bool {
        let free = |place: &&SessionPlace| {
            place.session.compare_exchange(0, usize::MAX, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let Some(place) = self.around(session).find(free) else { return false };
        place.word.store(word, Ordering::Relaxed);
        // Release: who finds the session finds its word.
        place.session.store(session, Ordering::Release);
        true
    }
}

fn find(session: usize) -> Option<&'static SessionPlace> {
    if session == 0 || session == usize::MAX { None } else { memory()?.sessions.find(session) }
}

/// Whether something is known of the session.
pub(crate) fn is_known(session: usize) -> bool {
    find(session).is_some()
}

pub(super) fn connection(session: usize) -> Option<ConnectionRef> {
    enter(find(session)?.word.load(Ordering::Relaxed))
}

/// The connection, whether anything is looked at any more or not.
fn held(session: usize) -> Option<ConnectionRef> {
    slot(find(session)?.word.load(Ordering::Relaxed))
}

/// The program has made a session, or made an old one like new. `is_server`: if it has said which side it is.
pub(crate) fn begun(session: usize, is_server: Option<bool>) {
    if session == 0 || left::is_left(LEFT_ALL) || !is_enabled() || !may_change() {
        return;
    }
    // Freed behind our back.
    forget(session);
    let owner = if waits::is_certain() { native::current_request() } else { 0 };
    let Some(word) = keep(Connection::secure(owner, is_server)) else { return };
    if !memory().is_some_and(|memory| memory.sessions.note(session, word)) {
        drop_word(word);
    }
}

/// The program frees the session, or it is not understood.
pub(crate) fn forget(session: usize) {
    if let Some(place) = find(session) {
        let word = place.word.swap(0, Ordering::AcqRel);
        // Release: the place is free when nothing is left in it.
        place.session.store(0, Ordering::Release);
        if is_enabled() {
            drop_word(word);
        }
    }
}

/// The session goes over this descriptor, says the program.
pub(crate) fn uses_descriptor(session: usize, fd: i32) {
    if !is_known(session) {
        return;
    }
    if let Some(below) = super::connection(fd) {
        link(session, fd, &below);
    } else if let Some(connection) = connection(session) {
        let _ = connection.traffic.with(|traffic| traffic.exchanges.know_peer(fd));
    }
}

/// Calls the library's function. What goes over a socket meanwhile is the session's.
pub(crate) fn during<R>(session: usize, call: impl FnOnce() -> R) -> R {
    if !is_known(session) {
        return call();
    }
    let outer = thread::current().session.swap(session as u64, Ordering::Relaxed);
    let result = call();
    thread::current().session.store(outer, Ordering::Relaxed);
    result
}

/// Whether the thread is in a call of a TLS library, with a session that is known.
pub(super) fn is_in_a_call() -> bool {
    thread::current().session.load(Ordering::Relaxed) != 0
}

/// Whether what goes over a socket belongs to the session in whose library the thread is. The socket is forgotten then.
///
/// # Safety
///
/// The buffers hold `count` bytes, unless that is the greatest number: then they are what the program has given to a call,
/// and may be bad.
pub(super) unsafe fn takes_over(place: Place, below: &Connection, vectors: &[Vector], count: usize) -> bool {
    let session = thread::current().session.load(Ordering::Relaxed) as usize;
    let Place::Descriptor(fd) = place else { return false };
    if session == 0 || count == 0 || !is_known(session) {
        return false;
    }
    let first = vectors.iter().find(|vector| vector.length > 0);
    // SAFETY: what the program has given, or what a call has filled.
    let bytes = first.and_then(|vector| unsafe { send::bytes_of(&Vector { length: vector.length.min(2), ..*vector }) });
    // A TLS record begins with its kind and the major version.
    let is_record = matches!(bytes, Some([0x14..=0x17] | [0x14..=0x17, 3, ..]));
    if is_record {
        link(session, fd, below);
    }
    is_record
}

/// The session goes over the descriptor, of which `below` is known: where it leads to, and for whom it was made.
fn link(session: usize, fd: i32, below: &Connection) {
    let known = below.traffic.with(|traffic| {
        traffic.exchanges.know_peer(fd);
        (traffic.exchanges.peer.clone(), traffic.exchanges.owner, traffic.exchanges.is_for_unknown)
    });
    if let (Some((peer, owner, is_for_unknown)), Some(connection)) = (known, connection(session)) {
        let _ = connection.traffic.with(|traffic| {
            if !traffic.exchanges.peer.is_known() {
                traffic.exchanges.peer = peer;
            }
            // Who has made the session may have done so when the connection was there, in the midst of something else.
            if owner != 0 || is_for_unknown {
                (traffic.exchanges.owner, traffic.exchanges.is_for_unknown) = (owner, is_for_unknown);
            }
        });
    }
    forget_descriptor(fd);
}

/// Finds out which side the program is, when something goes over the session for the first time. Who writes first is the
/// client, where the library does not say: so it is with all that is understood here.
fn settle(session: &Session<'_>, writes: bool) {
    let place = Place::Session(session.address);
    let Some(connection) = place.connection() else { return };
    let settled = connection.with_traffic(|traffic| {
        if !traffic.is_settled {
            let facts = (session.facts)();
            traffic.settle(facts.is_server.or(traffic.is_server).unwrap_or(!writes));
            if facts.is_http2 {
                traffic.is_not_seen();
                return Err(Lost);
            }
        }
        Ok(())
    });
    if settled.is_err() {
        place.give_up(&connection);
    }
}

/// The program has read `count` bytes from the session, or, if there are none, its end.
///
/// # Safety
///
/// The buffer holds that many bytes.
#[cold]
pub(crate) unsafe fn received(session: &Session<'_>, buffer: *const u8, count: usize) {
    settle(session, false);
    let vector = Vector { base: buffer, length: count };
    // SAFETY: the caller's promise.
    unsafe { receive::received(Place::Session(session.address), &[vector], count) };
}

/// The program has read, or written, bytes that are nowhere to be seen.
#[cold]
pub(crate) fn went_unseen(session: &Session<'_>, writes: bool, count: usize) {
    settle(session, writes);
    let place = Place::Session(session.address);
    if writes { sent::sent_unseen(place, count) } else { receive::received_unseen(place, count) }
}

/// The program writes to the session, by `call`, which gives how many bytes were written, or `None` where the program has
/// to look what is the matter, and call again. Gives the same for the program's own bytes. `in_part`: the program knows that
/// less may be written than it gives.
///
/// # Safety
///
/// The buffer is what the program has given, and may be bad.
#[cold]
pub(crate) unsafe fn write(
    session: &Session<'_>,
    buffer: *const u8,
    length: usize,
    in_part: bool,
    call: &mut dyn FnMut(*const u8, usize) -> Option<usize>,
) -> Option<usize> {
    settle(session, true);
    let place = Place::Session(session.address);
    // SAFETY: the caller's promise.
    if !unsafe { is_copied(session.address, buffer, length) } {
        let written = call(buffer, length)?;
        if buffer.is_null() {
            // The rest of what was given before, and was not seen to be written then.
            sent::sent_unseen(place, written);
        } else {
            // SAFETY: the call has read so much of it.
            unsafe { sent::sent(place, &[Vector { base: buffer, length }], written as isize, 0) };
        }
        return Some(written);
    }
    // The library writes a record of at least one byte in each round, or says that it cannot.
    let written = loop {
        let step = held(session.address)?.copied.with(|copied| {
            let copied = copied.as_ref()?;
            let step = copied.progress.next(length, in_part);
            let bytes = match step {
                Step::Copy { start, end } => copied.room.as_bytes().get(start..end)?.as_ptr(),
                Step::Host { start } => buffer.wrapping_add(start),
                Step::Done { .. } => buffer,
            };
            Some((step, bytes))
        });
        // Nothing is held from here on. The copy stays where it is, as the slot of the connection keeps it.
        let (step, bytes) = step.flatten()?;
        let handed = match step {
            Step::Copy { start, end } => end.wrapping_sub(start),
            Step::Host { start } => length.wrapping_sub(start),
            Step::Done { written } => break written,
        };
        let written = call(bytes, handed).filter(|written| *written > 0)?;
        held(session.address)?.copied.with(|copied| copied.as_mut().map(|copied| copied.progress.advance(written)));
    };
    let connection = held(session.address)?;
    if let Some(copied) = connection.copied.with(Option::take).flatten() {
        connection.set_sending(false);
        // What went out in place of the program's bytes is as good as they to see what they were.
        let Step::Done { written: told } = copied.progress.next(length, in_part) else { return Some(written) };
        let own = copied.written();
        let behind = told.saturating_sub(copied.covers());
        let vectors = [
            Vector { base: own.as_ptr(), length: own.len() },
            Vector { base: buffer.wrapping_add(copied.covers()), length: behind },
        ];
        // SAFETY: the copy is ours until it is dropped, and the library has read the rest.
        unsafe { sent::sent(place, &vectors, own.len().saturating_add(behind) as isize, 0) };
    }
    if connection.is_lost.load(Ordering::Relaxed) {
        place.give_up(&connection);
    }
    Some(written)
}

/// Whether a copy is to be written instead of the program's bytes: since an earlier call, or as they complete the head of a
/// request.
///
/// # Safety
///
/// As for [`write`].
unsafe fn is_copied(session: usize, buffer: *const u8, length: usize) -> bool {
    let Some(connection) = held(session) else { return false };
    let vector = Vector { base: buffer, length };
    // Behind a filter of system calls, where it cannot be asked what can be read, what was begun is gone on with.
    let is_enabled = is_enabled();
    let is_copied = connection.copied.with(|copied| {
        if let Some(pending) = copied {
            // SAFETY: the caller's promise.
            let bytes = if length == 0 || !is_enabled { Some(&[][..]) } else { unsafe { send::bytes_of(&vector) } };
            if bytes.is_some_and(|bytes| pending.is_of(bytes)) {
                return true;
            }
            // Nothing of it was written, says the program, and has something else to say.
            *copied = None;
            let _ = connection.traffic.with(|traffic| traffic.exchanges.abandon_prepared());
            return false;
        }
        if !is_enabled {
            return false;
        }
        connection.set_sending(true);
        let mut sending = None;
        // SAFETY: the caller's promise.
        unsafe { send::begin(&connection, &mut sending, &[vector], Place::Session(session)) };
        *copied = sending.and_then(|sending| {
            // SAFETY: the caller's promise; as much of it as there can be room for.
            let host = unsafe { core::slice::from_raw_parts(buffer, length) };
            Copied::new(&sending.rewrite, sending.text.as_bytes(), host, memory()?.take_room()?)
        });
        copied.is_some()
    });
    let is_copied = is_copied.unwrap_or(false);
    if !is_copied {
        connection.set_sending(false);
        if connection.is_lost.load(Ordering::Relaxed) {
            Place::Session(session).give_up(&connection);
        }
    }
    is_copied
}

/// The program sends no more over the session.
#[cold]
pub(crate) fn shut(session: usize) {
    sent::shut(Place::Session(session));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;

    #[test]
    fn sessions_are_found_until_they_are_freed() {
        // SAFETY: all zero is empty.
        let sessions = unsafe { Box::<Sessions>::new_zeroed().assume_init() };
        // Objects of one size, one behind the other, as allocators make them.
        let addresses: Vec<_> = (1..4000usize).map(|number| 0x7f00_0000_0000 + number * 0x1370).collect();
        let noted: Vec<_> = addresses.iter().filter(|address| sessions.note(**address, **address as u64)).collect();
        assert!(noted.len() > addresses.len() - 10, "{} find no place", addresses.len() - noted.len());
        for address in &noted {
            let place = sessions.find(**address).unwrap();
            assert_eq!(place.word.load(Ordering::Relaxed), **address as u64);
        }
        assert!(sessions.find(0x7f00_0000_0000).is_none());
        for address in &noted {
            sessions.find(**address).unwrap().session.store(0, Ordering::Relaxed);
        }
        assert!(noted.iter().all(|address| sessions.find(**address).is_none() && sessions.note(**address, 1)));
    }
}
