//! Staying as the program's parent: signals are handed on, its end becomes the launcher's end.

use std::fs::File;
use std::io::{self, Read};
use std::mem::zeroed;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::{get_child_subreaper, set_child_subreaper};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, killpg, sigaction};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Pid, dup2_stdin, dup2_stdout, fork, getpgrp, pipe2, read, tcgetpgrp, tcsetpgrp, write};

use super::exec::{Command, exit_code};
use super::signals::{Signals, group_of_its_own};
use crate::sidecar::LAST_WORD;

/// A program that has been forked but not started yet: it waits until everything is ready for it.
pub struct Held {
    /// Its process id.
    pub pid: Pid,
    go: OwnedFd,
    failure: OwnedFd,
}

/// How a supervised program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit code.
    Exited(i32),
    /// By the signal with this number: a real-time signal has no name.
    Killed(i32),
    /// It could not be started.
    NotStarted(Errno),
}

impl End {
    /// As `wait(2)` gives it; `None` where it never was.
    pub fn status(self) -> Option<u32> {
        match self {
            End::Exited(code) => Some((code as u32 & 0xff) << 8),
            End::Killed(signal) => Some(signal as u32),
            End::NotStarted(_) => None,
        }
    }
}

/// Staying takes descriptors, for which the soft limit may be too low that is set for the program.
pub struct DescriptorLimit {
    before: Option<(rlim_t, rlim_t)>,
}

impl DescriptorLimit {
    /// Takes what the launcher may have.
    pub fn raise() -> DescriptorLimit {
        let before = getrlimit(Resource::RLIMIT_NOFILE).ok().filter(|(soft, hard)| soft < hard);
        let before = before.filter(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, *hard, *hard).is_ok());
        DescriptorLimit { before }
    }

    /// As it was: for the program.
    pub fn restore(&self) {
        if let Some((soft, hard)) = self.before {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
        }
    }
}

/// How a process is scheduled, which a child may not inherit (`SCHED_RESET_ON_FORK`) as a program does that the launcher becomes.
struct Policy {
    policy: i32,
    parameter: libc::sched_param,
}

impl Policy {
    fn own() -> Policy {
        let mut parameter = libc::sched_param { sched_priority: 0 };
        // SAFETY: the parameter is writable as long as the call lasts.
        let policy = unsafe {
            libc::sched_getparam(0, &raw mut parameter);
            libc::sched_getscheduler(0)
        };
        Policy { policy, parameter }
    }

    fn take_on(&self) {
        if self.policy > 0 && self.policy & libc::SCHED_RESET_ON_FORK != 0 {
            // SAFETY: the parameter lives as long as the call; only this process's own policy changes.
            unsafe { libc::sched_setscheduler(0, self.policy, &raw const self.parameter) };
        }
    }
}

/// Forks a child that becomes the program as soon as it is released.
pub fn hold(signals: &Signals, limit: &DescriptorLimit, command: impl FnOnce(Pid) -> Command) -> nix::Result<Held> {
    let (wait, go) = pipe2(OFlag::O_CLOEXEC)?;
    let (failure, failed) = pipe2(OFlag::O_CLOEXEC)?;
    let adopts_orphans = get_child_subreaper().unwrap_or(false);
    let policy = Policy::own();
    // SAFETY: the launcher has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Held { pid: child, go, failure }),
        ForkResult::Child => {
            drop(go);
            // Released by a byte; where the launcher has died, by the end of the pipe: then there is nothing to start.
            let released = read(&wait, &mut [0]).is_ok_and(|count| count == 1);
            if released {
                let command = command(nix::unistd::getpid());
                signals.restore();
                limit.restore();
                // A child does not inherit it, as a program does that the launcher becomes.
                if adopts_orphans {
                    let _ = set_child_subreaper(true);
                }
                policy.take_on();
                let error = command.exec();
                let _ = write(&failed, &(error as i32).to_le_bytes());
                // SAFETY: ends the child at once, without the launcher's exit handlers.
                unsafe { libc::_exit(exit_code(error)) }
            }
            // SAFETY: as above.
            unsafe { libc::_exit(125) }
        }
    }
}

/// Starts the held program and stays until it has ended.
pub fn run(held: Held, signals: &Signals) -> End {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // A SIGCHLD that is ignored would take the exit status away.
    // SAFETY: no handler is installed, only the default restored.
    let _ = unsafe { sigaction(Signal::SIGCHLD, &default) };
    let _ = write(&held.go, &[1]);
    drop(held.go);
    let_go_of_streams();
    let end = wait_for(held.pid, signals);
    // What arrived while the program ended was meant for it.
    let _ = signals.want_an_end();
    let mut error = [0u8; 4];
    match read(&held.failure, &mut error) {
        Ok(4) => End::NotStarted(Errno::from_raw(i32::from_le_bytes(error))),
        _ => end,
    }
}

/// Input and output are the program's alone: who writes to it sees at once that nobody reads any more, and who reads
/// from it that it has ended. Errors remain, as the launcher may have something to say.
fn let_go_of_streams() {
    if let Ok(null) = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()) {
        let _ = dup2_stdin(&null);
        let _ = dup2_stdout(&null);
    }
}

fn wait_for(program: Pid, signals: &Signals) -> End {
    loop {
        if let Some(end) = reap(program, signals) {
            return end;
        }
        let mut ready = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut ready, PollTimeout::NONE);
        while let Some(arrived) = signals.next() {
            arrived.forward(program);
        }
    }
}

