//! Where a program waits: what it does after that need not be for the request that its thread serves.
//!
//! Whoever waits by `epoll` waits for anything, but for a [set of the request's own](super::own_sets). By `poll` and `select` many wait that serve one request in each thread: for a
//! server that they have asked, for a child's output. Other requests come from where connections come from, and over those
//! that are accepted; so a thread that waits there while it serves a request is an event loop's, and from then on what it waits
//! for besides is not taken for the request's either.

use super::descriptor_set::DescriptorSet;
use super::programs::{ASKS_ONCE, DEALS_AT_ONCE, LEAVES_PARTS, PUTS_ASIDE, RUNS_TIMERS, is_known_for};
use super::{ENABLED, HIGHEST, connection, is_enabled, may_change, own_sets, session};
use crate::thread;
use crate::tracer::native;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use ddtrace::sys;

/// Where connections were accepted.
static LISTENERS: DescriptorSet = DescriptorSet::new();

pub(super) fn note_listener(fd: i32) {
    LISTENERS.insert(fd);
}

/// The descriptor is closed, or about to be.
pub(super) fn forget(fd: i32) {
    forget_waiter(fd);
    for set in [&LISTENERS, &IN_SETS] {
        if set.contains(fd) && may_change() {
            set.remove(fd);
        }
    }
}

/// Bits of [`Thread::waits`](thread::Thread::waits): by what a thread was seen to wait for other requests,
const BY_POLL: u32 = 1;
const BY_EPOLL: u32 = 2;
/// that nothing has come in the time for which it has waited last,
const IN_VAIN: u32 = 4;
/// that it has waited so, or read something else, while a request was open that it had read whole,
const LEAVES_OPEN: u32 = 8;
/// that of the request which it has read last not all has come,
const READS_ON: u32 = 16;
/// that it has answered one before it waited,
const ANSWERS: u32 = 32;
/// that it takes part in what several threads do for one loop,
const WORKS: u32 = 64;
/// that it goes on when another thread has seen something come ([`is_woken`]),
const IS_WOKEN: u32 = 128;
/// that it has read requests,
const SERVES: u32 = 256;
/// and that it has asked for the last one, in a program that does so once.
const HAS_ASKED: u32 = 512;

/// Of some sets of `epoll` which thread has waited for it last: the set, and the thread's number. All zero is none.
static WAITERS: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

/// Whether several threads have waited for the same set: they do what comes, and what is woken, whoever has begun it (tokio). The
/// same where threads that serve requests are woken for what they have asked for by others, who wait for all (virtual threads).
static SHARE_LOOPS: AtomicBool = AtomicBool::new(false);

/// Connections that the program has made, and put into sets of `epoll` that are nobody's own.
static IN_SETS: DescriptorSet = DescriptorSet::new();

/// What comes over this connection wakes whoever waits for the set.
pub(super) fn is_in_set(fd: i32) {
    IN_SETS.insert(fd);
}

/// The thread has an answer from a connection. Where that is in a set for which another thread waits, it was woken by that one, and may
/// do something else until then, for another request, without being seen to wait.
pub(super) fn is_answered(fd: i32) {
    if !IN_SETS.contains(fd) {
        return;
    }
    let waits = &thread::current().waits;
    let before = waits.load(Ordering::Relaxed);
    if before & (BY_EPOLL | IS_WOKEN) == 0 {
        waits.fetch_or(IS_WOKEN, Ordering::Relaxed);
        share_if_both(before | IS_WOKEN);
    }
}

fn share_if_both(waits: u32) {
    if waits & (IS_WOKEN | SERVES) == IS_WOKEN | SERVES {
        SHARE_LOOPS.store(true, Ordering::Relaxed);
    }
}

fn waiter(set: i32) -> Option<&'static AtomicU64> {
    WAITERS.get(set as u32 as usize % WAITERS.len())
}

fn note_waiter(set: i32) {
    let this = u64::from(set as u32) << 32 | u64::from(thread::current().number());
    let Some(place) = waiter(set).filter(|place| place.load(Ordering::Relaxed) != this) else { return };
    let before = place.swap(this, Ordering::Relaxed);
    if before != 0 && before >> 32 == this >> 32 && before != this {
        SHARE_LOOPS.store(true, Ordering::Relaxed);
    }
}

