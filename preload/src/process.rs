//! Which process this is, and its ring.

use crate::describe;
use crate::environment;
use crate::libraries;
use crate::net;
use crate::settled::Settled;
use crate::thread;
use crate::tracer;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use ddtrace::handshake::{self, Hello};
use ddtrace::identity::{
    FLAG_HEARD_OF, FLAG_PROCESS_SPANS, FLAG_PROCESS_SPANS_HELD, FLAG_REMOTE_PARENT, FLAG_SANDBOXED, FLAGS_OF_HOLDER,
    Holder, Identity,
};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::random::Random;
use ddtrace::record::{OpenBody, ROLE_CHILD, ROLE_SELF, RecordWriter};
use ddtrace::ring::layout::{CHUNK_COUNT, FEW_CHUNKS, RING_SIZE};
use ddtrace::ring::{Opening, Ring};
use ddtrace::semconv::Key;
use ddtrace::sys;

/// Nothing is recorded: not under the launcher, denied, or something was not as it must be.
const DISARMED: u32 = 0;
/// Processes are recorded.
const ARMED: u32 = 1;
/// The process has put itself under a system call filter: whatever is not plain memory work is left undone.
const SANDBOXED: u32 = 2;

/// Drawn from by every thread.
pub(crate) static RANDOM: Random = Random::new();

static PHASE: AtomicU32 = AtomicU32::new(DISARMED);
/// The id this process had when it was last looked at: a forked child has another.
static PID: AtomicU32 = AtomicU32::new(0);
/// The parent of that process. Kept, as a vfork child that speaks for its parent would be told of another.
static PPID: AtomicU32 = AtomicU32::new(0);
/// A private page that a forked child finds zeroed (MADV_WIPEONFORK), but a vfork child shares.
static FORK_MARK: AtomicPtr<AtomicU32> = AtomicPtr::new(null_mut());
/// Whether that page was found wiped by somebody who may have been a vfork child of this process rather than itself.
static IN_DOUBT: AtomicBool = AtomicBool::new(false);
static RING: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// The sidecar has asked not to be told of processes any more. A forked child knows it from its parent.
static UNWANTED: AtomicBool = AtomicBool::new(false);
static OPENING: Opening = Opening::new();
/// All memory of the process is kept in place, or about to be. Its children begin anew.
static KEEPS_MEMORY: AtomicBool = AtomicBool::new(false);
/// Records of the program's own that were lost as there is no ring. What is said of processes is not among them: their
/// parents say enough.
static MISSED: AtomicU32 = AtomicU32::new(0);
static IDENTITY: Settled<Identity> = Settled::new(Identity {
    run: 0,
    flags: 0,
    holder: Holder::Process(0),
    trace_flags: 0,
    trace_id: TraceId(0),
    span_id: SpanId(0),
    parent_id: SpanId(0),
    start_ns: 0,
});

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The process itself.
    Itself,
    /// A vfork child, which shares the memory of its suspended parent but has an id of its own.
    VforkChild(u32),
}

/// The identity of the process whose memory this is.
pub(crate) fn identity() -> &'static Identity {
    IDENTITY.get()
}

/// Whether processes are recorded. Where not, there is only what programs record of their own: the hooks still give
/// children their environment, and a process has a ring when it has something to say.
pub(crate) fn processes_are_recorded() -> bool {
    if identity().flags & FLAG_PROCESS_SPANS == 0 || UNWANTED.load(Ordering::Relaxed) {
        return false;
    }
    let wanted = own_ring().is_none_or(|ring| ring.wants_process_spans());
    if !wanted {
        UNWANTED.store(true, Ordering::Relaxed);
    }
    wanted
}

/// The flags for a child of this process.
fn flags_of_child() -> u8 {
    let not_wanted = if processes_are_recorded() { 0 } else { FLAG_PROCESS_SPANS | FLAG_PROCESS_SPANS_HELD };
    identity().flags & !(FLAGS_OF_HOLDER | not_wanted)
}

/// The id of the process whose memory this is.
pub(crate) fn pid() -> u32 {
    PID.load(Ordering::Relaxed)
}

