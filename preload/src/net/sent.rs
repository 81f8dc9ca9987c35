//! What the program has written to a connection.

use super::connection::{Connection, Traffic};
use super::{Place, Vector, receive, waits};
use crate::protocol::Side;
use crate::tracer::{brought, native};
use core::sync::atomic::Ordering;

/// After a call: it has sent so much of the buffers, or failed.
///
/// # Safety
///
/// The buffers hold as many bytes as were sent.
#[cold]
pub(crate) unsafe fn sent(place: Place, vectors: &[Vector], result: isize, errno: i32) {
    let Ok(count) = usize::try_from(result) else { return receive::failed(place, errno) };
    let Some(connection) = place.connection() else { return };
    if connection.is_in_doubt.load(Ordering::Relaxed) {
        // SAFETY: the caller's promise.
        let is_refusal = || unsafe { is_refusal(vectors, count) };
        return if count > 0 {
            answers_in_doubt(place, &connection, is_refusal())
        };
    }
    let fd = place.descriptor();
    let result = connection.with_traffic(|traffic| {
        let side = traffic.own_side();
        let before = traffic.exchanges.current();
        let is_served = traffic.is_accepted && before != 0 && native::current_request() == before;
        if waits::deals_at_once() {
            native::set_current_request(traffic.exchanges.served());
        }
        let mut left = count;
        for vector in vectors {
            let length = left.min(vector.length);
            if length > 0 {
                // SAFETY: the caller's promise.
                traffic.feed(side, unsafe { core::slice::from_raw_parts(vector.base, length) }, fd)?;
                left = left.wrapping_sub(length);
            }
        }
        traffic.exchanges.asked_unix_ns = 0;
        traffic.note_part_of_head(place);
        if !traffic.is_accepted {
            // What was waited for before was no answer to this.
            waits::has_read_something();
        }
        if traffic.is_accepted && before != 0 && waits::deals_at_once() {
            has_answered(traffic, before);
        }
        if is_served && traffic.exchanges.current() != before {
            waits::has_answered();
        }
        // Whoever has answered one of several requests that it has read at once goes on with the next one.
        if is_served && !waits::is_loop() && traffic.exchanges.current() != before {
            native::set_current_request(traffic.exchanges.current());
        }
        Ok(())
    });
    if result.is_err() {
        place.give_up(&connection);
    }
}

/// The program answers what was not understood. From here on nobody looks at the connection.
#[cold]
fn answers_in_doubt(place: Place, connection: &Connection, is_refusal: bool) {
    if !is_refusal {
        brought::some_are_unseen();
    }
    place.give_up(connection);
}

/// Of several requests that came at once the next one has its turn later: nothing is read before that.
fn has_answered(traffic: &Traffic, before: u64) {
    let next = traffic.exchanges.current();
    if next != 0 && next != before {
        waits::has_put_off();
    }
}

/// After a call that has sent `count` bytes which were not seen.
#[cold]
pub(crate) fn sent_unseen(place: Place, count: usize) {
    let Some(connection) = place.connection() else { return };
    if connection.is_in_doubt.load(Ordering::Relaxed) {
        return answers_in_doubt(place, &connection, false);
    }
    let fd = place.descriptor();
    let skipped = connection.with_traffic(|traffic| {
        if waits::deals_at_once() {
            native::set_current_request(traffic.exchanges.served());
        }
        let before = traffic.exchanges.current();
        let skipped = traffic.skip(traffic.own_side(), count as u64, fd);
        if traffic.is_accepted && before != 0 && waits::deals_at_once() {
            has_answered(traffic, before);
        }
        skipped
    });
    if skipped.is_err() {
        place.give_up(&connection);
    }
}

/// The program has answered what was not understood: whether it does so as one who has not understood it either, so that it was no
/// request. Else there may have been one.
///
/// # Safety
///
/// The buffers hold `count` bytes.
unsafe fn is_refusal(vectors: &[Vector], count: usize) -> bool {
    const TLS_ALERT: [u8; 2] = [21, 3];
    let Some(first) = vectors.iter().find(|vector| vector.length > 0) else { return false };
    // SAFETY: the caller's promise.
    let bytes = unsafe { core::slice::from_raw_parts(first.base, first.length.min(count)) };
    bytes.starts_with(&TLS_ALERT) || matches!(bytes, [b'H', b'T', b'T', b'P', b'/', _, b'.', _, b' ', b'4', ..])
}

/// The program sends no more over the connection.
#[cold]
pub(crate) fn shut(place: Place) {
    if let Some(connection) = place.connection() {
        let _ = connection.with_traffic(|traffic| {
            if traffic.own_side() == Side::Server {
                traffic.ended(Side::Server, traffic.why_closed());
            }
            Ok(())
        });
    }
}
