//! What a run showed to the outside.

use crate::PATIENCE;
use std::fmt;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that a program may run.
const LIMIT: Duration = Duration::from_secs(300);

/// The output and the end of a program. Two runs that behaved alike compare equal.
#[derive(Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code, unless a signal ended the program.
    pub code: Option<i32>,
    /// The signal that ended the program.
    pub signal: Option<i32>,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error.
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// Runs a command with its output captured. Standard input is empty unless the command says otherwise.
    ///
    /// # Panics
    /// When the command cannot be started, runs for longer than five minutes, or ends while somebody else
    /// still holds its standard output or standard error.
    pub fn of(command: &mut Command) -> Outcome {
        let described = format!("{command:?}");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Outcome::finish(child.unwrap_or_else(|error| panic!("{described}: {error}")), &described)
    }

    /// Waits for a program that was started with both outputs piped.
    ///
    /// # Panics
    /// As [`Outcome::of`].
    pub fn finish(mut child: Child, described: &str) -> Outcome {
        let stdout = read_aside(child.stdout.take());
        let stderr = read_aside(child.stderr.take());
        let status = end_of(&mut child, described);
        let collect = |receiver: Receiver<Vec<u8>>, name: &str| {
            receiver
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("{described} ended, but something still holds its {name}"))
        };
        Outcome {
            code: status.code(),
            signal: status.signal(),
            stdout: collect(stdout, "stdout"),
            stderr: collect(stderr, "stderr"),
        }
    }

    /// Standard output as text.
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// It has done what it was to do, and had nothing to say on stderr.
    ///
    /// # Panics
    /// When it has not.
    #[track_caller]
    pub fn assert_success(&self) {
        assert_eq!((self.code, self.err().as_str()), (Some(0), ""), "{self:?}");
    }

    /// Asserts that standard error has each of these texts in it.
    ///
    /// # Panics
    /// When one of them is not there.
    #[track_caller]
    pub fn assert_err_names(&self, texts: &[&str]) {
        let err = self.err();
        for text in texts {
            assert!(err.contains(text), "stderr does not name {text:?}:\n{err}");
        }
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "code {:?}, signal {:?}", self.code, self.signal)?;
        write!(f, "--- stdout\n{}\n--- stderr\n{}\n---", self.out(), self.err())
    }
}

/// Waits for a child within the limit, and kills it beyond that.
pub(crate) fn end_of(child: &mut Child, described: &str) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of this process can be waited for") {
            return status;
        }
        if start.elapsed() > LIMIT {
            // It may have ended by itself just now.
            let _ = child.kill();
            panic!("{described} still runs after {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Reads to the end on a thread of its own; a stream that was not piped is empty.
pub(crate) fn read_aside(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // A terminal whose other side is closed answers with an error; what came before it counts.
            let _ = stream.read_to_end(&mut bytes);
        }
        // The receiver is gone when the test has failed already.
        let _ = sender.send(bytes);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::Outcome;
    use std::process::Command;

    #[test]
    fn output_code_and_signal_are_kept_apart() {
        let run = |script: &str| Outcome::of(Command::new("sh").args(["-c", script]));
        let exited = run("echo out; echo err >&2; exit 7");
        assert_eq!((exited.code, exited.signal), (Some(7), None));
        assert_eq!((exited.out().as_str(), exited.err().as_str()), ("out\n", "err\n"));
        assert_eq!(run("kill -TERM $$").signal, Some(15));
        assert_ne!(exited, run("echo out; echo err >&2; exit 8"));
    }
}