/// Starts recording. Called once, from the constructor.
pub(crate) fn arm(identity: Identity) {
    let Ok(page) = sys::map_private(4096) else { return };
    // SAFETY: the whole of our own new mapping, which wants to be wiped in forked children.
    if unsafe { sys::advise(page, 4096, sys::Advice::WipeOnFork) }.is_err() {
        // Before Linux 4.14 a forked child could not tell that it is one: better to see nothing.
        return;
    }
    let mark: NonNull<AtomicU32> = page.cast();
    // SAFETY: page-aligned memory of our own.
    unsafe { mark.as_ref() }.store(1, Ordering::Relaxed);
    FORK_MARK.store(mark.as_ptr(), Ordering::Relaxed);
    PID.store(sys::getpid(), Ordering::Relaxed);
    PPID.store(sys::getppid(), Ordering::Relaxed);
    // SAFETY: the constructor runs before the host has threads that could call a hook.
    unsafe { IDENTITY.set(identity) };
    PHASE.store(ARMED, Ordering::Release);
    environment::stamp(&identity);
    // The sidecar is to learn that what the program before this one has begun will not be ended by anybody.
    if processes_are_recorded() || identity.flags & FLAG_HEARD_OF != 0 {
        let _ = ring();
    }
}

/// The process is about to filter its system calls. Its descendants inherit the filter, and must not try, either.
/// Gives whether it was not known to do so before.
pub(crate) fn enter_sandbox() -> bool {
    // A vfork child filters its own calls, not those of the parent whose memory it shares.
    if let Some(Caller::VforkChild(_)) = caller() {
        thread::current().vfork_filtered.store(1, Ordering::Relaxed);
        return true;
    }
    let entered = PHASE.compare_exchange(ARMED, SANDBOXED, Ordering::AcqRel, Ordering::Acquire).is_ok();
    if entered {
        environment::stamp(&sandboxed_identity());
    }
    entered
}

/// The filter was refused: programs ask so what their kernel can do.
pub(crate) fn leave_sandbox() {
    if thread::current().vfork_filtered.swap(0, Ordering::Relaxed) != 0 {
        return;
    }
    if PHASE.compare_exchange(SANDBOXED, ARMED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        environment::stamp(identity());
    }
}

/// Whether who asks is under a system call filter.
pub(crate) fn is_sandboxed() -> bool {
    PHASE.load(Ordering::Acquire) == SANDBOXED || thread::current().vfork_filtered.load(Ordering::Relaxed) != 0
}

/// The identity for the programs that a sandboxed process starts.
pub(crate) fn sandboxed_identity() -> Identity {
    let identity = identity();
    Identity { flags: identity.flags | FLAG_SANDBOXED, ..*identity }
}

/// Whether this process records; notices first if it is a forked child that nobody told. Without a system call, so
/// that a vfork child is not noticed.
pub(crate) fn is_recorded() -> bool {
    if PHASE.load(Ordering::Acquire) != ARMED || thread::current().vfork_filtered.load(Ordering::Relaxed) != 0 {
        return false;
    }
    // SAFETY: set before the phase, points to a page that is never unmapped.
    let Some(mark) = (unsafe { FORK_MARK.load(Ordering::Relaxed).as_ref() }) else { return false };
    if mark.load(Ordering::Relaxed) == 0 {
        // What it has inherited gives the numbers that its parent and other such children draw next.
        RANDOM.reseed();
        // Whose parent is not the process that this memory was copied from may be a vfork child of the copy.
        let in_doubt = sys::getppid() != PID.load(Ordering::Relaxed);
        become_process(SpanId(RANDOM.next()), identity().span_id);
        IN_DOUBT.store(in_doubt, Ordering::Relaxed);
    }
    true
}

/// Whether and for whom a hook may record.
pub(crate) fn caller() -> Option<Caller> {
    if !is_recorded() {
        return None;
    }
    let (pid, known) = (sys::getpid(), PID.load(Ordering::Relaxed));
    if pid == known {
        return Some(Caller::Itself);
    }
    if IN_DOUBT.load(Ordering::Relaxed) && sys::getppid() != known {
        // It was a vfork child that had noticed the copy, and is gone: the two have the same parent.
        become_process(SpanId(RANDOM.next()), identity().parent_id);
        return Some(Caller::Itself);
    }
    Some(Caller::VforkChild(pid))
}

