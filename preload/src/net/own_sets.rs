//! Sets of `epoll` that a thread has made for the request that it serves, as some drivers do to wait for their one connection
//! (`psycopg.connect`): a wait for one is no wait for other requests.
//!
//! Such a set is the request's as long as that is served, the thread alone uses it, and only connections that the program has
//! made are in it.
//! By anything else others could have this thread do something for them: an event loop that the first request has set up for
//! all is woken by a descriptor, or by a timer.

use super::waits::{self, serves_something};
use super::{ACCEPTED, ENABLED, MOST_DESCRIPTORS, is_enabled, may_change, word_of};
use crate::thread;
use crate::tracer::native;
use core::sync::atomic::{AtomicU32, Ordering};

/// For each descriptor the thread and the request whose set it is ([`present`]); 0 for none.
static OWNERS: [AtomicU32; MOST_DESCRIPTORS] = [const { AtomicU32::new(0) }; MOST_DESCRIPTORS];

/// What is there of a set that is somebody's own.
#[inline]
fn owner(set: i32) -> Option<(&'static AtomicU32, u32)> {
    // A negative number is a large one.
    let place = OWNERS.get(set as u32 as usize)?;
    let owner = place.load(Ordering::Relaxed);
    (owner != 0).then_some((place, owner))
}

/// The calling thread, by its number, and the request that it serves, by enough of its handle to tell it from those around it; 0
/// where it serves none.
fn present() -> u32 {
    let request = native::current_request();
    let few = (request ^ request >> 32) as u16;
    if request == 0 { 0 } else { u32::from(thread::current().number()) << 16 | u32::from(few) }
}

/// The program has made a set.
pub(crate) fn made_set(fd: i32) {
    waits::forget_waiter(fd);
    let is_own = serves_something() && is_enabled() && may_change();
    if is_own && let Some(place) = OWNERS.get(fd as u32 as usize) {
        place.store(present(), Ordering::Relaxed);
    } else {
        // The number may be known from one that was closed unseen.
        forget(fd);
    }
}

/// The program puts a descriptor into a set, or takes it out.
#[inline]
pub(crate) fn changes_set(set: i32, is_removed: bool, fd: i32) {
    if let Some((place, owner)) = owner(set) {
        looks_into_set(place, owner, is_removed, fd);
    } else if !is_removed && is_made(fd) && may_change() {
        waits::is_in_set(fd);
    }
}

/// Whether it is a known connection that the program has made.
#[inline]
fn is_made(fd: i32) -> bool {
    let word = word_of(fd).map_or(0, |word| word.load(Ordering::Relaxed));
    word != 0 && word & ACCEPTED == 0
}

#[cold]
fn looks_into_set(place: &AtomicU32, owner: u32, is_removed: bool, fd: i32) {
    let stays = owner == present() && (is_removed || is_made(fd));
    if !stays && may_change() {
        place.store(0, Ordering::Relaxed);
        if !is_removed && is_made(fd) {
            waits::is_in_set(fd);
        }
    }
}

/// Whether the set, for which the calling thread waits, is that of the request that it serves.
pub(super) fn is_own(set: i32) -> bool {
    let Some((place, owner)) = owner(set) else { return false };
    let is_own = owner == present();
    if !is_own && may_change() {
        place.store(0, Ordering::Relaxed);
    }
    is_own
}

/// It is closed, or about to be, or has another number as well, by which it can be changed unseen.
pub(super) fn forget(fd: i32) {
    if ENABLED.load(Ordering::Relaxed)
        && let Some((place, _)) = owner(fd)
        && may_change()
    {
        place.store(0, Ordering::Relaxed);
    }
}
