//! The few words that every thread has.
//!
//! Stable Rust cannot choose the initial-exec model for thread-locals, and the general one calls into the host's
//! allocator; so the variable is declared in assembly.

#[cfg(not(preload_so))]
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use ddtrace::interface::Place;
use ddtrace::ring::ThreadSlot;

/// What a thread keeps. All zero is the state of a new thread.
#[repr(C)]
pub(crate) struct Thread {
    /// The thread's place in the ring.
    pub(crate) slot: ThreadSlot,
    /// The span of the vfork child that this thread started last: kept for a second attempt to exec, should the first
    /// one fail.
    pub(crate) vfork_span: AtomicU64,
    /// The id of that child. It tells a second attempt from another child.
    pub(crate) vfork_pid: AtomicU32,
    /// Not zero while a vfork child of this thread is under a system call filter of its own. It is lowered before the
    /// child goes, as the thread that it shares these words with is not.
    pub(crate) vfork_filtered: AtomicU32,
    /// Tells the thread from others; 0 until somebody asks ([`Thread::number`]).
    number: AtomicU32,
    /// How the thread was seen to wait (`crate::net`).
    pub(crate) waits: AtomicU32,
    /// The handle of the span that is active on the thread (`crate::tracer`); 0 is none. A forked child looks at its
    /// parent's once more, to know where it comes from.
    pub(crate) active: AtomicU64,
    /// The handle of the request that the thread serves, as far as its connections tell (`crate::net`); 0 is none. It is
    /// the parent where nothing is active.
    pub(crate) request: AtomicU64,
    /// The TLS session in a call of whose library the thread is (`crate::net`); 0 is none. What jumps out of such a call
    /// leaves it behind, so it says no more than that what the thread sends now may be the session's.
    pub(crate) session: AtomicU64,
    /// Where a language's own tracer has something active on the thread ([`ddtrace::interface::Interface::places`]); null
    /// is nowhere.
    pub(crate) places: AtomicPtr<Place>,
    /// When the thread was last back from a wait for many descriptors, and when the first timer of its loop runs out that was there
    /// then, by the kernel's coarse clock, in milliseconds (`crate::net`).
    pub(crate) waited_ms: AtomicU64,
    pub(crate) timers_ms: AtomicU64,
}

impl Thread {
    /// A number that no other thread has, until 65,535 more threads have asked for one. Never 0.
    pub(crate) fn number(&self) -> u16 {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = self.number.load(Ordering::Relaxed);
        if number != 0 {
            return number as u16;
        }
        let new = LAST.fetch_add(1, Ordering::Relaxed) % u32::from(u16::MAX) + 1;
        // A signal handler may have been faster.
        match self.number.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => new as u16,
            Err(number) => number as u16,
        }
    }

    /// In a forked child nothing of the parent's thread holds.
    pub(crate) fn reset(&self) {
        self.slot.reset();
        self.vfork_pid.store(0, Ordering::Relaxed);
        self.vfork_filtered.store(0, Ordering::Relaxed);
    }
}

const _: () = assert!(size_of::<Thread>() == 80);

#[cfg(preload_so)]
core::arch::global_asm!(
    ".section .tbss,\"awT\",@nobits",
    ".balign 8",
    ".hidden ddtrace_preload_thread",
    ".globl ddtrace_preload_thread",
    ".type ddtrace_preload_thread, @object",
    ".size ddtrace_preload_thread, 80",
    "ddtrace_preload_thread:",
    ".zero 80",
    ".text",
);

/// The calling thread's words.
#[cfg(preload_so)]
pub(crate) fn current() -> &'static Thread {
    let address: *const Thread;
    // Not `pure`: a host that switches coroutines may come back on another thread.
    // SAFETY: reads the thread pointer and the offset of our 80 zero-initialised bytes in the static TLS block, which
    // live as long as the thread; Thread is made of atomics, for which all zero is valid.
    unsafe {
        core::arch::asm!(
            "mov {0}, qword ptr fs:[0]",
            "add {0}, qword ptr [rip + ddtrace_preload_thread@GOTTPOFF]",
            out(reg) address,
            options(nostack, readonly)
        );
        &*address
    }
}

/// Outside of the shared library, where no hook is ever called: one for all.
#[cfg(not(preload_so))]
pub(crate) fn current() -> &'static Thread {
    static THREAD: Thread = Thread {
        slot: ThreadSlot::new(),
        vfork_span: AtomicU64::new(0),
        vfork_pid: AtomicU32::new(0),
        vfork_filtered: AtomicU32::new(0),
        number: AtomicU32::new(0),
        waits: AtomicU32::new(0),
        active: AtomicU64::new(0),
        request: AtomicU64::new(0),
        session: AtomicU64::new(0),
        places: AtomicPtr::new(null_mut()),
        waited_ms: AtomicU64::new(0),
        timers_ms: AtomicU64::new(0),
    };
    &THREAD
}