/// The number is that of another set from now on, or of none.
pub(super) fn forget_waiter(set: i32) {
    if let Some(place) = waiter(set)
        && place.load(Ordering::Relaxed) >> 32 == u64::from(set as u32)
    {
        place.store(0, Ordering::Relaxed);
    }
}

/// The thread reads requests from this descriptor.
pub(super) fn serves(fd: i32) {
    let waits = &thread::current().waits;
    let before = waits.load(Ordering::Relaxed);
    if before & SERVES == 0 {
        waits.fetch_or(SERVES, Ordering::Relaxed);
        share_if_both(before | SERVES);
    }
    // Threads of one request each, which there may be beside, wait in the call.
    if SHARE_LOOPS.load(Ordering::Relaxed) && waits.load(Ordering::Relaxed) & WORKS == 0 && sys::is_nonblocking(fd) {
        waits.fetch_or(WORKS, Ordering::Relaxed);
    }
}

/// Whether any thread was seen to be an event loop's.
static ARE_LOOPS: AtomicBool = AtomicBool::new(false);

/// By `call` the program waits for whatever comes next on what is in a set of `epoll`, `at_most` so many nanoseconds: what it does
/// then need not be for the present request, if the set was not made for that.
pub(crate) fn while_waiting(set: i32, at_most: impl FnOnce() -> Option<u64>, call: impl FnOnce() -> i32) -> i32 {
    if !is_enabled() {
        return call();
    }
    if own_sets::is_own(set) {
        let found = while_polling(at_most, || true, call);
        // Another thread may have put something in meanwhile.
        if !own_sets::is_own(set) {
            waits_for_events();
        }
        return found;
    }
    waits_for_events();
    note_waiter(set);
    while_looping(at_most(), call)
}

fn waits_for_events() {
    ARE_LOOPS.store(true, Ordering::Relaxed);
    waits_by(BY_EPOLL);
    serve_nothing();
}

