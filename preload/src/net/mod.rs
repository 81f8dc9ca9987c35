//! The program's connections: what goes over them is looked at, and becomes spans where it is understood.
//!
//! A connection is known from the `accept` or `connect` that made it until its descriptor is closed. The [`WORDS`] say which
//! descriptors are known; for all others a hook costs one look there. What is not understood is forgotten at once.
//!
//! [`receive`] takes in what a call has read, [`send`] what one has written, and there headers are put into requests.
//! Nothing is held while the real function runs: it may never come back.
//!
//! What is encrypted is seen at the calls of the TLS library ([`session`]), and the descriptor below is forgotten then.

mod address;
mod connection;
mod copy;
mod database;
mod descriptor_set;
mod exchange;
mod http;
mod left;
mod memory;
mod own_sets;
mod place;
mod programs;
mod receive;
mod rewrite;
mod send;
mod sent;
pub(crate) mod session;
mod waits;

pub(crate) use left::leave;
pub(crate) use own_sets::{changes_set, made_set};
pub(crate) use place::Place;
pub(crate) use receive::{failed, received, received_unseen};
pub(crate) use send::{Prepared, prepare};
pub(crate) use sent::{sent, sent_unseen, shut};
pub(crate) use waits::{has_read_elsewhere, serves_something, waited_for, while_polling, while_waiting};

use crate::libraries;
use crate::process::{self, Caller};
use crate::tracer::native;
use crate::tracer::pool::Key;
use address::Address;
use connection::{Connection, ConnectionRef, Traffic};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use ddtrace::interface::{LEFT_ALL, LEFT_REQUESTS};
use ddtrace::sys;

/// Descriptors above are not looked at.
const MOST_DESCRIPTORS: usize = 65_536;

/// Bit of a word: the program has accepted the connection.
const ACCEPTED: u64 = 1 << 31;

/// For each descriptor the slot of its connection and which life of it, as in [`Key`], and [`ACCEPTED`]; 0 for none.
static WORDS: [AtomicU64; MOST_DESCRIPTORS] = [const { AtomicU64::new(0) }; MOST_DESCRIPTORS];

/// The highest descriptor that was ever one of a connection.
static HIGHEST: AtomicUsize = AtomicUsize::new(0);

/// Whether connections are looked at at all.
static ENABLED: AtomicBool = AtomicBool::new(false);

/// How many children the process has begun, each of which may have the connections that there were.
static CHILDREN: AtomicU32 = AtomicU32::new(0);

/// A buffer of the host's, as `struct iovec`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vector {
    pub(crate) base: *const u8,
    pub(crate) length: usize,
}

/// Looks at connections from here on, those of the program with this path. Called once, from the constructor.
pub(crate) fn enable(executable: &[u8]) {
    programs::know(executable);
    ENABLED.store(true, Ordering::Relaxed);
}

fn word_of(fd: i32) -> Option<&'static AtomicU64> {
    // A negative number is a large one.
    WORDS.get(fd as u32 as usize)
}

/// Whether connections are looked at, here and now. No system call, as there may be a filter for them by now.
pub(crate) fn is_enabled() -> bool {
    ENABLED.load(Ordering::Relaxed) && process::is_recorded()
}

/// Whether the descriptor is that of a known connection.
#[inline]
pub(crate) fn is_watched(fd: i32) -> bool {
    // The flag comes first: where nothing is looked at, the words are not even touched.
    ENABLED.load(Ordering::Relaxed)
        && word_of(fd).is_some_and(|word| word.load(Ordering::Relaxed) != 0)
        && process::is_recorded()
}

/// Whether what the program sends over a known connection may be a request, or is to be looked at before it is sent for
/// another reason.
pub(crate) fn may_ask(fd: i32) -> bool {
    word_of(fd).is_some_and(|word| word.load(Ordering::Relaxed) & ACCEPTED == 0) || session::is_in_a_call()
}

/// What the program is about to send over a connection that it has made is seen when `call` is back.
pub(crate) fn while_sending<R>(fd: i32, call: impl FnOnce() -> R) -> R {
    if let Some(connection) = connection(fd) {
        connection.calls.fetch_add(1, Ordering::AcqRel);
    }
    let result = call();
    if let Some(connection) = connection(fd) {
        // The number may be that of another connection by now.
        let _ = connection.calls.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |calls| calls.checked_sub(1));
    }
    result
}

