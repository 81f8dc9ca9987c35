//! What reads from descriptors.

use crate::net::{self, Vector};
use crate::table::{self, Function, real};
use core::ffi::c_void;

/// Flags of `recv(2)`.
const MSG_OOB: i32 = 1;
const MSG_PEEK: i32 = 2;
const MSG_TRUNC: i32 = 0x20;
const MSG_DONTWAIT: i32 = 0x40;
const MSG_ERRQUEUE: i32 = 0x2000;
const EAGAIN: i32 = 11;

/// `struct msghdr`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Message {
    pub(super) name: *const c_void,
    pub(super) name_length: u32,
    pub(super) vectors: *const Vector,
    pub(super) count: usize,
    pub(super) control: *const c_void,
    pub(super) control_length: usize,
    pub(super) flags: i32,
}

/// `struct mmsghdr`.
#[repr(C)]
#[derive(Clone, Copy)]
struct NumberedMessage {
    message: Message,
    length: u32,
}

/// # Safety
///
/// As for `read(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn read(fd: i32, buffer: *mut u8, count: usize) -> isize {
    type Read = unsafe extern "C" fn(i32, *mut u8, usize) -> isize;
    // SAFETY: the type of read.
    let Some(real) = (unsafe { real::<Read>(Function::Read) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(fd, buffer, count) };
    if net::is_watched(fd) {
        // SAFETY: the call has read so much into the buffer.
        unsafe { arrived(fd, &[Vector { base: buffer, length: count }], result, 0) };
    } else {
        net::has_read_elsewhere(fd);
    }
    result
}

/// # Safety
///
/// As for `read(2)`; `size` is that of the buffer.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn __read_chk(fd: i32, buffer: *mut u8, count: usize, size: usize) -> isize {
    type ReadChk = unsafe extern "C" fn(i32, *mut u8, usize, usize) -> isize;
    // SAFETY: the type of __read_chk.
    let Some(real) = (unsafe { real::<ReadChk>(Function::ReadChk) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(fd, buffer, count, size) };
    if net::is_watched(fd) {
        // SAFETY: the call has read so much into the buffer.
        unsafe { arrived(fd, &[Vector { base: buffer, length: count }], result, 0) };
    } else {
        net::has_read_elsewhere(fd);
    }
    result
}

/// # Safety
///
/// As for `readv(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn readv(fd: i32, vectors: *const Vector, count: i32) -> isize {
    type Readv = unsafe extern "C" fn(i32, *const Vector, i32) -> isize;
    // SAFETY: the type of readv.
    let Some(real) = (unsafe { real::<Readv>(Function::Readv) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(fd, vectors, count) };
    if net::is_watched(fd) {
        // SAFETY: the kernel has used them if it has read anything.
        unsafe { arrived(fd, slice(vectors, count.try_into().unwrap_or(0), result), result, 0) };
    } else {
        net::has_read_elsewhere(fd);
    }
    result
}

/// # Safety
///
/// As for `recv(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn recv(fd: i32, buffer: *mut u8, count: usize, flags: i32) -> isize {
    type Recv = unsafe extern "C" fn(i32, *mut u8, usize, i32) -> isize;
    // SAFETY: the type of recv.
    let Some(real) = (unsafe { real::<Recv>(Function::Recv) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(fd, buffer, count, flags) };
    if net::is_watched(fd) {
        // SAFETY: the call has read so much into the buffer.
        unsafe { arrived(fd, &[Vector { base: buffer, length: count }], result, flags) };
    } else {
        net::has_read_elsewhere(fd);
    }
    result
}

/// # Safety
///
/// As for `recv(2)`; `size` is that of the buffer.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn __recv_chk(fd: i32, buffer: *mut u8, count: usize, size: usize, flags: i32) -> isize {
    type RecvChk = unsafe extern "C" fn(i32, *mut u8, usize, usize, i32) -> isize;
    // SAFETY: the type of __recv_chk.
    let Some(real) = (unsafe { real::<RecvChk>(Function::RecvChk) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(fd, buffer, count, size, flags) };
    if net::is_watched(fd) {
        // SAFETY: the call has read so much into the buffer.
        unsafe { arrived(fd, &[Vector { base: buffer, length: count }], result, flags) };
    } else {
        net::has_read_elsewhere(fd);
    }
    result
}

