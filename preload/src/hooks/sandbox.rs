//! The ways into a seccomp sandbox, observed for one reason: a system call of ours that the host's filter does not know
//! may kill the host. From the moment before the filter on, none is made any more.

use crate::process;
use crate::table::{self, Function, real};

/// # Safety
///
/// As for `prctl(2)`. It is variadic; its arguments travel in registers, so all of them are handed on.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn prctl(option: i32, a: usize, b: usize, c: usize, d: usize) -> i32 {
    type Prctl = unsafe extern "C" fn(i32, usize, usize, usize, usize) -> i32;
    const PR_SET_SECCOMP: i32 = 22;
    // SAFETY: the type of prctl.
    let Some(real) = (unsafe { real::<Prctl>(Function::Prctl) }) else { return table::missing() };
    if option == PR_SET_SECCOMP {
        process::enter_sandbox();
    }
    // SAFETY: the host's own arguments.
    unsafe { real(option, a, b, c, d) }
}

/// # Safety
///
/// As for `syscall(2)`, of whose seven arguments the last lies on the stack: where the host gave fewer, what is there
/// instead is handed on and looked at by nobody.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn syscall(
    number: isize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> isize {
    type Syscall = unsafe extern "C" fn(isize, usize, usize, usize, usize, usize, usize) -> isize;
    const SECCOMP: isize = 317;
    // SAFETY: the type of syscall.
    let Some(real) = (unsafe { real::<Syscall>(Function::Syscall) }) else { return table::missing() as isize };
    if number == SECCOMP {
        process::enter_sandbox();
    }
    // SAFETY: the host's own arguments.
    unsafe { real(number, a, b, c, d, e, f) }
}