fn key_of(word: u64) -> Option<Key> {
    let index = ((word & !ACCEPTED) as u32).checked_sub(1)?;
    Some(Key { index, generation: (word >> 32) as u32 })
}

/// The known connection behind a descriptor.
fn connection(fd: i32) -> Option<ConnectionRef> {
    // Acquire pairs with the release in `watch`.
    enter(word_of(fd)?.load(Ordering::Acquire))
}

/// The connection that a word names.
fn enter(word: u64) -> Option<ConnectionRef> {
    if word == 0 || !is_enabled() { None } else { slot(word) }
}

/// The same for what has to go on whether anything is looked at any more or not.
fn slot(word: u64) -> Option<ConnectionRef> {
    memory::memory()?.connections.enter(key_of(word)?)
}

/// Notes a connection that was just made.
fn watch(fd: i32, mut new: Connection) {
    let Some(word) = word_of(fd) else { return };
    let flag = if new.is_accepted() { ACCEPTED } else { 0 };
    let Some(value) = keep(new) else { return forget(fd) };
    HIGHEST.fetch_max(fd as u32 as usize, Ordering::Relaxed);
    // Release pairs with the acquire in `connection`. What stands there was closed behind our back.
    drop_word(word.swap(value | flag, Ordering::AcqRel));
}

/// Puts a connection into a slot, and gives the word that names it.
fn keep(new: Connection) -> Option<u64> {
    let memory = memory::make()?;
    // SAFETY: the slot is filled.
    let key = unsafe { memory.connections.take(|place| _ = place.write(new)) }?.open();
    Some(u64::from(key.generation) << 32 | u64::from(key.index.wrapping_add(1)))
}

/// The descriptor is closed, or about to be: nobody can use its number for something new before.
fn forget(fd: i32) {
    if let Some(word) = word_of(fd)
        && word.load(Ordering::Relaxed) != 0
    {
        drop_word(word.swap(0, Ordering::AcqRel));
    }
}

fn drop_word(word: u64) {
    if let (Some(key), Some(memory)) = (key_of(word), memory::memory())
        && let Some(connection) = memory.connections.close(key)
    {
        connection.closed();
    }
}

/// Whether this process may change what is known of its descriptors: a vfork child has its own, but not its own memory.
fn may_change() -> bool {
    process::caller() == Some(Caller::Itself)
}

/// The program has accepted a connection.
///
/// # Safety
///
/// `address` is null, or leads to as many bytes as `length` says, as the call has left them.
pub(crate) unsafe fn accepted(listener: i32, fd: i32, address: *const u8, length: Option<u32>) {
    // Not asked for the process: a vfork child accepts nothing.
    if !ENABLED.load(Ordering::Relaxed) || !process::is_itself() {
        return;
    }
    waits::note_listener(listener);
    libraries::hook_new();
    // Who takes a new connection in has left what came over another one to somebody else, or is done with it.
    native::set_current_request(0);
    let mut peer = Address::UNKNOWN;
    if let (false, Some(length)) = (address.is_null(), length) {
        // SAFETY: the caller's promise.
        let bytes = unsafe { core::slice::from_raw_parts(address, (length as usize).min(112)) };
        match Address::of(bytes) {
            Some(known) => peer = known,
            // Unix sockets whose other end has no name are said to be of no length.
            None if bytes.len() >= 2 => return forget(fd),
            None => {}
        }
    }
    if left::is_left(LEFT_REQUESTS) {
        return forget(fd);
    }
    watch(fd, Connection::new(true, peer, 0, 0));
}

