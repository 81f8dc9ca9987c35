//! What the program has read from a connection.

use super::exchange::Why;
use super::{Place, Vector, session, waits};
use crate::tracer::{brought, native};
use core::sync::atomic::Ordering;
use ddtrace::sys;

/// Errors of connections: EPIPE, ENETDOWN, ENETUNREACH, ENETRESET, ECONNABORTED, ECONNRESET, ENOTCONN, ESHUTDOWN, ETIMEDOUT,
/// ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH. All others are the call's own, or those of a file that is sent.
const OF_CONNECTIONS: [i32; 12] = [32, 100, 101, 102, 103, 104, 107, 108, 110, 111, 112, 113];

/// A call has read `count` bytes into the buffers, of which no more is looked at. Zero is the end.
///
/// # Safety
///
/// The buffers hold that many bytes.
#[cold]
pub(crate) unsafe fn received(place: Place, vectors: &[Vector], count: usize) {
    let Some(connection) = place.connection() else { return };
    if connection.is_in_doubt.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: the caller's promise.
    if unsafe { session::takes_over(place, &connection, vectors, count) } {
        return;
    }
    let fd = place.descriptor();
    connection.wait_for_request();
    let mut is_accepted = false;
    let result = connection.with_traffic(|traffic| {
        is_accepted = traffic.is_accepted;
        let side = traffic.other_side();
        let is_answer = !traffic.is_accepted && traffic.exchanges.is_pending();
        if waits::deals_at_once() {
            native::set_current_request(traffic.exchanges.current());
        } else if is_answer && native::current_request() != traffic.exchanges.current() {
            // It is for another request than the present one: the thread serves several, and which one what it does next is
            // for is not certain. Greetings and ends of connections say nothing of that.
            waits::turns_away(traffic.exchanges.current());
            native::set_current_request(0);
        }
        if count == 0 {
            traffic.ended(side, Why::ClosedByPeer);
        }
        let mut left = count;
        for vector in vectors {
            let length = left.min(vector.length);
            if length == 0 {
                continue;
            }
            // SAFETY: the caller's promise.
            traffic.feed(side, unsafe { core::slice::from_raw_parts(vector.base, length) }, fd)?;
            left = left.wrapping_sub(length);
        }
        if count > 0 {
            waits::has_read_something();
            if is_answer {
                traffic.exchanges.tell_status();
                waits::is_answered(fd);
            }
        }
        if traffic.is_accepted && count > 0 {
            let request = traffic.exchanges.current();
            waits::turns_to(request);
            native::set_current_request(request);
            waits::serves(fd);
            waits::has_read_request(!traffic.is_in_request());
        }
        Ok(())
    });
    if result.is_err() {
        // SAFETY: the caller's promise.
        if is_accepted && !unsafe { begins_http2(vectors, count) } {
            return connection.is_in_doubt.store(true, Ordering::Relaxed);
        }
        if is_accepted {
            brought::some_are_unseen();
        }
        place.give_up(&connection);
    }
}

/// Whether these are the first bytes of an HTTP/2 connection (RFC 9113, 3.4).
///
/// # Safety
///
/// The buffers hold `count` bytes.
unsafe fn begins_http2(vectors: &[Vector], count: usize) -> bool {
    let Some(first) = vectors.iter().find(|vector| vector.length > 0) else { return false };
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(first.base, first.length.min(count)) }.starts_with(b"PRI ")
}

/// A call has taken `count` bytes out of the connection that are nowhere to be seen.
#[cold]
pub(crate) fn received_unseen(place: Place, count: usize) {
    let Some(connection) = place.connection() else { return };
    if connection.is_in_doubt.load(Ordering::Relaxed) {
        return;
    }
    let fd = place.descriptor();
    let skipped = connection.with_traffic(|traffic| {
        if waits::deals_at_once() {
            native::set_current_request(traffic.exchanges.current());
        }
        traffic.skip(traffic.other_side(), count as u64, fd)
    });
    if skipped.is_err() {
        place.give_up(&connection);
    }
}

/// A call has failed.
#[cold]
pub(crate) fn failed(place: Place, errno: i32) {
    const EAGAIN: i32 = 11;
    if errno == EAGAIN
        && !waits::is_loop()
        && let Place::Descriptor(fd) = place
        && !sys::is_nonblocking(fd)
    {
        // The time has run out that the socket waits (`SO_RCVTIMEO`).
        waits::has_read_in_vain();
    }
    if !OF_CONNECTIONS.contains(&errno) {
        return;
    }
    let Some(connection) = place.connection() else { return };
    let _ = connection.with_traffic(|traffic| {
        if waits::deals_at_once() {
            native::set_current_request(traffic.exchanges.served());
        }
        // Whichever side it was, no answer comes through any more.
        traffic.ended(crate::protocol::Side::Server, Why::Failed(errno));
        Ok(())
    });
}
