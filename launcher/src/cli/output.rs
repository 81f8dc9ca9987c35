//! Printing what was asked for.

use super::error::EXIT_OWN_FAILURE;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::io::{self, ErrorKind, Write};

/// Writes all of `bytes` to stdout and returns the code to exit with.
///
/// A reader that has gone, as in `ddtrace-run --help | head`, wanted no more: that is no failure. Anything else, such as
/// a full disk, is said.
pub fn print(bytes: &[u8]) -> i32 {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // A reader that has gone would else end us by the signal. Nothing is started after printing that would inherit it.
    // SAFETY: no handler is installed.
    let _ = unsafe { sigaction(Signal::SIGPIPE, &ignore) };
    let mut stdout = io::stdout().lock();
    exit_code(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

fn exit_code(written: io::Result<()>) -> i32 {
    match written {
        Ok(()) => 0,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => 0,
        Err(error) => failure(&error),
    }
}

/// Says that what was asked for cannot be printed, and returns the code to exit with.
pub fn failure(error: &io::Error) -> i32 {
    // Where stderr cannot be written either, the exit code still tells.
    let _ = writeln!(io::stderr(), "ddtrace-run: cannot write to stdout: {error}");
    EXIT_OWN_FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reader_that_has_gone_is_no_failure() {
        assert_eq!(exit_code(Ok(())), 0);
        assert_eq!(exit_code(Err(ErrorKind::BrokenPipe.into())), 0);
        assert_eq!(exit_code(Err(ErrorKind::StorageFull.into())), EXIT_OWN_FAILURE);
    }
}
