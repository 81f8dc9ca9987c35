//! What writes to descriptors.

use super::receive::{Message, slice};
use crate::net::{self, Prepared, Vector};
use crate::table::{self, Function, real};
use core::ffi::c_void;
use core::ptr::null;
use ddtrace::sys;

/// Flags of `send(2)`.
const MSG_OOB: i32 = 1;
const MSG_DONTWAIT: i32 = 0x40;
const MSG_NOSIGNAL: i32 = 0x4000;
const MSG_MORE: i32 = 0x8000;
const MSG_ZEROCOPY: i32 = 0x400_0000;

type Writev = unsafe extern "C" fn(i32, *const Vector, i32) -> isize;
type Sendmsg = unsafe extern "C" fn(i32, *const Message, i32) -> isize;

/// # Safety
///
/// As for `write(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn write(fd: i32, buffer: *const u8, count: usize) -> isize {
    type Write = unsafe extern "C" fn(i32, *const u8, usize) -> isize;
    // SAFETY: the type of write.
    let Some(real) = (unsafe { real::<Write>(Function::Write) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let call = || unsafe { real(fd, buffer, count) };
    if !net::is_watched(fd) {
        return call();
    }
    // SAFETY: the host's own buffer.
    unsafe { watched_write(fd, &[Vector { base: buffer, length: count }], call) }
}

/// # Safety
///
/// As for `writev(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn writev(fd: i32, vectors: *const Vector, count: i32) -> isize {
    // SAFETY: the type of writev.
    let Some(real) = (unsafe { real::<Writev>(Function::Writev) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let call = || unsafe { real(fd, vectors, count) };
    if !net::is_watched(fd) {
        return call();
    }
    let count = count.try_into().unwrap_or(0);
    if !net::may_ask(fd) {
        let result = call();
        // SAFETY: the kernel has used the vectors if it has sent anything.
        unsafe { sent(fd, slice(vectors, count, result), result) };
        return result;
    }
    // SAFETY: the host's own vectors, as far as they can be read.
    unsafe { watched_write(fd, readable(vectors, count), call) }
}

/// # Safety
///
/// As for `send(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn send(fd: i32, buffer: *const u8, count: usize, flags: i32) -> isize {
    type Send = unsafe extern "C" fn(i32, *const u8, usize, i32) -> isize;
    // SAFETY: the type of send.
    let Some(real) = (unsafe { real::<Send>(Function::Send) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let call = || unsafe { real(fd, buffer, count, flags) };
    if !net::is_watched(fd) {
        return call();
    }
    // SAFETY: the host's own buffer; a message with nothing but it.
    unsafe { watched_send(fd, &[Vector { base: buffer, length: count }], flags, &EMPTY, call) }
}

/// # Safety
///
/// As for `sendto(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn sendto(
    fd: i32,
    buffer: *const u8,
    count: usize,
    flags: i32,
    address: *const c_void,
    length: u32,
) -> isize {
    type Sendto = unsafe extern "C" fn(i32, *const u8, usize, i32, *const c_void, u32) -> isize;
    // SAFETY: the type of sendto.
    let Some(real) = (unsafe { real::<Sendto>(Function::Sendto) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let call = || unsafe { real(fd, buffer, count, flags, address, length) };
    if !net::is_watched(fd) {
        return call();
    }
    let message = Message { name: address, name_length: length, ..EMPTY };
    // SAFETY: the host's own buffer and address.
    unsafe { watched_send(fd, &[Vector { base: buffer, length: count }], flags, &message, call) }
}

/// # Safety
///
/// As for `sendmsg(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn sendmsg(fd: i32, message: *const Message, flags: i32) -> isize {
    // SAFETY: the host's own arguments.
    unsafe {
        let result = sent_message(fd, message, flags);
        // The kernel has read the message if it has sent anything.
        if result >= 0 && net::is_enabled() && (*message).control_length > 0 && !(*message).control.is_null() {
            net::sent_control((*message).control.cast(), (*message).control_length);
        }
        result
    }
}

/// # Safety
///
/// As for `sendmsg(2)`.
unsafe fn sent_message(fd: i32, message: *const Message, flags: i32) -> isize {
    // SAFETY: the type of sendmsg.
    let Some(real) = (unsafe { real::<Sendmsg>(Function::Sendmsg) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let call = || unsafe { real(fd, message, flags) };
    if !net::is_watched(fd) {
        return call();
    }
    if !net::may_ask(fd) && flags & MSG_OOB == 0 {
        let result = call();
        // SAFETY: the kernel has used the message, and its vectors, if it has sent anything.
        unsafe {
            let vectors = if result >= 0 { slice((*message).vectors, (*message).count, result) } else { &[] };
            sent(fd, vectors, result);
        }
        return result;
    }
    let last = (message as usize).wrapping_add(size_of::<Message>()).wrapping_sub(1);
    if !sys::is_readable(message as usize) || !sys::is_readable(last) {
        return call();
    }
    // SAFETY: it can be read (just tried); the host's own vectors, as far as they can be read.
    unsafe {
        let message = *message;
        watched_send(fd, readable(message.vectors, message.count), flags, &message, call)
    }
}

/// # Safety
///
/// As for `sendmmsg(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn sendmmsg(fd: i32, messages: *mut c_void, count: u32, flags: i32) -> i32 {
    type Sendmmsg = unsafe extern "C" fn(i32, *mut c_void, u32, i32) -> i32;
    // SAFETY: the type of sendmmsg.
    let Some(real) = (unsafe { real::<Sendmmsg>(Function::Sendmmsg) }) else { return table::missing() };
    if net::is_watched(fd) {
        net::lose(fd);
    }
    // SAFETY: the host's own arguments.
    unsafe { real(fd, messages, count, flags) }
}

/// # Safety
///
/// As for `sendfile(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn sendfile(out: i32, from: i32, offset: *mut i64, count: usize) -> isize {
    // SAFETY: the host's own arguments.
    unsafe { sent_file(Function::Sendfile, out, from, offset, count) }
}

/// # Safety
///
/// As for `sendfile(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn sendfile64(out: i32, from: i32, offset: *mut i64, count: usize) -> isize {
    // SAFETY: the host's own arguments.
    unsafe { sent_file(Function::Sendfile64, out, from, offset, count) }
}

/// # Safety
///
/// As for `sendfile(2)`, whose name is `function`.
unsafe fn sent_file(function: Function, out: i32, from: i32, offset: *mut i64, count: usize) -> isize {
    type Sendfile = unsafe extern "C" fn(i32, i32, *mut i64, usize) -> isize;
    // SAFETY: the type of sendfile.
    let Some(real) = (unsafe { real::<Sendfile>(function) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(out, from, offset, count) };
    if net::is_watched(out) {
        match usize::try_from(result) {
            Ok(count) => net::sent_unseen(out.into(), count),
            Err(_) => net::failed(out.into(), table::errno()),
        }
    }
    result
}

/// # Safety
///
/// As for `splice(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn splice(
    from: i32,
    from_offset: *mut i64,
    to: i32,
    to_offset: *mut i64,
    count: usize,
    flags: u32,
) -> isize {
    type Splice = unsafe extern "C" fn(i32, *mut i64, i32, *mut i64, usize, u32) -> isize;
    // SAFETY: the type of splice.
    let Some(real) = (unsafe { real::<Splice>(Function::Splice) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(from, from_offset, to, to_offset, count, flags) };
    if let (Ok(count), true) = (usize::try_from(result), net::is_watched(from) || net::is_watched(to)) {
        if count == 0 {
            // SAFETY: no buffer is looked at.
            unsafe { net::received(from.into(), &[], 0) };
        } else {
            net::received_unseen(from.into(), count);
            net::sent_unseen(to.into(), count);
        }
    }
    result
}

const EMPTY: Message =
    Message { name: null(), name_length: 0, vectors: null(), count: 0, control: null(), control_length: 0, flags: 0 };

/// The host's vectors, if they are few and can be read; else none.
///
/// # Safety
///
/// Nobody changes them meanwhile.
unsafe fn readable<'a>(vectors: *const Vector, count: usize) -> &'a [Vector] {
    const MOST: usize = 1024;
    const PAGE: usize = 4096;
    if count == 0 || count > MOST {
        return &[];
    }
    let start = vectors as usize;
    let last = start.wrapping_add(count.wrapping_mul(size_of::<Vector>())).wrapping_sub(1);
    let mut page = start;
    while page <= last {
        if !sys::is_readable(page) {
            return &[];
        }
        page = (page | PAGE.wrapping_sub(1)).wrapping_add(1);
    }
    // SAFETY: all pages of them can be read (just tried); the caller's promise.
    unsafe { core::slice::from_raw_parts(vectors, count) }
}

/// # Safety
///
/// `call` writes the vectors to the descriptor.
#[cold]
unsafe fn watched_write(fd: i32, vectors: &[Vector], call: impl FnOnce() -> isize) -> isize {
    // SAFETY: the caller's promise.
    unsafe { seen(fd, vectors, call, |call| write_of_client(fd, vectors, call)) }
}

/// What a server sends is looked at when it is sent; what a client does `of_client` looks at before that as well.
///
/// # Safety
///
/// `call` sends the vectors over the descriptor.
unsafe fn seen<Call: FnOnce() -> isize>(
    fd: i32,
    vectors: &[Vector],
    call: Call,
    of_client: impl FnOnce(Call) -> isize,
) -> isize {
    if !net::may_ask(fd) {
        let result = call();
        // SAFETY: the call has sent so much of them.
        unsafe { sent(fd, vectors, result) };
        return result;
    }
    if has_little_stack() {
        net::lose(fd);
        return call();
    }
    net::while_sending(fd, || of_client(call))
}

/// Whether a request cannot be looked at here: handlers of signals may have stacks of 8 KB (`SIGSTKSZ`), and it takes more.
fn has_little_stack() -> bool {
    const NEEDED: usize = 20 * 1024;
    sys::signal_stack_left().is_some_and(|left| left < NEEDED)
}

/// # Safety
///
/// As for [`watched_write`].
unsafe fn write_of_client(fd: i32, vectors: &[Vector], call: impl FnOnce() -> isize) -> isize {
    let mut prepared = Prepared::new();
    // SAFETY: the caller's promise.
    if unsafe { net::prepare(fd, vectors, &mut prepared) } {
        // SAFETY: the type of writev.
        if let Some(writev) = unsafe { real::<Writev>(Function::Writev) } {
            // SAFETY: buffers of the host's and of ours, which stay where they are.
            let send = |own: &[Vector]| unsafe { writev(fd, own.as_ptr(), own.len() as i32) };
            // SAFETY: the caller's promise.
            return unsafe {
                let taken = rewritten(&mut prepared, fd, vectors, 0, send, call);
                rest_goes_out(&mut prepared, fd, vectors, 0, taken)
            };
        }
    }
    let result = call();
    // SAFETY: the call has sent so much of them.
    unsafe { sent(fd, vectors, result) };
    result
}

/// # Safety
///
/// The call has sent `result` bytes of the vectors, if that is not negative.
unsafe fn sent(fd: i32, vectors: &[Vector], result: isize) {
    // SAFETY: the caller's promise.
    unsafe { net::sent(fd.into(), vectors, result, if result < 0 { table::errno() } else { 0 }) };
}

/// # Safety
///
/// `call` sends the vectors over the descriptor with these flags, and with all else that `message` says.
#[cold]
unsafe fn watched_send(
    fd: i32,
    vectors: &[Vector],
    flags: i32,
    message: &Message,
    call: impl FnOnce() -> isize,
) -> isize {
    if flags & MSG_OOB != 0 {
        net::lose(fd);
        return call();
    }
    // SAFETY: the caller's promise.
    unsafe { seen(fd, vectors, call, |call| send_of_client(fd, vectors, flags, message, call)) }
}

/// # Safety
///
/// As for [`watched_send`].
unsafe fn send_of_client(
    fd: i32,
    vectors: &[Vector],
    flags: i32,
    message: &Message,
    call: impl FnOnce() -> isize,
) -> isize {
    let mut prepared = Prepared::new();
    // What is sent without a copy must stay as it is for longer than a connection lives.
    // SAFETY: the caller's promise.
    if flags & MSG_ZEROCOPY == 0 && unsafe { net::prepare(fd, vectors, &mut prepared) } {
        // SAFETY: the type of sendmsg.
        if let Some(sendmsg) = unsafe { real::<Sendmsg>(Function::Sendmsg) } {
            let send = |own: &[Vector]| {
                let message = Message { vectors: own.as_ptr(), count: own.len(), ..*message };
                // SAFETY: buffers of the host's and of ours, which stay where they are.
                unsafe { sendmsg(fd, &raw const message, flags) }
            };
            // SAFETY: the caller's promise.
            return unsafe {
                let taken = rewritten(&mut prepared, fd, vectors, flags, send, call);
                rest_goes_out(&mut prepared, fd, vectors, flags, taken)
            };
        }
    }
    let result = call();
    // SAFETY: the call has sent so much of them.
    unsafe { sent(fd, vectors, result) };
    result
}

/// Behind the request of which `taken` bytes were sent the host's buffers may hold others: they go out one after the other, each
/// with headers of its own. Gives how many bytes of the host's went out in all, or `taken` as it is where that was an error.
///
/// # Safety
///
/// As for [`rewritten`], which was called for `prepared`.
#[cold]
unsafe fn rest_goes_out(prepared: &mut Prepared, fd: i32, vectors: &[Vector], flags: i32, taken: isize) -> isize {
    let Ok(mut all) = usize::try_from(taken) else { return taken };
    let (errno, mut is_whole) = (table::errno(), all == prepared.length());
    // What has sent something raises no signal.
    let flags = flags | MSG_NOSIGNAL;
    // Each round sends at least a byte, or is the last one.
    while is_whole && let Some((first, others)) = behind(vectors, all) {
        let first = [first];
        // The buffer in the midst of which a request has ended comes by itself.
        let rest = if first[0].length > 0 { &first } else { others };
        // SAFETY: buffers of the host's.
        let send = |own: &[Vector]| unsafe { send_own(fd, own, flags) };
        prepared.begin_again();
        // SAFETY: the caller's promise.
        let is_prepared = net::may_ask(fd) && unsafe { net::prepare(fd, rest, prepared) };
        let (sent, length) = if is_prepared {
            // SAFETY: the caller's promise.
            let sent = unsafe { rewritten(prepared, fd, rest, flags, send, || send(rest)) };
            (sent, prepared.length())
        } else {
            let result = send(rest);
            // SAFETY: the call has sent so much of them.
            unsafe { sent(fd, rest, result) };
            (result, rest.iter().fold(0, |sum, vector| vector.length.saturating_add(sum)))
        };
        let Ok(sent @ 1..) = usize::try_from(sent) else { break };
        all = all.saturating_add(sent);
        is_whole = sent == length;
    }
    table::set_errno(errno);
    all as isize
}

/// What lies behind so many bytes: the rest of the buffer in the midst of which they end, which is empty where they end between
/// two, and the buffers behind that. `None` where nothing does.
fn behind(vectors: &[Vector], taken: usize) -> Option<(Vector, &[Vector])> {
    const NOTHING: Vector = Vector { base: null(), length: 0 };
    let mut before = 0usize;
    for (index, vector) in vectors.iter().enumerate() {
        let (start, from) = (before, taken.saturating_sub(before));
        before = before.saturating_add(vector.length);
        if taken < before {
            let others = vectors.get(if start == taken { index } else { index.wrapping_add(1) }..).unwrap_or_default();
            let rest = Vector { base: vector.base.wrapping_add(from), length: vector.length.wrapping_sub(from) };
            return Some((if start == taken { NOTHING } else { rest }, others));
        }
    }
    None
}

/// # Safety
///
/// `send` sends the vectors that it is given, with all that the host's call says, and `call` is that call; `vectors` are
/// those of the host.
unsafe fn rewritten(
    prepared: &mut Prepared,
    fd: i32,
    vectors: &[Vector],
    flags: i32,
    send: impl FnOnce(&[Vector]) -> isize,
    call: impl FnOnce() -> isize,
) -> isize {
    if prepared.own_is_next().is_some() {
        // SAFETY: the caller's promise.
        let result = if unsafe { own_goes_out(prepared, fd, flags) } { call() } else { -1 };
        let taken = usize::try_from(result).map_or(result, |sent| prepared.went_out(fd, sent) as isize);
        // SAFETY: the call has sent so much of them.
        unsafe { sent(fd, vectors, taken) };
        return taken;
    }
    let (own, offered) = prepared.vectors();
    let first = if own.is_empty() { 0 } else { send(own) };
    let Ok(mut last) = usize::try_from(first) else {
        // SAFETY: nothing was sent.
        unsafe { sent(fd, vectors, first) };
        return first;
    };
    let (errno, mut offered) = (table::errno(), offered);
    let mut taken = prepared.went_out(fd, last);
    // Mostly all the program's buffers were in the one call.
    while last == offered && prepared.goes_on(vectors) {
        let own;
        (own, offered) = prepared.vectors();
        // What has sent something raises no signal.
        // SAFETY: buffers of the host's.
        let Ok(sent) = usize::try_from(unsafe { send_own(fd, own, flags | MSG_NOSIGNAL) }) else {
            table::set_errno(errno);
            break;
        };
        taken = prepared.went_out(fd, sent);
        last = sent;
    }
    // SAFETY: so many of the host's bytes were taken.
    unsafe { sent(fd, vectors, taken as isize) };
    taken as isize
}

/// Sends what of ours is next. Whether all of it went out; else `errno` says why the host's call has failed.
///
/// # Safety
///
/// As for [`rewritten`].
#[cold]
unsafe fn own_goes_out(prepared: &mut Prepared, fd: i32, flags: i32) -> bool {
    const EAGAIN: i32 = 11;
    let errno = table::errno();
    // Each round sends at least a byte, or is the last one.
    while let Some(own) = prepared.own_is_next() {
        // SAFETY: bytes of ours, which stay where they are.
        let mut sent = unsafe { send_own(fd, &[own], flags | MSG_MORE | MSG_DONTWAIT) };
        if sent < 0 && table::errno() == EAGAIN {
            // There is no room. One byte waits for it as the host's call would, and if none comes it says why: a call that
            // has sent something is not told of the signal or the time that has ended it.
            let one = Vector { length: 1, ..own };
            // SAFETY: as above.
            sent = unsafe { send_own(fd, &[one], flags | MSG_MORE) };
        }
        match usize::try_from(sent) {
            Ok(count @ 1..) => prepared.own_went_out(fd, count),
            _ => return false,
        }
    }
    table::set_errno(errno);
    true
}

/// # Safety
///
/// The vectors can be read by the kernel, or are bad ones of the host's.
unsafe fn send_own(fd: i32, vectors: &[Vector], flags: i32) -> isize {
    // SAFETY: the type of sendmsg.
    let Some(sendmsg) = (unsafe { real::<Sendmsg>(Function::Sendmsg) }) else { return table::missing() as isize };
    let message = Message { vectors: vectors.as_ptr(), count: vectors.len(), ..EMPTY };
    // SAFETY: a message with nothing but the vectors, which the kernel reads.
    unsafe { sendmsg(fd, &raw const message, flags) }
}
