//! Every hook, once: its name, and the real function behind it; and those functions that are called but not hooked.

use crate::host::{Auxv, Name, Objects, loader, lookup};
use crate::raw;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

macro_rules! functions {
    ($($variant:ident = $name:literal,)*) => {
        /// A function of the host's C library.
        #[derive(Clone, Copy)]
        #[repr(usize)]
        pub(crate) enum Function { $($variant,)* }

        const NAMES: &[Name] = &[$(Name::new($name),)*];
    };
}

functions! {
    Execve = "execve",
    Execveat = "execveat",
    Execvpe = "execvpe",
    Fexecve = "fexecve",
    PosixSpawn = "posix_spawn",
    PosixSpawnp = "posix_spawnp",
    Fork = "fork",
    UnderscoreFork = "_Fork",
    Forkpty = "forkpty",
    Daemon = "daemon",
    UnderscoreExit = "_exit",
    CapitalExit = "_Exit",
    QuickExit = "quick_exit",
    Waitpid = "waitpid",
    Wait = "wait",
    Wait3 = "wait3",
    Wait4 = "wait4",
    Waitid = "waitid",
    Prctl = "prctl",
    Mlockall = "mlockall",
    Syscall = "syscall",
    Read = "read",
    ReadChk = "__read_chk",
    Readv = "readv",
    Recv = "recv",
    RecvChk = "__recv_chk",
    Recvfrom = "recvfrom",
    RecvfromChk = "__recvfrom_chk",
    Recvmsg = "recvmsg",
    Recvmmsg = "recvmmsg",
    Write = "write",
    Writev = "writev",
    Send = "send",
    Sendto = "sendto",
    Sendmsg = "sendmsg",
    Sendmmsg = "sendmmsg",
    Sendfile = "sendfile",
    Sendfile64 = "sendfile64",
    Splice = "splice",
    Connect = "connect",
    Accept = "accept",
    Accept4 = "accept4",
    Shutdown = "shutdown",
    Close = "close",
    Dup = "dup",
    Dup2 = "dup2",
    Dup3 = "dup3",
    Fcntl = "fcntl",
    Fcntl64 = "fcntl64",
    Fdopen = "fdopen",
    Poll = "poll",
    PollChk = "__poll_chk",
    Ppoll = "ppoll",
    PpollChk = "__ppoll_chk",
    Select = "select",
    Pselect = "pselect",
    EpollCreate = "epoll_create",
    EpollCreate1 = "epoll_create1",
    EpollCtl = "epoll_ctl",
    EpollWait = "epoll_wait",
    EpollPwait = "epoll_pwait",
    EpollPwait2 = "epoll_pwait2",
    ErrnoLocation = "__errno_location",
    ClockGettime = "clock_gettime",
    DlIteratePhdr = "dl_iterate_phdr",
    Dlsym = "dlsym",
}

/// The variable that holds the environment. Looked for in the executable first: a copy relocation makes that the live one.
const ENVIRON: &[Name] = &[Name::new("environ")];
/// What an interpreter of Python has, whether it is the executable or a library.
const PYTHON: &[Name] = &[Name::new("Py_IsInitialized")];

static REAL: [AtomicUsize; NAMES.len()] = [const { AtomicUsize::new(0) }; NAMES.len()];
static ENVIRON_VARIABLE: AtomicUsize = AtomicUsize::new(0);
static IS_PYTHON: AtomicBool = AtomicBool::new(false);
static INITIAL_ENVIRONMENT: AtomicPtr<*const u8> = AtomicPtr::new(core::ptr::null_mut());
static RESOLVED: AtomicUsize = AtomicUsize::new(0);

