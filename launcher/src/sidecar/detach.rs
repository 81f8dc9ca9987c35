//! How the sidecar leaves the launcher: a grandchild in a session of its own, with none of the target's descriptors.

use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::prctl::{get_child_subreaper, set_child_subreaper};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

use crate::unnoticed::{Side, fork_and_wait};

/// How far the sidecar stands back where processors are short.
const NICENESS: i32 = 5;

/// Which side of the fork this is.
pub enum Lineage {
    /// The launcher, which goes on.
    Launcher,
    /// The sidecar. It must end with `_exit`.
    Sidecar,
}

/// Forks twice, so that the sidecar is nobody's child: the target's `wait` must not see it.
///
/// # Errors
///
/// One of the forks has failed. Of the second one that is known unless SIGCHLD is ignored.
pub fn start(keep: &[RawFd]) -> nix::Result<Lineage> {
    // The program that this process becomes would be given it as a child, and could wait for it for ever.
    let adopts_orphans = get_child_subreaper().unwrap_or(false) && set_child_subreaper(false).is_ok();
    // SAFETY: the launcher has one thread.
    let forked = unsafe { fork_and_wait() };
    if adopts_orphans && !matches!(forked, Ok(Side::Child)) {
        let _ = set_child_subreaper(true);
    }
    match forked? {
        Side::Parent(None | Some(0)) => Ok(Lineage::Launcher),
        Side::Parent(Some(error)) => Err(Errno::from_raw(error)),
        Side::Child => {
            let _ = setsid();
            // SAFETY: as above.
            match unsafe { fork() } {
                Ok(ForkResult::Child) => {
                    settle(keep);
                    Ok(Lineage::Sidecar)
                }
                forked => {
                    let code = forked.err().map_or(0, |error| error as i32);
                    // SAFETY: ends this process at once, without the launcher's exit handlers.
                    unsafe { libc::_exit(code) }
                }
            }
        }
    }
}

/// The traced program comes first: what the calling thread does can wait.
pub fn stand_behind() {
    // SAFETY: no pointers; only the calling thread's own priority changes, as Linux has one for each.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
}

/// A pipeline such as `ddtrace-run cmd | tee log` must end when `cmd` ends: nothing of it may stay open here.
fn settle(keep: &[RawFd]) {
    // Every signal is blocked: the few that matter are read from a descriptor.
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None);
    if let Ok(null) = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()) {
        let _ = dup2_stdin(&null);
        let _ = dup2_stdout(&null);
        let _ = dup2_stderr(&null);
    }
    let mut keep: Vec<RawFd> = keep.iter().copied().filter(|fd| *fd > 2).collect();
    keep.sort_unstable();
    let mut next = 3;
    for fd in keep.into_iter().chain([RawFd::MAX]) {
        if fd > next {
            close_range(next, fd - 1);
        }
        next = fd.saturating_add(1);
    }
    raise_limits();
    be_scheduled_as_others();
    // A file system must not stay busy because the sidecar was started on it.
    let _ = chdir("/");
    // SAFETY: a name of at most 15 bytes that ends with NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"ddtrace-sidecar".as_ptr()) };
}

/// The limits that the user set for the program need not be the sidecar's: it takes what it may.
fn raise_limits() {
    let of_memory = [Resource::RLIMIT_AS, Resource::RLIMIT_DATA];
    for resource in [Resource::RLIMIT_FSIZE, Resource::RLIMIT_NOFILE, Resource::RLIMIT_CPU].into_iter().chain(of_memory)
    {
        if let Ok((soft, hard)) = getrlimit(resource)
            && soft < hard
        {
            let _ = setrlimit(resource, hard, hard);
        }
    }
}

/// A program with a real-time policy is to be disturbed by nothing that can wait.
fn be_scheduled_as_others() {
    // SAFETY: no pointers but to a parameter that lives as long as the call; only this process's own policy changes, which threads
    // that it starts inherit.
    unsafe {
        let policy = libc::sched_getscheduler(0) & !libc::SCHED_RESET_ON_FORK;
        if [libc::SCHED_FIFO, libc::SCHED_RR, libc::SCHED_DEADLINE].contains(&policy) {
            let parameter = libc::sched_param { sched_priority: 0 };
            libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameter);
        }
    }
}

fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: descriptors of the sidecar alone, which uses none of them.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result < 0 {
        // Linux before 5.9.
        for fd in first..=last.min(1 << 16) {
            // SAFETY: as above.
            unsafe { libc::close(fd) };
        }
    }
}