/// Reaps every child that has ended: the program, and as pid 1 whatever was orphaned.
fn reap(program: Pid, signals: &Signals) -> Option<End> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is writable. Not through nix, which refuses what real-time signals have ended.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED) };
        match pid {
            0 => return None,
            -1 if Errno::last() == Errno::EINTR => {}
            // Somebody else has waited for it, which nobody can: there is nothing left to stay for.
            -1 => return Some(End::Exited(125)),
            _ if pid != program.as_raw() => {}
            _ if libc::WIFSTOPPED(status) => stop_with(program, libc::WSTOPSIG(status), signals),
            _ if libc::WIFSIGNALED(status) => return Some(End::Killed(libc::WTERMSIG(status))),
            _ => return Some(End::Exited(libc::WEXITSTATUS(status))),
        }
    }
}

/// The program was stopped: the launcher stops as well, so that the shell that looks after both sees it. What wakes the
/// launcher is handed on like any other signal.
fn stop_with(program: Pid, signal: i32, signals: &Signals) {
    let by_job_control = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU, libc::SIGSTOP].contains(&signal);
    if !by_job_control {
        return;
    }
    // Without a terminal there is no job control. Whoever stops and continues the program there would leave the launcher
    // behind, and with it those who wait for its end.
    let Some(terminal) = terminal() else { return };
    if [libc::SIGTTIN, libc::SIGTTOU].contains(&signal)
        && let Some(group) = group_of_its_own(program)
        && tcgetpgrp(&terminal) == Ok(getpgrp())
        && tcsetpgrp(&terminal, group).is_ok()
    {
        let _ = killpg(group, Signal::SIGCONT);
    } else if !is_continued(program) {
        signals.stop_by(signal);
    }
}

fn terminal() -> Option<OwnedFd> {
    open("/dev/tty", OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty()).ok()
}

/// Whether somebody has let the stopped program go on meanwhile.
fn is_continued(program: Pid) -> bool {
    // SAFETY: the struct is writable; nothing is taken away from a later wait.
    unsafe {
        let mut info: libc::siginfo_t = zeroed();
        let flags = libc::WCONTINUED | libc::WNOHANG | libc::WNOWAIT;
        libc::waitid(libc::P_PID, program.as_raw() as u32, &raw mut info, flags) == 0 && info.si_pid() != 0
    }
}

/// Ends as the program has ended: with its code, or by its signal.
pub fn end_as(end: End) -> i32 {
    match end {
        End::Exited(code) => code,
        End::NotStarted(error) => exit_code(error),
        End::Killed(signal) => {
            // SAFETY: only the launcher's own limits, a default disposition and the mask change; it is about to die.
            unsafe {
                // No core of the launcher's own, in a file or handed to a program: the program has left one if it wanted
                // to.
                libc::prctl(libc::PR_SET_DUMPABLE, 0);
                let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
                libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
                let mut default: libc::sigaction = zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &raw const default, std::ptr::null_mut());
                libc::raise(signal);
                let mut only: libc::sigset_t = zeroed();
                libc::sigaddset(&raw mut only, signal);
                libc::sigprocmask(libc::SIG_UNBLOCK, &raw const only, std::ptr::null_mut());
            }
            // The first process of a pid namespace is spared.
            128 + signal
        }
    }
}

/// Reads what the sidecar sends, until somebody wants an end, or nothing comes for too long.
pub struct Patiently<'a> {
    pipe: File,
    signals: &'a Signals,
    limit: Duration,
}

impl<'a> Patiently<'a> {
    /// From this pipe, which may be silent for so long.
    pub fn new(pipe: OwnedFd, signals: &'a Signals, limit: Duration) -> Self {
        Patiently { pipe: File::from(pipe), signals, limit }
    }
}

impl Read for Patiently<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let deadline = Instant::now() + self.limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing has come from the sidecar"));
            }
            let mut ready = [
                PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            let _ = poll(&mut ready, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
            if ready[0].any() == Some(true) {
                return self.pipe.read(buffer);
            }
            if self.signals.want_an_end() {
                return Ok(0);
            }
        }
    }
}

/// What became of the sidecar.
pub enum Sidecar {
    /// It has come to its end, and had this to say.
    Ended(String),
    /// It still works: the time was over, or somebody wanted an end.
    Works,
    /// It is gone without its last word.
    Died,
}

/// Waits until the sidecar has said all.
pub fn wait_for_sidecar(control: &UnixStream, signals: &Signals, limit: Duration) -> Sidecar {
    let deadline = Instant::now() + limit;
    let mut words = Vec::new();
    let mut buffer = [0u8; 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Sidecar::Works;
        }
        let mut ready =
            [PollFd::new(control.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut ready, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        if ready[0].any() == Some(true) {
            match (&*control).read(&mut buffer) {
                Ok(0) => {
                    return match words.split_last() {
                        Some((&LAST_WORD, words)) => Sidecar::Ended(String::from_utf8_lossy(words).into_owned()),
                        _ => Sidecar::Died,
                    };
                }
                Ok(count) => words.extend(buffer.iter().take(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Sidecar::Died,
            }
        } else if signals.want_an_end() {
            return Sidecar::Works;
        }
    }
}

/// Whether the launcher is the first process of a pid namespace, or a child of it in a container: then what it leaves
/// behind dies with it, so it must not end before everything is delivered.
pub fn is_needed() -> bool {
    let in_container = || {
        ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| std::path::Path::new(mark).exists())
            || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
    };
    std::process::id() == 1 || (nix::unistd::getppid().as_raw() == 1 && in_container())
}
