//! Where a program waits: what it does after that need not be for the request that its thread serves.
//!
//! Whoever waits by `epoll` waits for anything. By `poll` and `select` many wait that serve one request in each thread: for a
//! server that they have asked, for a child's output. Other requests come from where connections come from, and over those
//! that are accepted; so a thread that waits there while it serves a request is an event loop's, and from then on what it waits
//! for besides is not taken for the request's either.

use super::{ENABLED, MOST_DESCRIPTORS, connection};
use crate::thread;
use crate::tracer::native;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

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

/// How many requests that have come in are not answered.
static SERVED: AtomicU32 = AtomicU32::new(0);

/// In this program's loops what is asked for right after a head was read is for that request: nothing else asks for anything.
static IS_AT_ONCE: AtomicBool = AtomicBool::new(false);

/// Servers of which that is known. In all others timers, finished work of other threads, and tasks that another one has woken
/// have their turn before the thread waits once more.
const AT_ONCE: [&[u8]; 3] = [b"nginx", b"haproxy", b"lighttpd"];

/// This is the program that runs in the process.
pub(super) fn know_program(path: &[u8]) {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    IS_AT_ONCE.store(AT_ONCE.contains(&name), Ordering::Relaxed);
}

pub(super) fn request_came() {
    SERVED.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn request_went() {
    let _ = SERVED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
}

/// A forked child serves nothing of its parent's.
pub(super) fn become_child() {
    SERVED.store(0, Ordering::Relaxed);
}

/// Whether what the thread does is for the request that it was seen to read, if it has not waited since: in an event loop that
/// is so as long as there is no other.
pub(super) fn is_certain() -> bool {
    !is_loop() || IS_AT_ONCE.load(Ordering::Relaxed) || SERVED.load(Ordering::Relaxed) <= 1
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
