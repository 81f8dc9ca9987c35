//! What a supervising launcher and its sidecar say to each other.

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use ddtrace::sys::monotonic_ns;
use nix::sys::socket::{MsgFlags, recv};

/// What the sidecar says to the supervising launcher at last: without it, it has not come to its end.
pub const LAST_WORD: u8 = 0x04;

/// What the supervising launcher says to the sidecar as soon as it has waited for the command's first process: how that ended,
/// as `wait(2)` gives it, and that it is now.
pub fn end_of_command(status: u32) -> [u8; END_OF_COMMAND] {
    let mut word = [0; END_OF_COMMAND];
    word[..4].copy_from_slice(&status.to_le_bytes());
    word[4..].copy_from_slice(&monotonic_ns().to_le_bytes());
    word
}

const END_OF_COMMAND: usize = 12;

/// Reads that: the status, and the time. `None` where the launcher has closed its side, or is gone.
pub fn hear_end_of_command(control: &OwnedFd) -> Option<(u32, u64)> {
    let mut word = [0; END_OF_COMMAND];
    if recv(control.as_raw_fd(), &mut word, MsgFlags::MSG_DONTWAIT) != Ok(END_OF_COMMAND) {
        return None;
    }
    let (status, time_ns) = word.split_first_chunk()?;
    Some((u32::from_le_bytes(*status), u64::from_le_bytes(time_ns.try_into().ok()?)))
}

/// Whether the supervising launcher has closed its side, or is gone.
pub fn is_closed(control: &OwnedFd) -> bool {
    recv(control.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK) == Ok(0)
}

/// Tells the supervising launcher what became of the spans: the account where it is wanted, what was not hoped for, and
/// that this was all.
pub fn tell(control: OwnedFd, account: Option<&str>, complaints: &[String], waiting: u64) {
    let mut stream = UnixStream::from(control);
    if let Some(account) = account {
        let _ = writeln!(stream, "{account}");
    }
    for line in complaints {
        let _ = writeln!(stream, "{line}");
    }
    if waiting > 0 {
        let _ = writeln!(
            stream,
            "{waiting} {} not delivered yet; the next run that reaches the backend does it",
            if waiting == 1 { "span is" } else { "spans are" }
        );
    }
    let _ = stream.write_all(&[LAST_WORD]);
}
