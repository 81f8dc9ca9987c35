//! Where a program waits for descriptors.

use crate::net;
use crate::table::{self, Function, real};
use core::ffi::c_void;
use ddtrace::sys;

/// `struct pollfd`.
#[repr(C)]
pub(crate) struct Entry {
    fd: i32,
    events: i16,
    returned: i16,
}

/// The words of a set of descriptors.
type Set = *const u64;

/// # Safety
///
/// As for `poll(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn poll(entries: *mut Entry, count: u64, timeout: i32) -> i32 {
    type Poll = unsafe extern "C" fn(*mut Entry, u64, i32) -> i32;
    // SAFETY: the type of poll.
    let Some(real) = (unsafe { real::<Poll>(Function::Poll) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    unsafe { polled(entries, count, || milliseconds(timeout), || real(entries, count, timeout)) }
}

/// # Safety
///
/// As for `poll(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn __poll_chk(entries: *mut Entry, count: u64, timeout: i32, size: usize) -> i32 {
    type PollChk = unsafe extern "C" fn(*mut Entry, u64, i32, usize) -> i32;
    // SAFETY: the type of __poll_chk.
    let Some(real) = (unsafe { real::<PollChk>(Function::PollChk) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    unsafe { polled(entries, count, || milliseconds(timeout), || real(entries, count, timeout, size)) }
}

/// # Safety
///
/// As for `ppoll(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn ppoll(
    entries: *mut Entry,
    count: u64,
    timeout: *const c_void,
    mask: *const c_void,
) -> i32 {
    type Ppoll = unsafe extern "C" fn(*mut Entry, u64, *const c_void, *const c_void) -> i32;
    // SAFETY: the type of ppoll.
    let Some(real) = (unsafe { real::<Ppoll>(Function::Ppoll) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    unsafe { polled(entries, count, || two_words(timeout, 1), || real(entries, count, timeout, mask)) }
}

/// # Safety
///
/// As for `ppoll(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn __ppoll_chk(
    entries: *mut Entry,
    count: u64,
    timeout: *const c_void,
    mask: *const c_void,
    size: usize,
) -> i32 {
    type PpollChk = unsafe extern "C" fn(*mut Entry, u64, *const c_void, *const c_void, usize) -> i32;
    // SAFETY: the type of __ppoll_chk.
    let Some(real) = (unsafe { real::<PpollChk>(Function::PpollChk) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    unsafe { polled(entries, count, || two_words(timeout, 1), || real(entries, count, timeout, mask, size)) }
}

/// # Safety
///
/// As for `select(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn select(count: i32, reads: Set, writes: Set, others: Set, timeout: *mut c_void) -> i32 {
    type Select = unsafe extern "C" fn(i32, Set, Set, Set, *mut c_void) -> i32;
    // SAFETY: the type of select.
    let Some(real) = (unsafe { real::<Select>(Function::Select) }) else { return table::missing() };
    // SAFETY: the host's own sets.
    unsafe { selects(count, [reads, writes, others]) };
    net::while_polling(
        || two_words(timeout, 1000),
        || count > 0,
        // SAFETY: the host's own arguments.
        || unsafe { real(count, reads, writes, others, timeout) },
    )
}

/// # Safety
///
/// As for `pselect(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn pselect(
    count: i32,
    reads: Set,
    writes: Set,
    others: Set,
    timeout: *const c_void,
    mask: *const c_void,
) -> i32 {
    type Pselect = unsafe extern "C" fn(i32, Set, Set, Set, *const c_void, *const c_void) -> i32;
    // SAFETY: the type of pselect.
    let Some(real) = (unsafe { real::<Pselect>(Function::Pselect) }) else { return table::missing() };
    // SAFETY: the host's own sets.
    unsafe { selects(count, [reads, writes, others]) };
    net::while_polling(
        || two_words(timeout, 1),
        || count > 0,
        // SAFETY: the host's own arguments.
        || unsafe { real(count, reads, writes, others, timeout, mask) },
    )
}

/// # Safety
///
/// `call` polls the entries.
unsafe fn polled(
    entries: *const Entry,
    count: u64,
    at_most: impl FnOnce() -> Option<u64>,
    call: impl FnOnce() -> i32,
) -> i32 {
    const EINTR: i32 = 4;
    // SAFETY: asked for when the kernel has read so many.
    let waited_for = || unsafe { core::slice::from_raw_parts(entries, usize::try_from(count).unwrap_or(0)) };
    let for_answer = || {
        count > 0
            && !entries.is_null()
            && waited_for().iter().any(|entry| net::may_ask(entry.fd) && net::is_watched(entry.fd))
    };
    let result = net::while_polling(at_most, for_answer, call);
    // Afterwards, as the kernel has read the entries then, whose descriptors stay as they are.
    if net::serves_something() && (result >= 0 || table::errno() == EINTR) && !entries.is_null() {
        // SAFETY: the kernel has read so many.
        let entries = unsafe { core::slice::from_raw_parts(entries, usize::try_from(count).unwrap_or(0)) };
        net::waited_for(entries.iter().map(|entry| entry.fd));
    }
    result
}

/// Before a `select`, which changes the sets.
///
/// # Safety
///
/// The sets are what the host has given: null, bad, or of so many bits.
unsafe fn selects(count: i32, sets: [Set; 3]) {
    const BITS: usize = 64;
    const PAGE: usize = 4096;
    // More than that are no descriptors that are known.
    const MOST: usize = 65_536;
    let count = usize::try_from(count).unwrap_or(0).min(MOST);
    if !net::serves_something() || count == 0 {
        return;
    }
    let words = count.div_ceil(BITS);
    for set in sets.iter().filter(|set| !set.is_null()) {
        let last = (*set as usize).wrapping_add(words.wrapping_mul(size_of::<u64>())).wrapping_sub(1);
        let mut page = *set as usize;
        while page <= last {
            // A bad one is the program's error.
            if !sys::is_readable(page) {
                return;
            }
            page = (page | PAGE.wrapping_sub(1)).wrapping_add(1);
        }
    }
    let bits = (0..count).filter(|fd| {
        sets.iter().filter(|set| !set.is_null()).any(|set| {
            // SAFETY: all pages of the set can be read (just tried), in which the word is. It may lie anywhere.
            let word = unsafe { set.wrapping_add(fd / BITS).read_unaligned() };
            word >> (fd % BITS) & 1 != 0
        })
    });
    net::waited_for(bits.filter_map(|fd| i32::try_from(fd).ok()));
}

/// # Safety
///
/// As for `epoll_create(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn epoll_create(size: i32) -> i32 {
    // SAFETY: the host's own argument.
    unsafe { created(Function::EpollCreate, size) }
}

/// # Safety
///
/// As for `epoll_create1(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn epoll_create1(flags: i32) -> i32 {
    // SAFETY: the host's own argument.
    unsafe { created(Function::EpollCreate1, flags) }
}