/// Whether spans of this process's own can be made here. As [`caller`], but without a system call: a vfork child, which has
/// no spans, is taken for the process whose memory it shares.
pub(crate) fn is_itself() -> bool {
    if IN_DOUBT.load(Ordering::Relaxed) { caller() == Some(Caller::Itself) } else { is_recorded() }
}

/// In a forked child: a process of its own, whose parent is what this process was until now.
pub(crate) fn become_child(span: SpanId) {
    become_process(span, identity().span_id);
    IN_DOUBT.store(false, Ordering::Relaxed);
}

fn become_process(span: SpanId, parent: SpanId) {
    // SAFETY: as in `caller`.
    let Some(mark) = (unsafe { FORK_MARK.load(Ordering::Relaxed).as_ref() }) else { return };
    let was = *identity();
    let pid = sys::getpid();
    RING.store(null_mut(), Ordering::Relaxed);
    OPENING.reset();
    KEEPS_MEMORY.store(false, Ordering::Relaxed);
    MISSED.store(0, Ordering::Relaxed);
    thread::current().reset();
    tracer::become_child();
    libraries::become_child();
    RANDOM.reseed();
    PID.store(pid, Ordering::Relaxed);
    PPID.store(sys::getppid(), Ordering::Relaxed);
    let identity = Identity {
        flags: flags_of_child(),
        holder: Holder::Process(pid),
        span_id: span,
        parent_id: parent,
        start_ns: sys::monotonic_ns(),
        ..was
    };
    // SAFETY: a forked child has one thread, this one; while a vfork child runs, the other one is suspended.
    unsafe { IDENTITY.set(identity) };
    mark.store(1, Ordering::Relaxed);
    environment::stamp(&identity);
}

/// The ring, if there is one already.
fn own_ring() -> Option<Ring> {
    let base = NonNull::new(RING.load(Ordering::Acquire))?;
    // SAFETY: `open_ring` initialised it, and what is used of it is never unmapped; a forked child has set it to null.
    Some(unsafe { Ring::attach(base) })
}

/// The process is about to have all its memory kept in place, of which the whole ring would be a large part: it would count
/// against limits, and be allocated at once. What is not in use of it is let go of.
pub(crate) fn keep_little_memory() {
    if caller() != Some(Caller::Itself) {
        return;
    }
    KEEPS_MEMORY.store(true, Ordering::Relaxed);
    if let Some(ring) = own_ring() {
        let unused = ring.keep(FEW_CHUNKS);
        if !unused.is_empty() {
            // SAFETY: the end of the ring's own mapping, whole chunks, which nothing touches any more; nobody else was given them.
            unsafe { sys::unmap(ring.base().add(unused.start), unused.len()) };
        }
    }
}

/// Memory of our own, fresh and zeroed, of which little is ever touched.
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    let map = if KEEPS_MEMORY.load(Ordering::Relaxed) { sys::map_private_loosely } else { sys::map_private };
    let memory = map(bytes).ok()?;
    // SAFETY: the whole of our own new mapping, which a core dump need not carry.
    let _ = unsafe { sys::advise(memory, bytes, sys::Advice::DontDump) };
    Some(memory)
}

/// The ring, made at the first need: a forked child that only goes on to exec never needs one.
pub(crate) fn ring() -> Option<Ring> {
    OPENING.ring(own_ring, open_ring)
}

