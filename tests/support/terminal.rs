//! Runs whose standard error is a terminal, and whole sessions on one.

use crate::outcome::{Outcome, end_of, read_aside};
use crate::{PATIENCE, wait_for};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::{Winsize, grantpt, openpty, posix_openpt, ptsname_r, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, FromRawFd, IntoRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

/// Runs a command whose stderr is a terminal of so many columns; its stdout is a pipe.
///
/// What the terminal shows is in the outcome's `stderr`, with the line ends that terminals make (`\r\n`).
///
/// # Panics
/// As [`Outcome::of`], and when there is no terminal to be had.
pub fn run(mut command: Command, columns: u16) -> Outcome {
    let described = format!("{command:?}");
    let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).expect("a pseudo-terminal");
    command.stdout(Stdio::piped()).stderr(Stdio::from(pty.slave));
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{described}: {error}"));
    // The command holds the terminal's other side; its end is only seen when that is closed.
    drop(command);
    let stdout = read_aside(child.stdout.take());
    let screen = read_aside(Some(File::from(pty.master)));
    let status = end_of(&mut child, &described);
    Outcome {
        code: status.code(),
        signal: status.signal(),
        stdout: stdout.recv_timeout(PATIENCE).expect("nobody else holds the stdout"),
        stderr: screen.recv_timeout(PATIENCE).expect("nobody else holds the terminal"),
    }
}

/// A program that leads a session of its own on a terminal, as a shell does that somebody types into.
pub struct Session {
    child: Child,
    master: Option<Arc<File>>,
    screen: Arc<Mutex<Vec<u8>>>,
    seen: usize,
}

impl Session {
    /// Starts the program; the terminal is its input, its output and its controlling terminal.
    ///
    /// # Panics
    /// When there is no terminal to be had, or the program cannot be started.
    #[must_use]
    pub fn start(mut command: Command) -> Session {
        // Closed in every program that is started: the last one to close its side hangs up.
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).expect("a pseudo-terminal");
        grantpt(&master).expect("the terminal is ours");
        unlockpt(&master).expect("the terminal is ours");
        let name = ptsname_r(&master).expect("it has a name");
        let slave = File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(name);
        let slave = slave.expect("its other side");
        let stream = || Stdio::from(slave.try_clone().expect("a descriptor"));
        command.stdin(stream()).stdout(stream()).stderr(stream());
        // SAFETY: both calls are allowed between fork and exec, and change the child alone.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                match nix::libc::ioctl(0, nix::libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        drop(command);
        drop(slave);
        // SAFETY: the descriptor is given up by its former owner in the same expression.
        let master = Arc::new(unsafe { File::from_raw_fd(master.into_raw_fd()) });
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (watched, shown) = (Arc::downgrade(&master), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Held for moments only, so that the session can let go of it.
            while let Some(master) = watched.upgrade() {
                let mut ready = [PollFd::new(master.as_fd(), PollFlags::POLLIN)];
                let readable = poll(&mut ready, 20u16).is_ok_and(|count| count > 0);
                match readable.then(|| (&*master).read(&mut buffer)) {
                    Some(Ok(count @ 1..)) => shown.lock().expect("nobody panics here").extend(&buffer[..count]),
                    Some(_) => return,
                    None => {}
                }
            }
        });
        Session { child, master: Some(master), screen, seen: 0 }
    }

    /// The id of the program.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Types; `\x03` is Ctrl-C, `\x04` Ctrl-D, `\x1a` Ctrl-Z.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn types(&mut self, text: &str) {
        let mut keyboard = &**self.master.as_ref().expect("the terminal is still there");
        keyboard.write_all(text.as_bytes()).expect("the terminal takes what is typed");
    }

    /// Waits until the terminal shows the text, after what was waited for before.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn shows(&mut self, text: &str) {
        let start = std::time::Instant::now();
        loop {
            let screen = String::from_utf8_lossy(&self.screen.lock().expect("nobody panics here")).into_owned();
            let new = screen.get(self.seen..).unwrap_or_default();
            if let Some(at) = new.find(text) {
                self.seen += at + text.len();
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{text:?} is not shown: {new:?}, after {:?}", screen.get(..self.seen));
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Takes the terminal away, as closing its window does.
    pub fn hang_up(&mut self) {
        self.master = None;
    }

    /// Waits for the end of the program.
    ///
    /// # Panics
    /// When it does not end.
    pub fn end(&mut self) -> ExitStatus {
        wait_for("the end of the session", || self.child.try_wait().expect("a child of this process"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Text without the escape sequences that colour it.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            // Select Graphic Rendition ends at its letter; nothing else is expected here.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{plain, run};
    use std::process::Command;

    #[test]
    fn stderr_is_a_terminal_of_the_given_width() {
        let mut command = Command::new("sh");
        command.args(["-c", "test -t 2 && echo yes; test -t 1 || echo no; stty size <&2 >&2"]);
        let outcome = run(command, 63);
        assert_eq!((outcome.out().as_str(), outcome.err().as_str()), ("yes\nno\n", "50 63\r\n"));
    }

    #[test]
    fn colours_are_removed() {
        assert_eq!(plain("a\x1b[1;31mb\x1b[0mc"), "abc");
    }
}
