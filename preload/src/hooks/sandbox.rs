//! The ways into a seccomp sandbox, observed for one reason: a system call of ours that the host's filter does not know
//! may kill the host. From the moment before the filter on, none is made any more.

use crate::process;
use crate::table::{self, Function, real};

/// The option of `prctl(2)` that sets a filter.
const PR_SET_SECCOMP: i32 = 22;

/// # Safety
///
/// As for `prctl(2)`. It is variadic; its arguments travel in registers, so all of them are handed on.
#[cfg_attr(preload_so, unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn prctl(option: i32, a: usize, b: usize, c: usize, d: usize) -> i32 {
    type Prctl = unsafe extern "C" fn(i32, usize, usize, usize, usize) -> i32;
    // SAFETY: the type of prctl.
    let Some(real) = (unsafe { real::<Prctl>(Function::Prctl) }) else { return table::missing() };
    // SAFETY: the host's own arguments.
    let call = || unsafe { real(option, a, b, c, d) };
    if option == PR_SET_SECCOMP { filtering(call, |result| result != 0) } else { call() }
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
    const MLOCKALL: isize = 151;
    const PRCTL: isize = 157;
    const SECCOMP: isize = 317;
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    // SAFETY: the type of syscall.
    let Some(real) = (unsafe { real::<Syscall>(Function::Syscall) }) else { return table::missing() as isize };
    // SAFETY: the host's own arguments.
    let call = || unsafe { real(number, a, b, c, d, e, f) };
    if number == MLOCKALL && super::memory::keeps_all(a as i32) {
        process::keep_little_memory();
    }
    // The kernel takes an option of 32 bits. Operations of `seccomp(2)` beyond these two only ask questions.
    let filters = number == PRCTL && a as i32 == PR_SET_SECCOMP || number == SECCOMP && a <= SECCOMP_SET_MODE_FILTER;
    if filters { filtering(call, |result| result < 0) } else { call() }
}

/// The filter may hold before its call returns, so the process counts as filtered from before the call.
fn filtering<R: Copy>(call: impl FnOnce() -> R, failed: impl FnOnce(R) -> bool) -> R {
    let entered = process::enter_sandbox();
    let result = call();
    if entered && failed(result) {
        process::leave_sandbox();
    }
    result
}