fn open_ring() -> Option<Ring> {
    let identity = identity();
    let pid = PID.load(Ordering::Relaxed);
    let hello = Hello {
        pid,
        ppid: PPID.load(Ordering::Relaxed),
        speaker: sys::getpid(),
        span_id: identity.span_id,
        ring_size: RING_SIZE as u64,
    };
    let chunks = if KEEPS_MEMORY.load(Ordering::Relaxed) { FEW_CHUNKS } else { CHUNK_COUNT };
    let ring = handshake::open_ring(identity.run, &hello, chunks).ok()?;
    // Two threads at once, which is rare: the loser's ring stays unused, and is drained empty.
    let kept = RING.compare_exchange(null_mut(), ring.base().as_ptr(), Ordering::AcqRel, Ordering::Acquire);
    if kept.is_ok() {
        let body = open_body(identity, pid, hello.ppid, ROLE_SELF);
        let _ = ring.append(&thread::current().slot, |record| {
            if processes_are_recorded() {
                record.open(identity.span_id, &body);
                describe::this_program(record);
            } else {
                record.resource(identity.span_id);
                if identity.flags & FLAG_HEARD_OF != 0 {
                    record.boolean(Key::Replaced, true);
                }
            }
        });
    }
    own_ring()
}

fn open_body(identity: &Identity, pid: u32, ppid: u32, role: u8) -> OpenBody {
    OpenBody {
        trace_id: identity.trace_id,
        parent_id: identity.parent_id,
        start_ns: identity.start_ns,
        pid,
        ppid,
        trace_flags: identity.trace_flags,
        role,
        remote_parent: identity.flags & FLAG_REMOTE_PARENT != 0,
    }
}

/// Writes a record about processes, where they are recorded.
pub(crate) fn record(write: impl FnOnce(&mut RecordWriter)) {
    if processes_are_recorded() {
        match ring() {
            Some(ring) => drop(ring.append(&thread::current().slot, write)),
            None => OPENING.miss(),
        }
    }
}

/// Writes a record of the program's own, or counts it as lost.
pub(crate) fn record_span(write: impl FnOnce(&mut RecordWriter)) {
    match ring() {
        Some(ring) => drop(ring.append(&thread::current().slot, write)),
        None => miss(),
    }
}

fn miss() {
    OPENING.miss();
    MISSED.fetch_add(1, Ordering::Relaxed);
}

/// A span of the program's own could not even be begun: it is counted with what is lost. A vfork child, which shares the
/// memory of its parent, is counted there.
pub(crate) fn miss_span() {
    if !is_recorded() {
        return;
    }
    match own_ring() {
        Some(ring) => ring.lose(1),
        None => miss(),
    }
}

/// Before the end, or another program: a process that could make no ring says how much it has lost because of that.
pub(crate) fn tell_missed() {
    // A ring that was made later has the number.
    if has_ring() || MISSED.load(Ordering::Relaxed) == 0 {
        return;
    }
    let missed = MISSED.swap(0, Ordering::Relaxed);
    let _ = handshake::tell_lost(identity().run, missed.into());
}

/// The process is about to go on with another program: what is open ends here, if that comes to be. Gives the identity for
/// that program.
pub(crate) fn note_exec() -> Identity {
    let identity = *identity();
    let Some(ring) = own_ring() else { return identity };
    let _ = ring.append(&thread::current().slot, |record| {
        record.amend(identity.span_id);
        record.integer(Key::ExecTime, sys::monotonic_ns() as i64);
    });
    Identity { flags: identity.flags | FLAG_HEARD_OF, ..identity }
}

/// Records a child that this process started, and what is known of its program.
pub(crate) fn record_child(child: &Identity, pid: u32, describe: impl FnOnce(&mut RecordWriter)) {
    net::child_began();
    let body = open_body(child, pid, PID.load(Ordering::Relaxed), ROLE_CHILD);
    record(|record| {
        record.open(child.span_id, &body);
        describe(record);
    });
}

/// The identity of a child that is about to be started. The context is the one that the host set for it, if it did.
pub(crate) fn child_identity(
    holder: Holder,
    context: Option<ddtrace::propagation::tracecontext::TraceParent>,
) -> Identity {
    let parent = identity();
    let mut child = Identity {
        flags: flags_of_child(),
        holder,
        span_id: SpanId(RANDOM.next()),
        parent_id: parent.span_id,
        start_ns: sys::monotonic_ns(),
        ..*parent
    };
    if let Some(context) = context {
        child.trace_id = context.trace_id;
        child.parent_id = context.span_id;
        child.trace_flags = context.flags;
    }
    child
}

/// Whether this process has a ring already.
pub(crate) fn has_ring() -> bool {
    own_ring().is_some()
}