/// # Safety
///
/// `function` is one of the two.
unsafe fn created(function: Function, argument: i32) -> i32 {
    type EpollCreate = unsafe extern "C" fn(i32) -> i32;
    // SAFETY: the type of both.
    let Some(real) = (unsafe { real::<EpollCreate>(function) }) else { return table::missing() };
    // SAFETY: the host's own argument.
    let set = unsafe { real(argument) };
    if set >= 0 {
        net::made_set(set);
    }
    set
}

/// # Safety
///
/// As for `epoll_ctl(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn epoll_ctl(set: i32, change: i32, fd: i32, event: *mut c_void) -> i32 {
    type EpollCtl = unsafe extern "C" fn(i32, i32, i32, *mut c_void) -> i32;
    // SAFETY: the type of epoll_ctl.
    let Some(real) = (unsafe { real::<EpollCtl>(Function::EpollCtl) }) else { return table::missing() };
    const EPOLL_CTL_DEL: i32 = 2;
    // Before: another thread may be waiting.
    net::changes_set(set, change == EPOLL_CTL_DEL, fd);
    // SAFETY: the host's own arguments.
    unsafe { real(set, change, fd, event) }
}

/// # Safety
///
/// As for `epoll_wait(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn epoll_wait(fd: i32, events: *mut c_void, most: i32, timeout: i32) -> i32 {
    type EpollWait = unsafe extern "C" fn(i32, *mut c_void, i32, i32) -> i32;
    // SAFETY: the type of epoll_wait.
    let Some(real) = (unsafe { real::<EpollWait>(Function::EpollWait) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    net::while_waiting(fd, || milliseconds(timeout), || unsafe { real(fd, events, most, timeout) })
}

/// # Safety
///
/// As for `epoll_pwait(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn epoll_pwait(
    fd: i32,
    events: *mut c_void,
    most: i32,
    timeout: i32,
    mask: *const c_void,
) -> i32 {
    type EpollPwait = unsafe extern "C" fn(i32, *mut c_void, i32, i32, *const c_void) -> i32;
    // SAFETY: the type of epoll_pwait.
    let Some(real) = (unsafe { real::<EpollPwait>(Function::EpollPwait) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    net::while_waiting(fd, || milliseconds(timeout), || unsafe { real(fd, events, most, timeout, mask) })
}

/// The most nanoseconds that such a wait lasts; `None` for no end.
fn milliseconds(timeout: i32) -> Option<u64> {
    u64::try_from(timeout).ok().map(|timeout| timeout.saturating_mul(1_000_000))
}

/// The same where it is given as seconds, and as parts of one of so many nanoseconds, by the host's pointer. A bad one is the
/// program's error.
fn two_words(timeout: *const c_void, part_ns: u64) -> Option<u64> {
    const PAGE: usize = 4096;
    let last = (timeout as usize).wrapping_add(2 * size_of::<u64>() - 1);
    if timeout.is_null() {
        return None;
    }
    let is_on_one_page = timeout as usize / PAGE == last / PAGE;
    if !sys::is_readable(timeout as usize) || !is_on_one_page && !sys::is_readable(last) {
        return Some(0);
    }
    // SAFETY: both words can be read (just tried). They may lie anywhere.
    let [seconds, parts] = unsafe { timeout.cast::<[u64; 2]>().read_unaligned() };
    Some(seconds.saturating_mul(1_000_000_000).saturating_add(parts.saturating_mul(part_ns)))
}

/// # Safety
///
/// As for `epoll_pwait2(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn epoll_pwait2(
    fd: i32,
    events: *mut c_void,
    most: i32,
    timeout: *const c_void,
    mask: *const c_void,
) -> i32 {
    type EpollPwait2 = unsafe extern "C" fn(i32, *mut c_void, i32, *const c_void, *const c_void) -> i32;
    // SAFETY: the type of epoll_pwait2.
    let Some(real) = (unsafe { real::<EpollPwait2>(Function::EpollPwait2) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    net::while_waiting(fd, || two_words(timeout, 1), || unsafe { real(fd, events, most, timeout, mask) })
}
