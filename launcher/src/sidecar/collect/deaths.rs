//! The end of processes: when they die, how, and what is written down of that once all that they said has been read.

use std::time::{Duration, Instant};

use ddtrace::ids::SpanId;
use ddtrace::sys::{Usage, monotonic_ns};

use super::super::assemble::LATE_NEWS_NS;
use super::super::death::Death;
use super::super::pidfd::Watch;
use super::super::zombie;
use super::{Collector, Tracked};
use crate::spool::FrameKind;

/// How long after a death the parent may take to wait for the process, before the death is told without a status.
const REAP_WAIT_NS: u64 = 200_000_000;

/// How often processes are looked at that nothing is told of.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// How many processes that are gone are remembered before old ones are forgotten.
const MOST_PAST: usize = 8192;

impl Collector {
    /// What the kernel has to tell of a process. Gives whether it is over with it.
    pub fn woken(&mut self, span: SpanId, reaped: bool) {
        let now = monotonic_ns();
        let Some(tracked) = self.processes.get_mut(&span) else { return };
        let died_ns = *tracked.died_ns.get_or_insert(now);
        if let Some(remains) = zombie::look(tracked.pid) {
            self.bury(span, died_ns, Some(remains.status), Some(remains.usage));
        } else if reaped {
            let status = tracked.watch.exit_status();
            // The launcher's word may come a moment later.
            if status.is_some() || tracked.told.is_some() || self.is_told_of != Some(span) {
                self.bury(span, died_ns, status, None);
            }
        }
    }

    /// The launcher waits for this process, and will tell of its end.
    pub fn is_told_of(&mut self, span: SpanId) {
        self.is_told_of = Some(span);
    }

    /// The launcher has waited for this process.
    pub fn told_of_end(&mut self, span: SpanId, status: u32, time_ns: u64) {
        if let Some(tracked) = self.processes.get_mut(&span) {
            tracked.told = Some((status, time_ns));
            tracked.died_ns.get_or_insert(time_ns);
        }
    }

    /// Looks at the processes for which there was no descriptor; at all of them where `is_blind`, as nothing is told of
    /// descriptors then. So seldom that it takes a small part of a processor, however many there are.
    pub fn look_at_unwatched(&mut self, is_blind: bool) {
        if Instant::now() < self.next_look {
            return;
        }
        let began = Instant::now();
        let is_over = |tracked: &Tracked| match tracked.watch {
            Watch::Looks(began) => zombie::began(tracked.pid) != Some(began) || zombie::look(tracked.pid).is_some(),
            Watch::Descriptor(_) => {
                is_blind && (zombie::began(tracked.pid).is_none() || zombie::look(tracked.pid).is_some())
            }
        };
        let over = self.processes.iter().filter(|(_, tracked)| tracked.died_ns.is_none() && is_over(tracked));
        let over: Vec<(SpanId, bool)> =
            over.map(|(span, tracked)| (*span, zombie::look(tracked.pid).is_none())).collect();
        self.next_look = began + LOOKS_EVERY.max(began.elapsed() * 20);
        over.into_iter().for_each(|(span, is_reaped)| self.woken(span, is_reaped));
    }

    /// Whether a process is watched by looks alone, which are to come in time.
    pub fn has_unwatched(&self) -> bool {
        self.processes.values().any(|tracked| matches!(tracked.watch, Watch::Looks(_)))
    }

    /// Gives up waiting for the status of processes that nobody reaps.
    pub fn bury_unreaped(&mut self, all: bool) {
        let now = monotonic_ns();
        let is_due = |died_ns: u64| all || now.saturating_sub(died_ns) > REAP_WAIT_NS;
        let due: Vec<(SpanId, u64, _)> = self
            .processes
            .iter()
            .filter(|(_, tracked)| {
                tracked.told.is_some() || tracked.fate.is_some() || tracked.died_ns.is_some_and(is_due)
            })
            .filter_map(|(span, tracked)| Some((*span, tracked.died_ns?, tracked.fate)))
            .collect();
        for (span, died_ns, fate) in due {
            let (status, usage) = fate.unwrap_or_default();
            self.bury(span, died_ns, status, usage);
        }
    }

    /// Whether something is about to happen that nobody will tell of: a dead process's status may come, or the ring of
    /// one that has connected.
    pub fn is_expectant(&self) -> bool {
        self.door.is_waited_at()
            || self.door.unmapped() > 0
            || self.processes.values().any(|tracked| tracked.died_ns.is_some())
    }

    fn bury(&mut self, span: SpanId, died_ns: u64, status: Option<u32>, usage: Option<Usage>) {
        // Its ring may still wait at the socket, and its parent may have written that it started it.
        self.accept_all();
        if !self.drain(span).1
            && let Some(tracked) = self.processes.get_mut(&span)
        {
            // The rest of what it has left comes first.
            tracked.fate = Some((status, usage));
            return;
        }
        let (producer, told) =
            self.processes.remove(&span).map_or((0, None), |tracked| (tracked.producer, tracked.told));
        let (died_ns, status) = match told {
            Some((told, time_ns)) => (died_ns.min(time_ns), status.or(Some(told))),
            None => (died_ns, status),
        };
        if let Some(doorbell) = &self.doorbell {
            doorbell.forget();
        }
        self.append_death(producer, Death { span_id: span.0, time_ns: died_ns, status, usage });
    }

    /// A process that was gone before it could be watched.
    pub(super) fn append_unseen_death(&mut self, producer: u64, span: SpanId) {
        self.append_death(producer, Death { span_id: span.0, time_ns: monotonic_ns(), status: None, usage: None });
    }

    fn append_death(&mut self, producer: u64, death: Death) {
        self.past.insert(SpanId(death.span_id), death.time_ns);
        if self.past.len() > MOST_PAST {
            let newest = death.time_ns;
            self.past.retain(|_, time_ns| newest.saturating_sub(*time_ns) < LATE_NEWS_NS);
        }
        self.append_or_lose(FrameKind::Death, producer, &death.format());
    }
}
