//! What the launcher does on its way that may send it a signal: neither is it to die of that, nor is the program that it
//! becomes to find the signal pending.

use std::ptr::null_mut;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// Does something of which a signal may come, and takes that away. One that was pending before stays so.
pub fn without<T>(signal: Signal, work: impl FnOnce() -> T) -> T {
    let mut only = SigSet::empty();
    only.add(signal);
    let mut before = SigSet::empty();
    if sigprocmask(SigmaskHow::SIG_BLOCK, Some(&only), Some(&mut before)).is_err() {
        return work();
    }
    let was_pending = is_pending(signal);
    let result = work();
    if !was_pending {
        let no_time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the set and the time live as long as the call; nothing is wanted to be told of the signal.
        unsafe { libc::sigtimedwait(only.as_ref(), null_mut(), &raw const no_time) };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    result
}

fn is_pending(signal: Signal) -> bool {
    // SAFETY: an all-zero set is a set, which is then filled in.
    unsafe {
        let mut pending: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&raw mut pending) == 0 && libc::sigismember(&raw const pending, signal as i32) == 1
    }
}

/// Which side of a fork this is.
pub enum Side {
    /// The parent. The child has ended with this code; `None` where nobody told.
    Parent(Option<i32>),
    /// The child.
    Child,
}

/// Forks a child, and waits for its end.
///
/// # Safety
///
/// As for `fork`: no other thread is there, or the child does nothing but what is safe in a signal's handler.
pub unsafe fn fork_and_wait() -> nix::Result<Side> {
    without(Signal::SIGCHLD, || {
        // SAFETY: the caller's promise.
        let ForkResult::Parent { child } = unsafe { fork() }? else { return Ok(Side::Child) };
        loop {
            match waitpid(child, None) {
                Err(Errno::EINTR) => {}
                Ok(WaitStatus::Exited(_, code)) => return Ok(Side::Parent(Some(code))),
                // Where SIGCHLD is ignored there is nothing to reap: that is said when the child has ended.
                _ => return Ok(Side::Parent(None)),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;

    #[test]
    fn what_comes_of_it_is_gone_and_what_was_there_stays() {
        // Signals of this thread alone; the harness has others.
        let mut only = SigSet::empty();
        only.add(Signal::SIGPIPE);
        only.thread_block().unwrap();
        without(Signal::SIGPIPE, || raise(Signal::SIGPIPE).unwrap());
        assert!(!is_pending(Signal::SIGPIPE));
        raise(Signal::SIGPIPE).unwrap();
        without(Signal::SIGPIPE, || raise(Signal::SIGPIPE).unwrap());
        assert!(is_pending(Signal::SIGPIPE));
        without(Signal::SIGUSR2, || raise(Signal::SIGUSR2).unwrap());
        assert!(SigSet::thread_get_mask().unwrap().contains(Signal::SIGPIPE));
        assert!(!SigSet::thread_get_mask().unwrap().contains(Signal::SIGUSR2));
    }
}
