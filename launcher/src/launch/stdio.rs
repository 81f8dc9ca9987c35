//! Standard descriptors that are closed stay closed for the program.

use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use std::os::fd::{BorrowedFd, IntoRawFd};

/// Puts something into each closed standard descriptor, so that nothing the launcher opens lands there. It is
/// close-on-exec: the program finds the descriptor closed again.
pub fn hold_closed() {
    for fd in 0..3 {
        // SAFETY: only asked whether it is open.
        let is_open = fcntl(unsafe { BorrowedFd::borrow_raw(fd) }, FcntlArg::F_GETFD).is_ok();
        // The lowest free number is taken, which is this one: those below are open by now.
        if !is_open && let Ok(null) = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()) {
            let _ = null.into_raw_fd();
        }
    }
}