/// The program has connected a socket, or begun to (`is_done`: which of the two).
///
/// # Safety
///
/// `address` leads to `length` bytes.
pub(crate) unsafe fn connected(fd: i32, address: *const u8, length: u32, is_done: bool) {
    if !ENABLED.load(Ordering::Relaxed) || !may_change() {
        return;
    }
    libraries::hook_new();
    if left::is_left(LEFT_ALL) {
        return forget(fd);
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { core::slice::from_raw_parts(address, (length as usize).min(112)) };
    let peer = Address::of(bytes).filter(|_| sys::is_stream_socket(fd));
    match (peer, sys::file_status(fd)) {
        (Some(peer), Ok(status)) => {
            let request = if waits::is_certain() { native::current_request() } else { 0 };
            // What was waited for until it was connected is used at once, if it is for the present request. Else nobody knows
            // for whom it waits.
            let owner = if request != 0 && is_done && !sys::is_nonblocking(fd) { 0 } else { request };
            let mut new = Connection::new(false, peer, owner, status.inode);
            new.exchanges().is_for_unknown = request == 0 && !is_done;
            waits::has_asked();
            watch(fd, new);
        }
        _ => forget(fd),
    }
}

/// The program could not connect a socket.
pub(crate) fn not_connected() {
    if ENABLED.load(Ordering::Relaxed) {
        waits::has_asked();
    }
}

/// The program closes a descriptor, or puts something else in its place.
pub(crate) fn closing(fd: i32) {
    if ENABLED.load(Ordering::Relaxed) {
        waits::forget(fd);
    }
    own_sets::forget(fd);
    if is_watched(fd) && may_change() {
        forget(fd);
    }
}

/// The program has another number for a descriptor: from here on not all of the traffic may be seen.
pub(crate) fn duplicated(fd: i32, new: i32) {
    if fd == new {
        return;
    }
    closing(new);
    own_sets::forget(fd);
    if is_watched(fd) && may_change() {
        lose(fd);
    }
}

/// The process has a child from now on. Also called by a vfork child, of itself.
pub(crate) fn child_began() {
    CHILDREN.fetch_add(1, Ordering::Relaxed);
}

fn children() -> u32 {
    CHILDREN.load(Ordering::Relaxed)
}

/// The program has sent a message with these control data: descriptors may be in it, which another process has then.
///
/// # Safety
///
/// They can be read.
#[cold]
pub(crate) unsafe fn sent_control(control: *const u8, length: usize) {
    const SOL_SOCKET: i32 = 1;
    const SCM_RIGHTS: i32 = 1;
    const HEADER: usize = 16;
    // SAFETY: the caller's promise.
    let mut rest = unsafe { core::slice::from_raw_parts(control, length) };
    while let Some((size, kind)) = rest.split_first_chunk::<8>() {
        let size = usize::from_ne_bytes(*size);
        let is_rights = kind.first_chunk::<8>().is_some_and(|kind| {
            let [level, kind] =
                [kind.first_chunk(), kind.last_chunk()].map(|part| part.map(|part| i32::from_ne_bytes(*part)));
            (level, kind) == (Some(SOL_SOCKET), Some(SCM_RIGHTS))
        });
        if let (true, Some(descriptors)) = (is_rights, rest.get(HEADER..size)) {
            for fd in descriptors.as_chunks().0 {
                if let Some(connection) = connection(i32::from_ne_bytes(*fd)) {
                    let _ = connection.traffic.with(|traffic| traffic.is_sent = true);
                }
            }
        }
        // They are aligned as words are.
        let Some(next) = size.max(HEADER).checked_next_multiple_of(8).and_then(|next| rest.get(next..)) else { break };
        rest = next;
    }
}

/// Something goes over the connection that is not seen.
pub(crate) fn lose(fd: i32) {
    if let Some(connection) = connection(fd) {
        connection.is_lost.store(true, Ordering::Relaxed);
        let _ = connection.traffic.with(Traffic::is_not_seen);
        Place::Descriptor(fd).give_up(&connection);
    }
}

/// The request that is open on the connection that has come from this address; 0 for none. Looked for among all connections:
/// some ten nanoseconds each.
pub(crate) fn request_from(address: &[u8; 16], port: u16) -> u64 {
    if !is_enabled() {
        return 0;
    }
    let known = WORDS.get(..=HIGHEST.load(Ordering::Relaxed)).unwrap_or_default();
    let of = |word: &AtomicU64| {
        // Acquire pairs with the release in `watch`.
        let connection = enter(word.load(Ordering::Acquire))?;
        let request = connection.traffic.with(|traffic| {
            let exchanges = &traffic.exchanges;
            if traffic.is_accepted && exchanges.peer.is(address, port) { exchanges.current() } else { 0 }
        });
        request.filter(|request| *request != 0)
    };
    known.iter().find_map(of).unwrap_or(0)
}