/// By `call` the program waits for some descriptors, `at_most` so many nanoseconds; `for_answer`: one of them is a connection over
/// which it may have asked.
#[inline]
pub(crate) fn while_polling(
    at_most: impl FnOnce() -> Option<u64>,
    for_answer: impl FnOnce() -> bool,
    call: impl FnOnce() -> i32,
) -> i32 {
    // What it takes to know how long is for those alone who have connections.
    if !is_enabled() || HIGHEST.load(Ordering::Relaxed) == 0 {
        return call();
    }
    let at_most = at_most();
    if is_loop() {
        return while_looping(at_most, call);
    }
    let found = call();
    if found != 0 || for_answer() {
        has_found(found, at_most);
    }
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

/// The thread waits for other requests, by these means.
fn waits_by(means: u32) {
    let waits = &thread::current().waits;
    let before = waits.load(Ordering::Relaxed);
    let leaves_open = before & (LEAVES_OPEN | READS_ON) == 0 && native::current_request() != 0;
    let after = before | means | if leaves_open { LEAVES_OPEN } else { 0 };
    if after != before {
        waits.fetch_or(after, Ordering::Relaxed);
    }
}

/// The thread reads from the connection of this request, perhaps while another one is open that it has read whole.
pub(super) fn turns_to(request: u64) {
    let waits = &thread::current().waits;
    if waits.load(Ordering::Relaxed) & HAS_ASKED != 0 {
        waits.fetch_and(!HAS_ASKED, Ordering::Relaxed);
    }
    turns_away(request);
}

/// What the thread does from here on is for this request; 0 for one that is not known.
pub(super) fn turns_away(request: u64) {
    let waits = &thread::current().waits;
    let before = waits.load(Ordering::Relaxed);
    if before & (BY_POLL | BY_EPOLL) != 0 && before & (LEAVES_OPEN | READS_ON) == 0 {
        let current = native::current_request();
        if current != 0 && current != request {
            waits.fetch_or(LEAVES_OPEN, Ordering::Relaxed);
        }
    }
}

/// The thread has read from a connection over which requests come: whether the last one of them is whole.
pub(super) fn has_read_request(is_whole: bool) {
    let waits = &thread::current().waits;
    match waits.load(Ordering::Relaxed) & READS_ON != 0 {
        false if !is_whole => _ = waits.fetch_or(READS_ON, Ordering::Relaxed),
        true if is_whole => _ = waits.fetch_and(!READS_ON, Ordering::Relaxed),
        _ => {}
    }
}

/// The thread has answered the request that it serves.
pub(super) fn has_answered() {
    let waits = &thread::current().waits;
    if waits.load(Ordering::Relaxed) & (BY_EPOLL | ANSWERS) == BY_EPOLL {
        waits.fetch_or(ANSWERS, Ordering::Relaxed);
    }
}

/// A call that waits for a connection has ended without anything, in the time that was set for it.
pub(super) fn has_read_in_vain() {
    thread::current().waits.fetch_or(IN_VAIN, Ordering::Relaxed);
}

/// Something has come.
pub(super) fn has_read_something() {
    has_found(1, None);
}

fn while_looping(at_most: Option<u64>, call: impl FnOnce() -> i32) -> i32 {
    if is_known_for(DEALS_AT_ONCE) {
        let thread = thread::current();
        // It waits until its next timer runs out, as of the time that it has read when it was last back, right after us. Some
        // read the coarse clock, which is behind the other one: then that is the earlier time, and now the later one.
        let since = thread.waited_ms.load(Ordering::Relaxed);
        let timer = at_most.filter(|_| is_known_for(RUNS_TIMERS));
        let next = timer.map_or(u64::MAX, |at_most| since.saturating_add(at_most / 1_000_000));
        thread.timers_ms.store(next, Ordering::Relaxed);
        let found = call();
        thread.waited_ms.store(native::coarse_ms(), Ordering::Relaxed);
        has_found(found, at_most);
        return found;
    }
    let found = call();
    has_found(found, at_most);
    found
}

/// What the thread does until it waits again may be for others than the request that it was seen to turn to.
pub(super) fn has_put_off() {
    thread::current().timers_ms.store(0, Ordering::Relaxed);
}

/// Whether no timer can have run out when the loop was back, as it had not run out by now.
fn is_before_timers() -> bool {
    native::monotonic_ms() < thread::current().timers_ms.load(Ordering::Relaxed)
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

/// Whether the calling thread is in the loop of a program that deals with all that a connection brings before it reads from others.
pub(super) fn deals_at_once() -> bool {
    is_known_for(DEALS_AT_ONCE) && is_loop()
}

/// The thread has asked for the request that it was seen to turn to, or has failed to.
pub(super) fn has_asked() {
    if is_known_for(ASKS_ONCE) {
        thread::current().waits.fetch_or(HAS_ASKED, Ordering::Relaxed);
    }
}

/// Whether what the thread does is for the request that it was seen to read, if it has not waited since. In an event loop that
/// is so as long as it is seen to be done with each request before it waits: one that leaves them open may have other things
/// to do for those, or for nobody, before it waits once more. Who waits by `epoll` mostly is such a one, and has to be seen to
/// answer first.
pub(super) fn is_certain() -> bool {
    let waits = thread::current().waits.load(Ordering::Relaxed);
    let is_in_parts = waits & READS_ON != 0;
    if is_known_for(PUTS_ASIDE) {
        return false;
    }
    if waits & (BY_POLL | BY_EPOLL) == 0 {
        return waits & (WORKS | IS_WOKEN) == 0 && !(is_in_parts && is_known_for(LEAVES_PARTS));
    }
    if is_known_for(DEALS_AT_ONCE) {
        return is_before_timers() && waits & HAS_ASKED == 0 && !(is_in_parts && is_known_for(ASKS_ONCE));
    }
    // Of what has not come whole nothing can be asked for yet: that is for others.
    waits & (LEAVES_OPEN | READS_ON | WORKS) == 0 && waits & (BY_EPOLL | ANSWERS) != BY_EPOLL
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
    if LISTENERS.contains(fd) {
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
        waits_by(BY_POLL);
    }
    if is_loop || ((asker || unknown) && thread.waits.load(Ordering::Relaxed) & BY_POLL != 0) {
        serve_nothing();
    }
}
