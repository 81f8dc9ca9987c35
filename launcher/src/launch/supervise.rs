//! Staying as the program's parent: signals are handed on, its end becomes the launcher's end.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, kill, raise, sigaction, sigprocmask,
};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2, read, write};

use super::exec::{Command, exit_code};

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
    /// By this signal.
    Killed(Signal),
    /// It could not be started.
    NotStarted(Errno),
}

/// Forks a child that becomes the program as soon as it is released.
pub fn hold(command: impl FnOnce(Pid) -> Command) -> nix::Result<Held> {
    let (wait, go) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let (failure, failed) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    // SAFETY: the launcher has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Held { pid: child, go, failure }),
        ForkResult::Child => {
            drop(go);
            // Released by a byte; where the launcher has died, by the end of the pipe: then there is nothing to start.
            let released = read(&wait, &mut [0]).is_ok_and(|count| count == 1);
            if released {
                let error = command(nix::unistd::getpid()).exec();
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
pub fn run(held: Held) -> nix::Result<End> {
    let handled = SigSet::all();
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&handled), Some(&mut before))?;
    let signals = SignalFd::with_flags(&handled, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    // A SIGCHLD that is ignored would take the exit status away.
    // SAFETY: no handler is installed, only the default restored.
    let _ =
        unsafe { sigaction(Signal::SIGCHLD, &SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty())) };
    let _ = write(&held.go, &[1]);
    drop(held.go);
    let status = wait_for(held.pid, &signals);
    let mut error = [0u8; 4];
    let end = match status {
        _ if read(&held.failure, &mut error) == Ok(4) => End::NotStarted(Errno::from_raw(i32::from_le_bytes(error))),
        WaitStatus::Signaled(_, signal, _) => End::Killed(signal),
        WaitStatus::Exited(_, code) => End::Exited(code),
        _ => End::Exited(125),
    };
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    Ok(end)
}

fn wait_for(program: Pid, signals: &SignalFd) -> WaitStatus {
    loop {
        if let Some(status) = reap(program) {
            return status;
        }
        let mut ready = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut ready, PollTimeout::NONE);
        while let Ok(Some(info)) = signals.read_signal() {
            forward(program, &info);
        }
    }
}

/// Reaps every child that has ended: the program, and as pid 1 whatever was orphaned.
fn reap(program: Pid) -> Option<WaitStatus> {
    let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED;
    loop {
        match waitpid(None, Some(flags)) {
            Ok(WaitStatus::Stopped(pid, signal)) if pid == program => stop_with(program, signal),
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => return None,
            Ok(status @ (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..))) if pid == program => {
                return Some(status);
            }
            Ok(_) => {}
            Err(_) => return Some(WaitStatus::StillAlive),
        }
    }
}

/// The program was stopped from the terminal: the launcher stops as well, so that the shell sees it, and wakes it when
/// it is woken itself.
fn stop_with(program: Pid, signal: Signal) {
    if matches!(signal, Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU | Signal::SIGSTOP) {
        let _ = raise(Signal::SIGSTOP);
        let _ = kill(program, Signal::SIGCONT);
    }
}

fn forward(program: Pid, info: &siginfo) {
    let Ok(signal) = Signal::try_from(info.ssi_signo as i32) else { return };
    // What the terminal sends goes to its whole process group, the program included.
    let from_kernel = info.ssi_code == libc::SI_KERNEL;
    let of_terminal = matches!(
        signal,
        Signal::SIGINT | Signal::SIGQUIT | Signal::SIGTSTP | Signal::SIGHUP | Signal::SIGWINCH | Signal::SIGCONT
    );
    match signal {
        Signal::SIGCHLD => {}
        Signal::SIGTTIN | Signal::SIGTTOU => {}
        _ if from_kernel && of_terminal => {}
        _ => {
            let _ = kill(program, signal);
        }
    }
}

/// Ends as the program has ended: with its code, or by its signal.
pub fn end_as(end: End) -> i32 {
    match end {
        End::Exited(code) => code,
        End::NotStarted(error) => exit_code(error),
        End::Killed(signal) => {
            // No core of the launcher's own: the program has left one if it wanted to.
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: a valid limit; the launcher is about to die.
            unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
            // SAFETY: no handler is installed, only the default restored.
            let _ =
                unsafe { sigaction(signal, &SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty())) };
            let mut only = SigSet::empty();
            only.add(signal);
            let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&only), None);
            let _ = raise(signal);
            128 + signal as i32
        }
    }
}

/// Waits until the sidecar has closed its side; gives what it had to say. `None` where the time was over before.
pub fn wait_for_sidecar(control: &UnixStream, limit: Duration) -> Option<String> {
    let deadline = Instant::now() + limit;
    let mut words = Vec::new();
    let mut buffer = [0u8; 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || control.set_read_timeout(Some(left)).is_err() {
            return None;
        }
        match (&*control).read(&mut buffer) {
            Ok(0) => return Some(String::from_utf8_lossy(&words).into_owned()),
            Ok(count) => words.extend(buffer.iter().take(count)),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
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
