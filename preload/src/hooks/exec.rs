//! The nine exec functions: the new program gets this process's identity and, where it cannot tell itself, is
//! described by this one.

use crate::child_environment::{ForChild, with_child_environment};
use crate::environment;
use crate::inspect::{self, NO_ENVIRONMENT, Program, Verdict};
use crate::process::{self, Caller};
use crate::table::{self, Function, real};
use crate::{describe, thread};
use core::sync::atomic::Ordering;
use ddtrace::identity::{Holder, Identity};
use ddtrace::ids::SpanId;
use ddtrace::record::RecordWriter;
use ddtrace::semconv::Key;

type Text = *const u8;
type Array = *const *const u8;
type Execve = unsafe extern "C" fn(Text, Array, Array) -> i32;
type Execveat = unsafe extern "C" fn(i32, Text, Array, Array, i32) -> i32;
type Fexecve = unsafe extern "C" fn(i32, Array, Array) -> i32;

/// # Safety
///
/// As for `execve(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn execve(path: Text, argv: Array, envp: Array) -> i32 {
    // SAFETY: the type of execve.
    let Some(real) = (unsafe { real::<Execve>(Function::Execve) }) else { return table::missing() };
    // SAFETY: the host's own arguments, handed on.
    unsafe { replace(Program::Path(path), argv, envp, |envp| real(path, argv, envp)) }
}

/// # Safety
///
/// As for `execv(3)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn execv(path: Text, argv: Array) -> i32 {
    // SAFETY: execv is execve with the process's environment.
    unsafe { execve(path, argv, table::environ()) }
}

/// # Safety
///
/// As for `execvpe(3)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn execvpe(file: Text, argv: Array, envp: Array) -> i32 {
    // SAFETY: the type of execvpe, which takes the same as execve.
    let Some(real) = (unsafe { real::<Execve>(Function::Execvpe) }) else { return table::missing() };
    // SAFETY: the host's own arguments, handed on.
    unsafe { replace(Program::Search(file), argv, envp, |envp| real(file, argv, envp)) }
}

/// # Safety
///
/// As for `execvp(3)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn execvp(file: Text, argv: Array) -> i32 {
    // SAFETY: execvp is execvpe with the process's environment.
    unsafe { execvpe(file, argv, table::environ()) }
}

/// # Safety
///
/// As for `fexecve(3)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn fexecve(fd: i32, argv: Array, envp: Array) -> i32 {
    // SAFETY: the type of fexecve.
    let Some(real) = (unsafe { real::<Fexecve>(Function::Fexecve) }) else { return table::missing() };
    // SAFETY: the host's own arguments, handed on.
    unsafe { replace(Program::Open(fd), argv, envp, |envp| real(fd, argv, envp)) }
}

/// # Safety
///
/// As for `execveat(2)`.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn execveat(directory: i32, path: Text, argv: Array, envp: Array, flags: i32) -> i32 {
    const AT_EMPTY_PATH: i32 = 0x1000;
    // SAFETY: the type of execveat.
    let Some(real) = (unsafe { real::<Execveat>(Function::Execveat) }) else { return table::missing() };
    let program = if flags & AT_EMPTY_PATH != 0 { Program::Open(directory) } else { Program::At(directory, path) };
    // SAFETY: the host's own arguments, handed on.
    unsafe { replace(program, argv, envp, |envp| real(directory, path, argv, envp, flags)) }
}

/// Replaces the program of this process, or of a vfork child that shares its memory. Comes back only on failure.
///
/// # Safety
///
/// `argv` and `envp` are null or arrays of C strings that end with null; `call` is the real function.
unsafe fn replace(program: Program, argv: Array, envp: Array, call: impl Fn(Array) -> i32) -> i32 {
    let Some(caller) = process::caller() else {
        // SAFETY: the caller's promise.
        return unsafe { replace_quietly(envp, call) };
    };
    if !program.is_readable() || !environment::is_walkable(argv) || !environment::is_walkable(envp) {
        return call(envp);
    }
    // SAFETY: the host's own arguments.
    let found = unsafe { inspect::look(program) };
    if found.verdict == Verdict::Unknown {
        return call(envp);
    }
    let identity = match caller {
        Caller::Itself => *process::identity(),
        // SAFETY: the caller's promise.
        Caller::VforkChild(pid) => unsafe { vfork_identity(pid, envp) },
    };
    let mut reason = match found.verdict {
        Verdict::Untraceable(reason) => Some(reason),
        _ => None,
    };
    let tell = |reason: Option<&str>| {
        let describe = |record: &mut RecordWriter| {
            if let Some(reason) = reason {
                // SAFETY: the caller's promise for `argv`.
                unsafe { describe::program(record, found.path(), argv, reason) };
            }
        };
        match caller {
            Caller::VforkChild(pid) => process::record_child(&identity, pid, describe),
            // The new program will speak for itself.
            Caller::Itself if reason.is_none() => {}
            Caller::Itself => process::record(|record| {
                record.amend(identity.span_id);
                describe(record);
            }),
        }
    };
    tell(reason);
    let mut handed_on = identity;
    if caller == Caller::Itself {
        process::tell_missed();
        handed_on = process::note_exec();
    }
    let child = ForChild {
        identity: &handed_on,
        loadable: found.verdict.hands_on(),
        keep_host_context: caller == Caller::Itself,
        may_map: caller == Caller::Itself,
    };
    // SAFETY: the caller's promise.
    let made = unsafe { with_child_environment(envp, child, &call) };
    let result = made.ok().filter(|_| table::errno() != table::E2BIG).unwrap_or_else(|| {
        // It cannot be made, or there is no room for it beside the arguments: the program starts as it would without us.
        reason = reason.or(Some(NO_ENVIRONMENT));
        tell(reason);
        call(envp)
    });
    if caller == Caller::Itself && reason.is_some() {
        process::record(|record| {
            record.amend(identity.span_id);
            record.text(Key::Untraceable, b"");
            describe::this_program(record);
        });
    }
    result
}

