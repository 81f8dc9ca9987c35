//! Watching over a run: until its last process is gone, or somebody says that it is enough.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use ddtrace::ids::SpanId;
use ddtrace::sys::{monotonic_ns, usage_of_self};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::signalfd::SignalFd;

use super::collect::{Collector, DOORBELL, PORTION};
use super::control::{hear_end_of_command, is_closed};
use super::exporting::Exporting;
use crate::spool::{Account, Counter};

pub const LISTENER: u64 = u64::MAX;
pub const SIGNALS: u64 = u64::MAX - 1;
pub const CONTROL: u64 = u64::MAX - 2;

/// How often rings are looked at while something happens in them, and at most while nothing does.
pub const BUSY_TICK: Duration = Duration::from_millis(20);
const IDLE_TICK: Duration = Duration::from_millis(160);
/// At most, where no process can say that its ring fills up: it takes less than a tenth of a second.
const DEAF_TICK: Duration = Duration::from_millis(20);
/// What happens within this time is handled in one go: fewer turns on the processor that the traced program needs.
const GATHER: Duration = Duration::from_millis(2);
/// How long the sidecar waits for another process to come, after the last one has gone.
const LINGER: Duration = Duration::from_millis(50);
/// Whoever tells the sidecar to go (SIGTERM) tells the programs as well, mostly, which record what they do as they stop. So
/// long their records are still taken in; whoever insists tells it twice.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// How long a supervised command's orphans are waited for.
const ORPHAN_WAIT: Duration = Duration::from_millis(500);

/// Collects until the last process is gone, or somebody says that it is enough. Gives whether the sidecar was told to go.
pub fn watch(
    epoll: &Epoll,
    signals: &SignalFd,
    collector: &mut Collector,
    exporting: &Exporting,
    account: &Account,
    first: SpanId,
    control: Option<&OwnedFd>,
) -> bool {
    let mut supervised = control.is_some();
    let mut tick = BUSY_TICK;
    let mut is_flooded = false;
    let mut last_drain = Instant::now();
    let mut quiet_since: Option<Instant> = None;
    let mut command_ended: Option<Instant> = None;
    let mut told_no_processes = false;
    let mut told_to_go: Option<Instant> = None;
    let mut is_blind = false;
    let cpu_limit = cpu_limit();
    loop {
        let mut events = [EpollEvent::empty(); 64];
        if collector.is_expectant() {
            collector.accept_all();
        }
        let wait = match () {
            () if is_flooded => Duration::ZERO,
            () if collector.is_expectant() || quiet_since.is_some() => BUSY_TICK,
            () => tick,
        };
        let looked_ns = monotonic_ns();
        let count = match epoll.wait(&mut events, EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::ZERO)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => {
                // Of a filter of system calls that the launcher was started under. All is looked at instead.
                if !std::mem::replace(&mut is_blind, true) {
                    tracing::warn!("cannot wait for events ({error}): processes are looked at every {BUSY_TICK:?}");
                }
                std::thread::sleep(BUSY_TICK);
                0
            }
        };
        let (mut active, mut is_rung) = (false, false);
        if is_blind {
            active |= collector.accept_all() > 0;
            if signals.read_signal().is_ok_and(|told| told.is_some()) && told_to_go.replace(Instant::now()).is_some() {
                return true;
            }
            if let Some((status, time_ns)) = control.and_then(hear_end_of_command) {
                collector.told_of_end(first, status, time_ns);
            } else if control.is_some_and(is_closed) {
                command_ended.get_or_insert_with(Instant::now);
            }
        }
        for event in events.iter().take(count) {
            match event.data() {
                DOORBELL => {
                    collector.answer_doorbell();
                    is_rung = true;
                }
                LISTENER => active |= collector.accept_all() > 0,
                SIGNALS => {
                    if let Ok(Some(_)) = signals.read_signal()
                        && told_to_go.replace(Instant::now()).is_some()
                    {
                        return true;
                    }
                }
                CONTROL if let Some((status, time_ns)) = control.and_then(hear_end_of_command) => {
                    collector.told_of_end(first, status, time_ns);
                }
                CONTROL if event.events().contains(EpollFlags::EPOLLHUP) => {
                    // The launcher is gone, with or before the command: nobody waits, and it goes on as without a launcher.
                    (supervised, command_ended) = (false, None);
                    if let Some(control) = control {
                        let _ = epoll.delete(control);
                    }
                }
                CONTROL => {
                    command_ended.get_or_insert_with(Instant::now);
                }
                span => {
                    active = true;
                    collector.woken(SpanId(span), event.events().contains(EpollFlags::EPOLLHUP));
                }
            }
        }
        if last_drain.elapsed() >= BUSY_TICK || count == 0 || is_rung {
            let bytes = collector.drain_all();
            // After so much the next look follows at once. Where there is no room for more, the exporting thread needs the
            // processor.
            is_flooded = bytes >= PORTION && !collector.is_cut_short();
            active |= bytes > 0 || collector.is_cut_short();
            last_drain = Instant::now();
        }
        collector.look_at_unwatched(is_blind);
        collector.bury_unreaped(false);
        if let Some(which) = exporting.gives_up()
            && !told_no_processes
        {
            // Where there is no room yet, it is tried again.
            told_no_processes = collector.give_up_processes(which);
            active |= told_no_processes;
        }
        if let Some(rates) = exporting.new_rates() {
            collector.set_rates(&rates);
        }
        if active {
            tick = BUSY_TICK;
            exporting.wake();
        } else {
            let is_told_all = collector.has_doorbell() && !collector.has_unwatched();
            let longest = if is_told_all { IDLE_TICK } else { DEAF_TICK };
            tick = (tick * 2).min(longest);
        }
        let is_over = collector.living() == 0 && !collector.finds_silent_processes();
        account.set(Counter::Over, (is_over || collector.has_only_unmapped()).into());
        account.set(Counter::CommandOver, (!collector.knows(first)).into());
        if count < events.len() {
            account.set(Counter::Looked, looked_ns);
        }
        if told_to_go.is_some_and(|told| told.elapsed() >= LAST_WORDS) {
            return true;
        }
        if cpu_limit.is_some_and(|limit| cpu_time() >= limit) {
            tracing::error!(
                "the limit on CPU time (ulimit -t) is about to be reached: what was recorded is stored, and no more is"
            );
            collector.stop();
            return true;
        }
        if is_over {
            let since = *quiet_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= LINGER || (supervised && command_ended.is_some()) {
                // One look alone does not find who is just becoming another program.
                return told_to_go.is_some();
            }
        } else {
            quiet_since = None;
        }
        if command_ended.is_some_and(|ended| ended.elapsed() >= ORPHAN_WAIT) {
            collector.stop();
            return false;
        }
        if count > 0 && !is_rung {
            std::thread::sleep(GATHER);
        }
    }
}

/// How many nanoseconds of CPU time the sidecar takes before it stores what it has: at the limit it would be killed.
fn cpu_limit() -> Option<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_CPU).ok().filter(|(_, hard)| *hard != RLIM_INFINITY)?;
    let hard = hard.saturating_mul(1_000_000_000);
    Some(hard - (hard / 5).max((hard / 2).min(1_000_000_000)))
}

fn cpu_time() -> u64 {
    let usage = usage_of_self();
    usage.user_ns + usage.system_ns
}
