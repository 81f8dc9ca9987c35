//! What hooks call where no C library can be found: the kernel itself.
//!
//! That takes a loader that keeps its list to itself and is not the C library. The program's own calls reach this
//! library all the same, and must do what they say; `errno` cannot be set there, as its place is the C library's.

mod descriptors;

use crate::host::c_bytes;
use crate::inspect;
use crate::table::{Function, set_errno};
use core::ptr::null_mut;
use ddtrace::sys::{self, Errno};

type Text = *const u8;
type Array = *const *const u8;

/// The address of what stands in for a function, if anything can.
pub(crate) fn stand_in(function: Function) -> Option<usize> {
    Some(match function {
        Function::Execve => execve as *const () as usize,
        Function::Execveat => execveat as *const () as usize,
        Function::Execvpe => execvpe as *const () as usize,
        Function::Fexecve => fexecve as *const () as usize,
        Function::Fork | Function::UnderscoreFork => fork as *const () as usize,
        Function::Waitpid => waitpid as *const () as usize,
        Function::Wait => wait as *const () as usize,
        Function::Wait3 => wait3 as *const () as usize,
        Function::Wait4 => wait4 as *const () as usize,
        Function::Waitid => waitid as *const () as usize,
        Function::Prctl => prctl as *const () as usize,
        Function::Mlockall => mlockall as *const () as usize,
        Function::Syscall => syscall as *const () as usize,
        _ => return descriptors::stand_in(function),
    })
}

/// # Safety
///
/// The call is the host's own, with the host's own arguments.
unsafe fn call(number: usize, arguments: [usize; 6]) -> isize {
    // SAFETY: the caller's promise.
    match unsafe { sys::by_number(number, arguments) } {
        Ok(value) => value as isize,
        Err(Errno(error)) => {
            set_errno(error);
            -1
        }
    }
}

unsafe extern "C" fn execve(path: Text, argv: Array, envp: Array) -> i32 {
    // SAFETY: the host's own call.
    unsafe { call(sys::number::EXECVE, [path as usize, argv as usize, envp as usize, 0, 0, 0]) as i32 }
}

unsafe extern "C" fn execveat(directory: i32, path: Text, argv: Array, envp: Array, flags: i32) -> i32 {
    let arguments = [directory as usize, path as usize, argv as usize, envp as usize, flags as usize, 0];
    // SAFETY: the host's own call.
    unsafe { call(sys::number::EXECVEAT, arguments) as i32 }
}

unsafe extern "C" fn fexecve(fd: i32, argv: Array, envp: Array) -> i32 {
    const AT_EMPTY_PATH: i32 = 0x1000;
    // SAFETY: the host's own call.
    unsafe { execveat(fd, c"".as_ptr().cast(), argv, envp, AT_EMPTY_PATH) }
}

/// Without the search for a shell that runs what the kernel does not know.
unsafe extern "C" fn execvpe(file: Text, argv: Array, envp: Array) -> i32 {
    // SAFETY: the host's own arguments; the environment is not being changed by another thread, as for `execvpe(3)`.
    unsafe {
        inspect::search(c_bytes(file), |path| {
            execve(path.as_ptr().cast(), argv, envp);
            false
        });
    }
    -1
}

unsafe extern "C" fn fork() -> i32 {
    // SAFETY: the host's own call.
    unsafe { call(sys::number::FORK, [0; 6]) as i32 }
}

unsafe extern "C" fn wait4(pid: i32, status: *mut i32, options: i32, usage: *mut u8) -> i32 {
    // SAFETY: the host's own call.
    unsafe {
        call(sys::number::WAIT4, [pid as isize as usize, status as usize, options as usize, usage as usize, 0, 0])
            as i32
    }
}

unsafe extern "C" fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32 {
    // SAFETY: the host's own call.
    unsafe { wait4(pid, status, options, null_mut()) }
}

unsafe extern "C" fn wait3(status: *mut i32, options: i32, usage: *mut u8) -> i32 {
    // SAFETY: the host's own call.
    unsafe { wait4(-1, status, options, usage) }
}

unsafe extern "C" fn wait(status: *mut i32) -> i32 {
    // SAFETY: the host's own call.
    unsafe { wait4(-1, status, 0, null_mut()) }
}

unsafe extern "C" fn waitid(kind: i32, id: u32, info: *mut u8, options: i32) -> i32 {
    // SAFETY: the host's own call.
    unsafe { call(sys::number::WAITID, [kind as usize, id as usize, info as usize, options as usize, 0, 0]) as i32 }
}

unsafe extern "C" fn mlockall(flags: i32) -> i32 {
    // SAFETY: the host's own call.
    unsafe { call(sys::number::MLOCKALL, [flags as usize, 0, 0, 0, 0, 0]) as i32 }
}

unsafe extern "C" fn prctl(option: i32, a: usize, b: usize, c: usize, d: usize) -> i32 {
    // SAFETY: the host's own call.
    unsafe { call(sys::number::PRCTL, [option as usize, a, b, c, d, 0]) as i32 }
}

unsafe extern "C" fn syscall(number: isize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize {
    // SAFETY: the host's own call.
    unsafe { call(number as usize, [a, b, c, d, e, f]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::transmute;

    /// A forked child runs a program, and is waited for, without any function of the C library.
    #[test]
    fn the_kernel_alone_starts_and_ends_programs() {
        let argv = [c"sh".as_ptr().cast(), c"-c".as_ptr().cast(), c"exit $CODE".as_ptr().cast(), core::ptr::null()];
        let envp = [c"CODE=7".as_ptr().cast(), core::ptr::null()];
        let stand_in = |function| stand_in(function).unwrap();
        // SAFETY: the functions have these types; the child makes system calls only, with arrays that end with null.
        unsafe {
            let fork: unsafe extern "C" fn() -> i32 = transmute(stand_in(Function::Fork));
            let execve: unsafe extern "C" fn(Text, Array, Array) -> i32 = transmute(stand_in(Function::Execve));
            let waitpid: unsafe extern "C" fn(i32, *mut i32, i32) -> i32 = transmute(stand_in(Function::Waitpid));
            let pid = fork();
            if pid == 0 {
                execve(c"/nonexistent".as_ptr().cast(), argv.as_ptr(), envp.as_ptr());
                execve(c"/bin/sh".as_ptr().cast(), argv.as_ptr(), envp.as_ptr());
                sys::exit_group(1);
            }
            let mut status = 0;
            assert_eq!((waitpid(pid, &raw mut status, 0), status), (pid, 7 << 8));
            assert_eq!(waitpid(pid, &raw mut status, 0), -1, "nobody is left");
        }
    }

    #[test]
    fn what_is_more_than_a_call_has_none() {
        assert_eq!(stand_in(Function::PosixSpawn), None);
        assert_eq!(stand_in(Function::Daemon), None);
    }
}
