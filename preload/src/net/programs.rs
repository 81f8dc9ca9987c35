//! What is known of some programs by their names: how they deal with what their connections bring.

use core::sync::atomic::{AtomicU32, Ordering};

/// What comes over a connection is all dealt with at once, before anything else is read: what is asked for then is for the request
/// that the connection is there for. In all others finished work of other threads, jobs that are due, and tasks that another one
/// has woken have their turn before the thread waits once more: HAProxy reads from all connections and then runs their tasks.
pub(super) const DEALS_AT_ONCE: u32 = 1;
/// Between two waits it also runs timers that ask for something. Those of others only end what takes too long.
pub(super) const RUNS_TIMERS: u32 = 2;
/// For a request it asks once, when that has come whole. Where that fails it asks again, after it has read from others.
pub(super) const ASKS_ONCE: u32 = 4;
/// A thread that has read a part of a request may leave it to another one, and go on with a request which that one has read.
pub(super) const LEAVES_PARTS: u32 = 8;
/// What a thread does when it has read a request is for that one or for anybody: it is put aside, and nothing tells.
pub(super) const PUTS_ASIDE: u32 = 16;

/// By the name of the executable, without the release at its end.
const KNOWN: [(&[u8], u32); 8] = [
    (b"nginx", DEALS_AT_ONCE | RUNS_TIMERS),
    (b"lighttpd", DEALS_AT_ONCE | ASKS_ONCE),
    // Puma.
    (b"ruby", LEAVES_PARTS),
    // A request waits for one that fetches the same, and its thread fetches something else meanwhile.
    (b"varnishd", PUTS_ASIDE),
    // Timers and promises run before the first wait with an open request.
    (b"node", PUTS_ASIDE),
    (b"nodejs", PUTS_ASIDE),
    (b"deno", PUTS_ASIDE),
    (b"bun", PUTS_ASIDE),
];

static PRESENT: AtomicU32 = AtomicU32::new(0);

/// This is the program that runs in the process.
pub(super) fn know(path: &[u8]) {
    PRESENT.store(of(path), Ordering::Relaxed);
}

fn of(path: &[u8]) -> u32 {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let release = name.iter().rev().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let name = name.get(..name.len().saturating_sub(release)).unwrap_or_default();
    KNOWN.iter().find(|(known, _)| *known == name).map_or(0, |(_, what)| *what)
}

/// Whether all of this is known of the program.
#[inline]
pub(super) fn is_known_for(what: u32) -> bool {
    PRESENT.load(Ordering::Relaxed) & what == what
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_executables() {
        assert_eq!(of(b"/usr/sbin/nginx"), DEALS_AT_ONCE | RUNS_TIMERS);
        assert_eq!([b"/usr/bin/ruby3.1".as_slice(), b"ruby", b"/opt/node22", b"bun"].map(of), [8, 8, 16, 16]);
        assert_eq!([b"/usr/bin/python3.11".as_slice(), b"", b"/", b"3.11", b"/nginx/", b"nginxx"].map(of), [0; 6]);
    }
}