/// Finds every real function: the first definition behind this library, as `RTLD_NEXT` would.
///
/// # Safety
///
/// No library is being unloaded: called from the constructor, or from the first hook before it.
pub(crate) unsafe fn resolve(auxv: &Auxv) {
    // SAFETY: the caller's promise; `auxv` is this process's.
    if let Some(objects) = unsafe { Objects::of(auxv) } {
        let mut behind_us = false;
        for object in objects {
            if object.is_ours() {
                behind_us = true;
                continue;
            }
            // SAFETY: an entry of the loader's list.
            unsafe {
                lookup(object, ENVIRON, |_, address| keep_first(&ENVIRON_VARIABLE, address));
                lookup(object, PYTHON, |_, _| IS_PYTHON.store(true, Ordering::Relaxed));
                if behind_us {
                    lookup(object, NAMES, keep_real);
                }
            }
        }
    // SAFETY: as above.
    } else if let Some(loader) = unsafe { loader(auxv) } {
        // It keeps its list to itself; it may be the C library as well.
        // SAFETY: the loader is never unmapped.
        unsafe {
            lookup(&loader, ENVIRON, |_, address| keep_first(&ENVIRON_VARIABLE, address));
            lookup(&loader, NAMES, keep_real);
        }
    }
    RESOLVED.store(1, Ordering::Release);
}

fn keep_real(index: usize, address: usize) {
    if let Some(real) = REAL.get(index) {
        keep_first(real, address);
    }
}

fn keep_first(place: &AtomicUsize, address: usize) {
    let _ = place.compare_exchange(0, address, Ordering::Release, Ordering::Relaxed);
}

/// The real function as a function pointer of type `F`; `None` where this libc has none of the name.
///
/// # Safety
///
/// `F` is the function pointer type of `function`.
pub(crate) unsafe fn real<F: Copy>(function: Function) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<usize>()) };
    let address = REAL.get(function as usize)?.load(Ordering::Acquire);
    if address != 0 {
        // SAFETY: the address is that function's, F its type (the caller's promise).
        return Some(unsafe { core::mem::transmute_copy(&address) });
    }
    if RESOLVED.load(Ordering::Acquire) == 0 {
        // A constructor of another library called us before ours ran, or there was nothing to find.
        match Auxv::find() {
            // SAFETY: start-up, nothing is being unloaded.
            Some(auxv) => unsafe { resolve(&auxv) },
            None => RESOLVED.store(1, Ordering::Release),
        }
    }
    let address = match REAL.get(function as usize)?.load(Ordering::Acquire) {
        0 if !has_library() => raw::stand_in(function)?,
        0 => return None,
        address => address,
    };
    // SAFETY: as above; a stand-in has the function's type.
    Some(unsafe { core::mem::transmute_copy(&address) })
}

/// Whether the program came with an interpreter of Python.
pub(crate) fn is_python() -> bool {
    IS_PYTHON.load(Ordering::Relaxed)
}

/// Whether the C library was found: this is in each.
fn has_library() -> bool {
    REAL.get(Function::ErrnoLocation as usize).is_some_and(|address| address.load(Ordering::Acquire) != 0)
}

/// The host's environment as it is now.
pub(crate) fn environ() -> *const *const u8 {
    let variable = ENVIRON_VARIABLE.load(Ordering::Acquire) as *const *const *const u8;
    // SAFETY: null, or the host's own variable of this type, which lives as long as the process.
    unsafe { variable.as_ref() }.copied().unwrap_or(INITIAL_ENVIRONMENT.load(Ordering::Acquire))
}

/// Keeps the environment that the process began with, should there be no variable to be found that holds it.
pub(crate) fn remember_environment(envp: *const *const u8) {
    INITIAL_ENVIRONMENT.store(envp.cast_mut(), Ordering::Release);
}

/// The host's `errno`; 0 where it has none.
pub(crate) fn errno() -> i32 {
    // SAFETY: the type of __errno_location.
    let location = unsafe { real::<unsafe extern "C" fn() -> *mut i32>(Function::ErrnoLocation) };
    // SAFETY: gives the address of the thread's own errno.
    location.map_or(0, |location| unsafe { *location() })
}

/// Sets the host's `errno`, where a hook must fail by itself.
pub(crate) fn set_errno(value: i32) {
    // SAFETY: the type of __errno_location.
    let location = unsafe { real::<unsafe extern "C" fn() -> *mut i32>(Function::ErrnoLocation) };
    if let Some(location) = location {
        // SAFETY: gives the address of the thread's own errno.
        unsafe { *location() = value };
    }
}

/// What a function that this libc lacks would have said.
pub(crate) fn missing() -> i32 {
    set_errno(ENOSYS);
    -1
}

/// "Function not implemented".
pub(crate) const ENOSYS: i32 = 38;
/// `errno` where arguments and environment are too long for a new program.
pub(crate) const E2BIG: i32 = 7;
