//! Where a program waits: what it does after that need not be for the request that its thread serves.
//!
//! Whoever waits by `epoll` waits for anything. By `poll` and `select` many wait that serve one request in each thread: for a
//! server that they have asked, for a child's output. Other requests come from where connections come from, and over those
//! that are accepted; so a thread that waits there while it serves a request is an event loop's, and from then on what it waits
//! for besides is not taken for the request's either.

use super::{ENABLED, MOST_DESCRIPTORS, connection};
use crate::thread;
use crate::tracer::native;
use core::sync::atomic::{AtomicU64, Ordering};

/// A bit for each descriptor at which connections were accepted.
static LISTENERS: [AtomicU64; MOST_DESCRIPTORS / 64] = [const { AtomicU64::new(0) }; MOST_DESCRIPTORS / 64];

fn listener(fd: i32) -> Option<(&'static AtomicU64, u64)> {
    // A negative number is a large one.
    Some((LISTENERS.get(fd as u32 as usize / 64)?, 1 << (fd as u32 % 64)))
}

pub(super) fn is_listener(fd: i32) -> bool {
    listener(fd).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
}

pub(super) fn note_listener(fd: i32) {
    if let Some((word, bit)) = listener(fd)
        && word.load(Ordering::Relaxed) & bit == 0
    {
        word.fetch_or(bit, Ordering::Relaxed);
    }
}

pub(super) fn forget_listener(fd: i32) {
    if let Some((word, bit)) = listener(fd) {
        word.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// Bits of [`Thread::is_loop`](thread::Thread::is_loop): by what a thread was seen to wait for other requests.
const BY_POLL: u32 = 1;
const BY_EPOLL: u32 = 2;

/// The program waits for whatever comes next on many descriptors: what it does then need not be for the present request.
pub(crate) fn waits_for_anything() {
    if ENABLED.load(Ordering::Relaxed) {
        thread::current().is_loop.fetch_or(BY_EPOLL, Ordering::Relaxed);
        serve_nothing();
    }
}

fn serve_nothing() {
    native::set_current_request(0);
    native::forget_lent();
}

/// Whether the thread was seen to wait for other requests.
pub(super) fn is_loop() -> bool {
    thread::current().is_loop.load(Ordering::Relaxed) != 0
}

/// Whether the calling thread serves a request, so that it matters what it waits for.
#[inline]
pub(crate) fn serves_something() -> bool {
    ENABLED.load(Ordering::Relaxed) && thread::current().request.load(Ordering::Relaxed) != 0
}

/// What is known of a descriptor that is waited for.
enum Awaited {
    /// The connection over which the present request has come.
    Asker,
    /// A connection that the program has made, over which nothing goes on for others.
    Asked,
    /// It may bring other requests, or goes on with them.
    Other,
    /// Nothing.
    Unknown,
}

fn awaited(fd: i32, request: u64) -> Awaited {
    if is_listener(fd) {
        return Awaited::Other;
    }
    let Some(connection) = connection(fd) else { return Awaited::Unknown };
    let looked = connection.traffic.with(|traffic| match (traffic.is_accepted, traffic.exchanges.current()) {
        (true, current) if current == request => Awaited::Asker,
        (true, _) => Awaited::Other,
        (false, current) if current == request || !traffic.exchanges.is_pending() => Awaited::Asked,
        (false, _) => Awaited::Other,
    });
    // Another thread is at it.
    looked.unwrap_or(Awaited::Other)
}

/// The program has waited for these descriptors, or is about to.
#[cold]
pub(crate) fn waited_for(descriptors: impl Iterator<Item = i32>) {
    let request = native::current_request();
    if request == 0 {
        return;
    }
    let (mut asker, mut other, mut unknown) = (false, false, false);
    for fd in descriptors.filter(|fd| *fd >= 0) {
        match awaited(fd, request) {
            Awaited::Asker => asker = true,
            Awaited::Asked => {}
            Awaited::Other => other = true,
            Awaited::Unknown => unknown = true,
        }
    }
    let thread = thread::current();
    let is_loop = other || (asker && unknown);
    if is_loop {
        thread.is_loop.fetch_or(BY_POLL, Ordering::Relaxed);
    }
    if is_loop || ((asker || unknown) && thread.is_loop.load(Ordering::Relaxed) & BY_POLL != 0) {
        serve_nothing();
    }
}
