//! Runs whose standard error is a terminal.

use crate::PATIENCE;
use crate::outcome::{Outcome, end_of, read_aside};
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

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
