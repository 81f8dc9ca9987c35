//! The signals of a supervising launcher: all are blocked and read from a descriptor, and the program gets them.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::unistd::{Pid, getpgid, getpgrp, getpid, getsid};

/// What arrives at the launcher from now on.
pub struct Signals {
    descriptor: SignalFd,
    before: SigSet,
}

impl Signals {
    /// Blocks every signal and keeps it for reading.
    pub fn take() -> nix::Result<Signals> {
        let all = SigSet::all();
        let descriptor = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), Some(&mut before))?;
        Ok(Signals { descriptor, before })
    }

    /// Puts the inherited mask back: for the program.
    pub fn restore(&self) {
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }

    /// The next one that has arrived.
    pub fn next(&self) -> Option<Arrived> {
        self.descriptor.read_signal().ok().flatten().map(|info| Arrived { info })
    }

    /// Whether the user or the system wants an end by now; looks at all that has arrived.
    pub fn want_an_end(&self) -> bool {
        let mut wanted = false;
        while let Some(arrived) = self.next() {
            wanted |= [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT].contains(&arrived.number());
        }
        wanted
    }

    /// Stops this process as the program was stopped, and comes back when somebody lets it go on.
    ///
    /// In a process group that no shell looks after the kernel takes no notice of the terminal's stops: then this comes
    /// back at once.
    pub fn stop_by(&self, signal: i32) {
        // SAFETY: only a signal's default is put in place and taken away again, and the mask changed for it alone.
        unsafe {
            let mut default: libc::sigaction = zeroed();
            default.sa_sigaction = libc::SIG_DFL;
            let mut before: libc::sigaction = zeroed();
            libc::sigaction(signal, &raw const default, &raw mut before);
            let mut only: libc::sigset_t = zeroed();
            libc::sigaddset(&raw mut only, signal);
            libc::raise(signal);
            libc::sigprocmask(libc::SIG_UNBLOCK, &raw const only, std::ptr::null_mut());
            libc::sigprocmask(libc::SIG_BLOCK, &raw const only, std::ptr::null_mut());
            libc::sigaction(signal, &raw const before, std::ptr::null_mut());
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The process group that the program has made for itself, as timeout(1) does, while the launcher leads that of the job.
///
/// Without the launcher the program would lead the job, and what it does to be its leader would change nothing. So it is to
/// find itself in front of the terminal, and be told what the job is told.
pub fn group_of_its_own(program: Pid) -> Option<Pid> {
    let own = getpgrp();
    let group = getpgid(Some(program)).ok()?;
    (own == getpid() && group != own && getsid(Some(program)) == getsid(None)).then_some(group)
}

/// A signal that the launcher got.
pub struct Arrived {
    info: siginfo,
}

impl Arrived {
    fn number(&self) -> i32 {
        self.info.ssi_signo as i32
    }

    /// Whether it comes from the terminal: the kernel sends such to a whole process group. But only the leader of a session
    /// is told that the terminal is gone, and would have been the program.
    fn is_for_the_group(&self) -> bool {
        let from_terminal = match self.number() {
            libc::SIGHUP | libc::SIGCONT => getsid(None) != Ok(getpid()),
            number => [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU, libc::SIGWINCH]
                .contains(&number),
        };
        from_terminal && self.info.ssi_code == libc::SI_KERNEL
    }

    /// Gives it to the program, unless it has it or it speaks of the launcher's own children.
    pub fn forward(&self, program: Pid) {
        if self.number() == libc::SIGCHLD {
            return;
        }
        let group = group_of_its_own(program);
        // A shell lets a job go on by a signal to its group, which does not look like one from a terminal.
        let is_for_the_group = self.is_for_the_group() || self.number() == libc::SIGCONT;
        match group {
            Some(group) if is_for_the_group => {
                // SAFETY: no pointers; the group is there as long as the program, which is not reaped yet.
                unsafe { libc::kill(-group.as_raw(), self.number()) };
                return;
            }
            None if self.is_for_the_group() => return,
            _ => {}
        }
        // What sigqueue(3) sent comes with a value.
        if self.info.ssi_code == libc::SI_QUEUE && self.queue(program).is_ok() {
            return;
        }
        // SAFETY: no pointers; a program that has ended is not reaped yet, so that its id is nobody else's.
        unsafe { libc::kill(program.as_raw(), self.number()) };
    }

    fn queue(&self, program: Pid) -> io::Result<()> {
        let value = libc::sigval { sival_ptr: self.info.ssi_ptr as *mut libc::c_void };
        // SAFETY: the value is handed on as a number; nothing is read through it here.
        match unsafe { libc::sigqueue(program.as_raw(), self.number(), value) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