/// Where nothing may be recorded. Under a system call filter the new program must be told that it is: the variable that
/// the host hands on may be a copy from before. The environment is walked without asking the kernel what can be read,
/// as that might be forbidden.
///
/// # Safety
///
/// `envp` is null or an array of C strings that ends with null.
unsafe fn replace_quietly(envp: Array, call: impl Fn(Array) -> i32) -> i32 {
    if !process::is_sandboxed() {
        return call(envp);
    }
    let identity = process::sandboxed_identity();
    let child = ForChild { identity: &identity, loadable: true, keep_host_context: true, may_map: false };
    // A vfork child that goes must not leave its word in the parent's thread.
    let filtered = thread::current().vfork_filtered.swap(0, Ordering::Relaxed);
    // SAFETY: the host's own environment.
    let made = unsafe { with_child_environment(envp, child, &call) };
    let result = made.ok().filter(|_| table::errno() != table::E2BIG).unwrap_or_else(|| call(envp));
    thread::current().vfork_filtered.store(filtered, Ordering::Relaxed);
    result
}

/// The identity of a vfork child: made at its first attempt, kept if that fails and it tries another path.
///
/// # Safety
///
/// `envp` is null or an array of C strings that ends with null.
unsafe fn vfork_identity(pid: u32, envp: Array) -> Identity {
    // SAFETY: the caller's promise.
    let mut child = process::child_identity(Holder::Process(pid), unsafe { environment::host_context(envp) });
    // The thread is the parent's, which is suspended until the child is gone.
    let thread = thread::current();
    if thread.vfork_pid.swap(pid, Ordering::Relaxed) == pid {
        child.span_id = SpanId(thread.vfork_span.load(Ordering::Relaxed));
    } else {
        thread.vfork_span.store(child.span_id.0, Ordering::Relaxed);
    }
    child
}

/// `execl` and `execlp`: the arguments lie on the stack as an array that ends with null.
unsafe extern "C" fn execl_with(path: Text, argv: Array) -> i32 {
    // SAFETY: the array that the entry made from the host's own arguments.
    unsafe { execv(path, argv) }
}

unsafe extern "C" fn execlp_with(file: Text, argv: Array) -> i32 {
    // SAFETY: as above.
    unsafe { execvp(file, argv) }
}

/// `execle`: the environment follows the null.
unsafe extern "C" fn execle_with(path: Text, argv: Array) -> i32 {
    let mut end = argv;
    // SAFETY: as above; execle(3) demands the null and one more argument.
    unsafe {
        while !(*end).is_null() {
            end = end.add(1);
        }
        execve(path, argv, *end.add(1) as Array)
    }
}

/// A variadic exec function. Stable Rust cannot define one, but its arguments need only be made one array: the five
/// that came in registers are put right below those on the stack, where the return address was.
#[cfg(preload_so)]
macro_rules! variadic {
    ($name:ident, $with:ident) => {
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        unsafe extern "C" fn $name() -> i32 {
            core::arch::naked_asm!(
                "pop rax",
                "push r9",
                "push r8",
                "push rcx",
                "push rdx",
                "push rsi",
                "mov rsi, rsp",
                "push rax",
                "call {with}",
                "pop rcx",
                "add rsp, 40",
                "push rcx",
                "ret",
                with = sym $with,
            )
        }
    };
}

#[cfg(preload_so)]
variadic!(execl, execl_with);
#[cfg(preload_so)]
variadic!(execlp, execlp_with);
#[cfg(preload_so)]
variadic!(execle, execle_with);