/// # Safety
///
/// As for `recvfrom(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn recvfrom(
    fd: i32,
    buffer: *mut u8,
    count: usize,
    flags: i32,
    address: *mut c_void,
    length: *mut u32,
) -> isize {
    type Recvfrom = unsafe extern "C" fn(i32, *mut u8, usize, i32, *mut c_void, *mut u32) -> isize;
    // SAFETY: the type of recvfrom.
    let Some(real) = (unsafe { real::<Recvfrom>(Function::Recvfrom) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(fd, buffer, count, flags, address, length) };
    if net::is_watched(fd) {
        // SAFETY: the call has read so much into the buffer.
        unsafe { arrived(fd, &[Vector { base: buffer, length: count }], result, flags) };
    } else {
        net::has_read_elsewhere(fd);
    }
    result
}

/// # Safety
///
/// As for `recvfrom(2)`; `size` is that of the buffer.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn __recvfrom_chk(
    fd: i32,
    buffer: *mut u8,
    count: usize,
    size: usize,
    flags: i32,
    address: *mut c_void,
    length: *mut u32,
) -> isize {
    type RecvfromChk = unsafe extern "C" fn(i32, *mut u8, usize, usize, i32, *mut c_void, *mut u32) -> isize;
    // SAFETY: the type of __recvfrom_chk.
    let Some(real) = (unsafe { real::<RecvfromChk>(Function::RecvfromChk) }) else {
        return table::missing() as isize;
    };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(fd, buffer, count, size, flags, address, length) };
    if net::is_watched(fd) {
        // SAFETY: the call has read so much into the buffer.
        unsafe { arrived(fd, &[Vector { base: buffer, length: count }], result, flags) };
    } else {
        net::has_read_elsewhere(fd);
    }
    result
}

/// # Safety
///
/// As for `recvmsg(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn recvmsg(fd: i32, message: *mut Message, flags: i32) -> isize {
    type Recvmsg = unsafe extern "C" fn(i32, *mut Message, i32) -> isize;
    // SAFETY: the type of recvmsg.
    let Some(real) = (unsafe { real::<Recvmsg>(Function::Recvmsg) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(fd, message, flags) };
    if net::is_watched(fd) {
        let vectors = if result >= 0 {
            // SAFETY: the kernel has used the message.
            unsafe { slice((*message).vectors, (*message).count, result) }
        } else {
            &[]
        };
        // SAFETY: the call has read so much into the buffers.
        unsafe { arrived(fd, vectors, result, flags) };
    } else {
        net::has_read_elsewhere(fd);
    }
    result
}

/// # Safety
///
/// As for `recvmmsg(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn recvmmsg(
    fd: i32,
    messages: *mut c_void,
    count: u32,
    flags: i32,
    timeout: *mut c_void,
) -> i32 {
    type Recvmmsg = unsafe extern "C" fn(i32, *mut c_void, u32, i32, *mut c_void) -> i32;
    // SAFETY: the type of recvmmsg.
    let Some(real) = (unsafe { real::<Recvmmsg>(Function::Recvmmsg) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    let result = unsafe { real(fd, messages, count, flags, timeout) };
    if let Ok(arrived) = usize::try_from(result)
        && net::is_watched(fd)
    {
        for number in 0..arrived {
            // SAFETY: the kernel has used so many messages, and said how much it has read into each.
            unsafe {
                let NumberedMessage { message, length } = *messages.cast::<NumberedMessage>().add(number);
                let length = length as isize;
                self::arrived(fd, slice(message.vectors, message.count, length), length, flags);
            }
        }
    }
    result
}

/// # Safety
///
/// If the call has given `result`, and that is not negative, there are `count` vectors.
pub(super) unsafe fn slice<'a>(vectors: *const Vector, count: usize, result: isize) -> &'a [Vector] {
    if result < 0 || vectors.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(vectors, count) }
}

/// # Safety
///
/// The call has read `result` bytes into the buffers, if that is not negative.
#[cold]
unsafe fn arrived(fd: i32, vectors: &[Vector], result: isize, flags: i32) {
    if flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE) != 0 {
        return;
    }
    match usize::try_from(result) {
        // Who does not wait is not kept waiting.
        Err(_) if flags & MSG_DONTWAIT != 0 && table::errno() == EAGAIN => {}
        Err(_) => net::failed(fd.into(), table::errno()),
        Ok(0) if vectors.iter().all(|vector| vector.length == 0) => {}
        Ok(count) if flags & MSG_TRUNC != 0 => net::received_unseen(fd.into(), count),
        // SAFETY: the caller's promise.
        Ok(count) => unsafe { net::received(fd.into(), vectors, count) },
    }
}
