//! Where a program waits: what it does after that need not be for the request that its thread serves.
//!
//! Whoever waits by `epoll` waits for anything. By `poll` and `select` many wait that serve one request in each thread: for a
//! server that they have asked, for a child's output. Other requests come from where connections come from, and over those
//! that are accepted; so a thread that waits there while it serves a request is an event loop's, and from then on what it waits
//! for besides is not taken for the request's either.

use super::{ENABLED, HIGHEST, MOST_DESCRIPTORS, connection, is_enabled, session};
use crate::thread;
use crate::tracer::native;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use ddtrace::sys;

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

/// Bits of [`Thread::waits`](thread::Thread::waits): by what a thread was seen to wait for other requests,
const BY_POLL: u32 = 1;
const BY_EPOLL: u32 = 2;
/// and that nothing has come in the time for which it has waited last.
const IN_VAIN: u32 = 4;

/// Whether any thread was seen to be an event loop's.
static ARE_LOOPS: AtomicBool = AtomicBool::new(false);

/// By `call` the program waits for whatever comes next on many descriptors, `at_most` so many nanoseconds: what it does then need
/// not be for the present request.
pub(crate) fn while_waiting(at_most: impl FnOnce() -> Option<u64>, call: impl FnOnce() -> i32) -> i32 {
    if !is_enabled() {
        return call();
    }
    ARE_LOOPS.store(true, Ordering::Relaxed);
    thread::current().waits.fetch_or(BY_EPOLL, Ordering::Relaxed);
    serve_nothing();
    while_looping(at_most(), call)
}

/// By `call` the program waits for some descriptors, `at_most` so many nanoseconds.
#[inline]
pub(crate) fn while_polling(at_most: impl FnOnce() -> Option<u64>, call: impl FnOnce() -> i32) -> i32 {
    // What it takes to know how long is for those alone who have connections.
    if !is_enabled() || HIGHEST.load(Ordering::Relaxed) == 0 {
        return call();
    }
    let at_most = at_most();
    if is_loop() {
        return while_looping(at_most, call);
    }
    let found = call();
    has_found(found, at_most);
    found
}

/// So many descriptors were found ready, in the time that was there for it.
fn has_found(count: i32, at_most: Option<u64>) {
    let waits = &thread::current().waits;
    if count > 0 {
        if waits.load(Ordering::Relaxed) & IN_VAIN != 0 {
            waits.fetch_and(!IN_VAIN, Ordering::Relaxed);
        }
    } else if count == 0 && at_most != Some(0) {
        waits.fetch_or(IN_VAIN, Ordering::Relaxed);
    }
}

/// Whether nothing has come in the time for which the calling thread has waited last.
pub(super) fn has_waited_in_vain() -> bool {
    thread::current().waits.load(Ordering::Relaxed) & IN_VAIN != 0
}

fn while_looping(at_most: Option<u64>, call: impl FnOnce() -> i32) -> i32 {
    let thread = thread::current();
    // Loops wait until the next timer runs out, as of the time that they have read when they were last back.
    let since = thread.waited_ns.load(Ordering::Relaxed);
    let until =
        at_most.map_or(u64::MAX, |at_most| since.saturating_add(at_most).saturating_sub(CLOCKS_DIFFER_NS).max(1));
    thread.timers_ns.store(until, Ordering::Relaxed);
    let found = call();
    thread.waited_ns.store(native::monotonic_ns(), Ordering::Relaxed);
    has_found(found, at_most);
    found
}

/// How much the clock by which a loop knows its timers may be behind: a tick of the kernel's, which is ten milliseconds at most, and
/// one for rounding.
const CLOCKS_DIFFER_NS: u64 = 11_000_000;

/// Whether no timer of the loop can have run out since it waited.
fn is_before_timers() -> bool {
    let until = thread::current().timers_ns.load(Ordering::Relaxed);
    until == 0 || native::monotonic_ns() < until
}

/// The program has read from a descriptor that is no known connection.
#[inline]
pub(crate) fn has_read_elsewhere(fd: i32) {
    if ARE_LOOPS.load(Ordering::Relaxed) {
        turns_elsewhere(fd);
    }
}

/// A loop has turned to what is not known: an answer of a name server, finished work of another thread, a timer. What it does
/// next is for whoever has waited for that.
#[cold]
fn turns_elsewhere(fd: i32) {
    const FORMAT: u32 = 0o170_000;
    const REGULAR: u32 = 0o100_000;
    let is_file = || sys::file_status(fd).is_ok_and(|status| status.mode & FORMAT == REGULAR);
    if is_loop() && serves_something() && !session::is_in_a_call() && is_enabled() && !is_file() {
        native::set_current_request(0);
    }
}

fn serve_nothing() {
    native::set_current_request(0);
    native::forget_lent();
}

/// How many requests that have come in are not answered.
static SERVED: AtomicU32 = AtomicU32::new(0);

/// In this program's loops what comes over a connection is all dealt with at once, before anything else is read: what is asked for
/// then is for the request that the connection is there for.
static IS_AT_ONCE: AtomicBool = AtomicBool::new(false);

/// Servers of which that is known. In all others finished work of other threads, and tasks that another one has woken, have
/// their turn before the thread waits once more: HAProxy reads from all connections and then runs their tasks.
const AT_ONCE: [&[u8]; 2] = [b"nginx", b"lighttpd"];

/// Whether the calling thread is in such a loop.
pub(super) fn deals_at_once() -> bool {
    IS_AT_ONCE.load(Ordering::Relaxed) && is_loop()
}

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
/// is so as long as there is no other, and no timer can have run out.
pub(super) fn is_certain() -> bool {
    if !is_loop() {
        return true;
    }
    let is_the_only_one = || SERVED.load(Ordering::Relaxed) <= 1;
    (IS_AT_ONCE.load(Ordering::Relaxed) || is_the_only_one()) && is_before_timers()
}

/// Whether the thread was seen to wait for other requests.
pub(super) fn is_loop() -> bool {
    thread::current().waits.load(Ordering::Relaxed) & (BY_POLL | BY_EPOLL) != 0
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
        ARE_LOOPS.store(true, Ordering::Relaxed);
        thread.waits.fetch_or(BY_POLL, Ordering::Relaxed);
    }
    if is_loop || ((asker || unknown) && thread.waits.load(Ordering::Relaxed) & BY_POLL != 0) {
        serve_nothing();
    }
}
