//! Which process this is, and how a forked child notices that it is another.

use super::Absent;
use crate::identity::Identity;
use crate::ids::{SpanId, TraceId};
use crate::interface::ProcessInfo;
use crate::random::Random;
use crate::ring::Opening;
use crate::sys::{self, Advice};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::boxed::Box;

/// What a process is in its run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    pub(super) pid: u32,
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) trace_flags: u8,
    pub(super) is_span: bool,
}

/// A process, as long as it lives.
pub struct Process {
    facts: Facts,
    /// Where new ids come from: each process has a source of its own, so that none repeats its parent's.
    pub random: Random,
    introduced: AtomicBool,
    /// For a process with a ring of its own: who it is, its attempts to connect, and the ring.
    pub(super) identity: Option<Identity>,
    pub(super) opening: Opening,
    pub(super) ring: AtomicPtr<u8>,
}

impl Process {
    pub(super) fn new(facts: Facts) -> Process {
        Process {
            facts,
            random: Random::new(),
            introduced: AtomicBool::new(false),
            identity: None,
            opening: Opening::new(),
            ring: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// A forked child of which the library does not tell anything: it records nothing by itself, and nothing is to hang
    /// under its parent's span.
    pub(super) fn untold(parent: &Process) -> Process {
        Process::new(Facts { pid: sys::getpid(), is_span: false, ..parent.facts })
    }

    /// Its id in its own pid namespace.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.facts.pid
    }

    /// The trace that its span belongs to.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.facts.trace_id
    }

    /// Its own span, or what stands for it where processes are no spans.
    #[must_use]
    pub fn span_id(&self) -> SpanId {
        self.facts.span_id
    }

    /// W3C trace flags of its trace.
    #[must_use]
    pub fn trace_flags(&self) -> u8 {
        self.facts.trace_flags
    }

    /// Whether its span is recorded and surely sent, so that others may have it as their parent.
    #[must_use]
    pub fn is_span(&self) -> bool {
        self.facts.is_span
    }

    /// True for the first caller in this process.
    pub(crate) fn introduce(&self) -> bool {
        !self.introduced.load(Ordering::Relaxed) && !self.introduced.swap(true, Ordering::Relaxed)
    }
}

impl core::fmt::Debug for Process {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // The random state would tell the ids that come next.
        out.debug_struct("Process").field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// The process that this is now, and those that it was before it was forked.
#[derive(Debug)]
pub(super) struct Processes {
    current: AtomicPtr<Process>,
    /// A page that a forked child finds zeroed (MADV_WIPEONFORK).
    mark: NonNull<AtomicU32>,
}

// SAFETY: the page is made of one atomic, is never unmapped, and belongs to nobody else.
unsafe impl Send for Processes {}
// SAFETY: as above.
unsafe impl Sync for Processes {}

impl Processes {
    pub(super) fn new(first: Process) -> Result<Processes, Absent> {
        let page = sys::map_private(4096).map_err(|_| Absent::OldKernel)?;
        // SAFETY: the whole of our own new mapping, which wants to be wiped in forked children.
        if unsafe { sys::advise(page, 4096, Advice::WipeOnFork) }.is_err() {
            // SAFETY: made above, and nobody else has it.
            unsafe { sys::unmap(page, 4096) };
            return Err(Absent::OldKernel);
        }
        let processes = Processes { current: AtomicPtr::new(Box::into_raw(Box::new(first))), mark: page.cast() };
        processes.mark().store(1, Ordering::Release);
        Ok(processes)
    }

    /// Of a process that is in no run. Where the kernel cannot mark forked children, they go on with their parent's ids.
    pub(super) fn of_nobody() -> Processes {
        let facts =
            Facts { pid: sys::getpid(), trace_id: TraceId(0), span_id: SpanId(0), trace_flags: 0, is_span: false };
        Processes::new(Process::new(facts)).unwrap_or_else(|_| Processes {
            current: AtomicPtr::new(Box::into_raw(Box::new(Process::new(facts)))),
            mark: NonNull::from(Box::leak(Box::new(AtomicU32::new(1)))),
        })
    }

    fn mark(&self) -> &AtomicU32 {
        // SAFETY: page-aligned memory of our own that is never unmapped once `new` has given it out.
        unsafe { self.mark.as_ref() }
    }

    fn load(&self) -> &'static Process {
        // SAFETY: `current` is only ever set to a leaked box.
        unsafe { &*self.current.load(Ordering::Acquire) }
    }

    /// The process that this is. In a forked child, `make` tells who it is, from its parent.
    pub(super) fn current(&self, make: impl FnOnce(&Process) -> Process) -> &'static Process {
        // Acquire pairs with the release below: who sees the mark sees the process that was made before it was set.
        if self.mark().load(Ordering::Acquire) == 0 {
            self.become_child(make);
        }
        self.load()
    }

    /// As the next look would find it in a forked child.
    #[cfg(test)]
    pub(super) fn fork(&self) {
        let mut before = Process::untold(self.load());
        before.facts.pid = 0;
        self.current.store(Box::into_raw(Box::new(before)), Ordering::Release);
        self.mark().store(0, Ordering::Release);
    }

    /// Threads of the child that come here at the same time agree on one process: the id tells that it is made.
    #[cold]
    fn become_child(&self, make: impl FnOnce(&Process) -> Process) {
        let parent = self.load();
        if parent.pid() != sys::getpid() {
            let child = Box::into_raw(Box::new(make(parent)));
            let before = core::ptr::from_ref(parent).cast_mut();
            if self.current.compare_exchange(before, child, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // SAFETY: made above, and published to nobody.
                drop(unsafe { Box::from_raw(child) });
            }
        }
        self.mark().store(1, Ordering::Release);
    }
}

const _: () = assert!(size_of::<ProcessInfo>() == 40);

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(pid: u32) -> Facts {
        Facts { pid, trace_id: TraceId(1), span_id: SpanId(2), trace_flags: 1, is_span: true }
    }

    #[test]
    fn a_process_stays_the_same_until_it_is_forked() {
        let processes = Processes::new(Process::new(facts(sys::getpid()))).unwrap();
        let first = processes.current(|_| panic!("this is no child"));
        assert!(core::ptr::eq(first, processes.current(|_| panic!("this is no child"))));
        assert!(first.introduce() && !first.introduce());
        // What the kernel does to a forked child.
        processes.mark().store(0, Ordering::Release);
        assert!(core::ptr::eq(first, processes.current(|_| panic!("the id is still the same"))));
    }

    #[test]
    fn a_child_is_made_once_and_has_nothing_of_its_parent() {
        let processes = Processes::new(Process::new(facts(sys::getpid() + 1))).unwrap();
        processes.mark().store(0, Ordering::Release);
        let child = processes.current(Process::untold);
        assert_eq!((child.pid(), child.is_span()), (sys::getpid(), false));
        assert!(core::ptr::eq(child, processes.current(|_| panic!("it is made already"))));
    }
}
