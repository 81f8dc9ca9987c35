//! What can be read of a process between its death and its parent's `wait`: status and CPU time.
//!
//! For a process whose parent does not say, on kernels whose pidfd does not tell, this is the only witness.

use ddtrace::sys::Usage;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

/// How a process ended and what it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remains {
    /// As `wait(2)` gives it.
    pub status: u32,
    /// CPU times; the memory is gone already.
    pub usage: Usage,
}

/// Looks at a dead process that nobody has waited for yet; `None` where it is alive, gone, or not ours to look at.
pub fn look(pid: u32) -> Option<Remains> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    parse(&text, ticks)
}

/// When a process began, in ticks since the machine's start; `None` where it is gone.
pub fn began(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    fields(&text)?.get(22 - 3)?.parse().ok()
}

/// How long a process has been there, in milliseconds; `None` where it is gone.
pub fn age_ms(pid: u32) -> Option<u64> {
    let ticks = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    let began_ms = began(pid)?.checked_mul(1000)?.checked_div(ticks)?;
    // The clock that the kernel counts the ticks by.
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    let now_ms = u64::try_from(now.tv_sec()).ok()?.checked_mul(1000)? + u64::try_from(now.tv_nsec()).ok()? / 1_000_000;
    Some(now_ms.saturating_sub(began_ms))
}

/// The parent of a process; `None` where it is gone.
pub fn parent(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    fields(&text)?.get(4 - 3)?.parse().ok()
}

/// The id that a process has for itself, in the pid namespace it is in; `None` where it is gone, or the kernel is older than 4.1.
pub fn id_within(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    ids.split_ascii_whitespace().next_back()?.parse().ok()
}

/// proc_pid_stat(5): the name in parentheses may hold anything, the fields after it are numbered from 3.
fn fields(text: &str) -> Option<Vec<&str>> {
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_ascii_whitespace().collect())
}

fn parse(text: &str, ticks_per_second: u64) -> Option<Remains> {
    let fields = fields(text)?;
    let field = |number: usize| fields.get(number - 3).copied();
    if !matches!(field(3), Some("Z" | "X")) {
        return None;
    }
    let nanoseconds = |number: usize| {
        let ticks: u64 = field(number)?.parse().ok()?;
        ticks.checked_mul(1_000_000_000)?.checked_div(ticks_per_second)
    };
    let usage = Usage { user_ns: nanoseconds(14)?, system_ns: nanoseconds(15)?, max_rss: 0 };
    Some(Remains { status: field(52)?.parse().ok()?, usage })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_zombie_tells_how_it_ended() {
        let mut child = Command::new("sh").args(["-c", "kill -9 $$"]).spawn().unwrap();
        let remains = loop {
            if let Some(remains) = look(child.id()) {
                break remains;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        };
        assert_eq!(remains.status & 0x7f, 9);
        assert_eq!(parent(child.id()), Some(std::process::id()));
        assert!(began(child.id()) >= began(std::process::id()) && began(1) < began(child.id()));
        child.wait().unwrap();
        assert_eq!(look(std::process::id()), None, "the living tell nothing");
    }

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_mislead() {
        let rest = "Z 1 1 1 0 -1 0 0 0 0 0 250 50 0 0 20 0 1 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 256";
        let remains = parse(&format!("7 (a) b (c) {rest}"), 100).unwrap();
        assert_eq!(remains.status, 256);
        assert_eq!((remains.usage.user_ns, remains.usage.system_ns), (2_500_000_000, 500_000_000));
        assert_eq!(parse(&format!("7 (a) {}", rest.replace('Z', "S")), 100), None);
        assert_eq!(parse("", 100), None);
    }
}
