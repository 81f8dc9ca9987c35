//! A ring of the program's own, where the library of `ddtrace-run` is not in it: static programs, mostly.

use super::process::Facts;
use super::{Absent, Process};
use crate::denylist::is_denied;
use crate::handshake::{self, Hello};
use crate::identity::{
    FLAG_FORCED, FLAG_PROCESS_SPANS, FLAG_REMOTE_PARENT, FLAG_SANDBOXED, FLAGS_OF_HOLDER, Holder, Identity, VARIABLE,
};
use crate::ids::SpanId;
use crate::propagation::tracecontext::TraceParent;
use crate::random::Random;
use crate::record::{OpenBody, ROLE_SELF, RecordWriter};
use crate::ring::layout::{CHUNK_COUNT, RING_SIZE};
use crate::ring::{Ring, ThreadSlot};
use crate::sampling::AgentRates;
use crate::scrub::ArgScrubber;
use crate::semconv::Key;
use crate::sys;
use core::cell::Cell;
use core::ffi::c_ulong;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::vec::Vec;

/// The most bytes of arguments that are recorded; their number is recorded in any case.
const ARGUMENT_BYTES: usize = 8 * 1024;

/// What a thread keeps between two records.
struct Thread {
    /// The process that the slot is of: a forked child's only thread still has that of its parent.
    pid: Cell<u32>,
    slot: ThreadSlot,
}

std::thread_local! {
    static THREAD: Thread = const { Thread { pid: Cell::new(0), slot: ThreadSlot::new() } };
}

/// The run that this process takes part in.
#[derive(Debug)]
pub(super) struct Run(());

impl Run {
    /// Takes part in the run that the environment names.
    pub(super) fn join() -> Result<(Run, Process), Absent> {
        let value = std::env::var_os(OsStr::from_bytes(VARIABLE)).unwrap_or_default();
        let inherited = Identity::parse(value.as_bytes()).ok_or(Absent::NotLaunched)?;
        if is_privileged() {
            return Err(Absent::Privileged);
        }
        if inherited.flags & FLAG_SANDBOXED != 0 {
            return Err(Absent::Sandboxed);
        }
        let (pid, ppid) = (sys::getpid(), sys::getppid());
        let forced = inherited.flags & FLAG_FORCED != 0 && inherited.is_of(pid, ppid);
        let mut path = [0u8; 1024];
        let executable = sys::readlink(c"/proc/self/exe", &mut path).unwrap_or_default();
        let denylist = std::env::var_os("DD_TRACE_DENYLIST").unwrap_or_default();
        if !forced && is_denied(executable, denylist.as_bytes()) {
            return Err(Absent::Denied);
        }
        let context = std::env::var_os("TRACEPARENT").and_then(|text| TraceParent::parse(text.as_bytes()));
        let process = of(own_identity(inherited, pid, ppid, context));
        open_ring(&process).map_err(Absent::NoRing)?;
        Ok((Run(()), process))
    }

    pub(super) fn record(&self, process: &'static Process, build: impl FnOnce(&mut RecordWriter)) -> bool {
        let ring = ring_of(process);
        if ring.is_none() {
            process.opening.miss();
        }
        ring.is_some_and(|ring| append(&ring, process, build))
    }
}

fn append(ring: &Ring, process: &Process, build: impl FnOnce(&mut RecordWriter)) -> bool {
    THREAD.with(|thread| {
        if thread.pid.replace(process.pid()) != process.pid() {
            thread.slot.reset();
        }
        ring.append(&thread.slot, build).is_ok()
    })
}

/// A forked child of a process with a ring of its own. It makes its ring when it first has something to say.
pub(super) fn forked(parent: &Process) -> Process {
    let Some(identity) = parent.identity else { return Process::untold(parent) };
    let pid = sys::getpid();
    of(Identity {
        flags: identity.flags & !FLAGS_OF_HOLDER,
        holder: Holder::Process(pid),
        span_id: SpanId(Random::new().next()),
        parent_id: identity.span_id,
        start_ns: sys::monotonic_ns(),
        ..identity
    })
}

/// Whose the inherited identity is: this process's own, or that of an ancestor whose child this is.
fn own_identity(inherited: Identity, pid: u32, ppid: u32, context: Option<TraceParent>) -> Identity {
    if inherited.is_of(pid, ppid) {
        return Identity { holder: Holder::Process(pid), ..inherited };
    }
    let mut own = Identity {
        flags: inherited.flags & !FLAGS_OF_HOLDER,
        holder: Holder::Process(pid),
        span_id: SpanId(Random::new().next()),
        parent_id: inherited.span_id,
        start_ns: sys::monotonic_ns(),
        ..inherited
    };
    // A TRACEPARENT that is not the ancestor's own was set by its program: a span of that program is the parent.
    if let Some(context) = context.filter(|context| context.span_id != inherited.span_id) {
        own.trace_id = context.trace_id;
        own.parent_id = context.span_id;
        own.trace_flags = context.flags;
    }
    own
}

fn of(identity: Identity) -> Process {
    let (Holder::Process(pid) | Holder::ChildOf(pid)) = identity.holder;
    let mut process = Process::new(Facts {
        pid,
        trace_id: identity.trace_id,
        span_id: identity.span_id,
        trace_flags: identity.trace_flags,
        is_span: identity.is_parent(),
    });
    process.identity = Some(identity);
    process
}

/// The Agent's sampling rates, as the sidecar has told them.
pub(super) fn rates_of(process: &Process) -> Option<impl AgentRates + use<>> {
    ring_of(process).map(Ring::rates)
}

fn ring_of(process: &Process) -> Option<Ring> {
    let there = || {
        let base = NonNull::new(process.ring.load(Ordering::Acquire))?;
        // SAFETY: `handshake::open_ring` initialised it in this process, and it is never unmapped.
        Some(unsafe { Ring::attach(base) })
    };
    process.opening.ring(there, || open_ring(process).ok())
}

/// Makes the ring, and tells of the process where processes are spans.
fn open_ring(process: &Process) -> Result<Ring, handshake::Refusal> {
    let refused = handshake::Refusal::Socket(sys::Errno::ENOENT);
    let identity = process.identity.ok_or(refused)?;
    let (pid, ppid) = (process.pid(), sys::getppid());
    let hello = Hello { pid, ppid, speaker: pid, span_id: identity.span_id, ring_size: RING_SIZE as u64 };
    let ring = handshake::open_ring(identity.run, &hello, CHUNK_COUNT)?;
    // Two threads at once, which is rare: the loser's ring stays unused, and is drained empty.
    match process.ring.compare_exchange(
        core::ptr::null_mut(),
        ring.base().as_ptr(),
        Ordering::AcqRel,
        Ordering::Acquire,
    ) {
        Ok(_) => {
            if identity.flags & FLAG_PROCESS_SPANS != 0 && ring.wants_process_spans() {
                append(&ring, process, |record| tell(record, &identity, pid, ppid));
            }
            Ok(ring)
        }
        // SAFETY: as in `ring_of`.
        Err(other) => NonNull::new(other).map(|base| unsafe { Ring::attach(base) }).ok_or(refused),
    }
}

/// Tells of the process as the library of `ddtrace-run` would.
fn tell(record: &mut RecordWriter, identity: &Identity, pid: u32, ppid: u32) {
    let body = OpenBody {
        trace_id: identity.trace_id,
        parent_id: identity.parent_id,
        start_ns: identity.start_ns,
        pid,
        ppid,
        trace_flags: identity.trace_flags,
        role: ROLE_SELF,
        remote_parent: identity.flags & FLAG_REMOTE_PARENT != 0,
    };
    record.open(identity.span_id, &body);
    let mut buffer = [0u8; 1024];
    if let Ok(path) = sys::readlink(c"/proc/self/exe", &mut buffer) {
        record.text(Key::ExecutablePath, path);
    }
    if let Ok(directory) = sys::getcwd(&mut buffer) {
        record.text(Key::WorkingDirectory, directory);
    }
    let arguments: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    record.integer(Key::ArgsCount, arguments.len() as i64);
    record.text_list(Key::CommandArgs, |list| {
        let mut scrubber = ArgScrubber::new();
        let floor = list.room().saturating_sub(ARGUMENT_BYTES);
        for text in &arguments {
            if list.room().saturating_sub(text.len() + 64) < floor {
                break;
            }
            for piece in scrubber.scrub(text).pieces() {
                list.push(piece);
            }
            list.end_item();
        }
    });
}

/// Whether the kernel gave the program more rights than who started it has.
fn is_privileged() -> bool {
    const AT_SECURE: c_ulong = 23;
    unsafe extern "C" {
        safe fn getauxval(kind: c_ulong) -> c_ulong;
    }
    getauxval(AT_SECURE) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TraceId;

    fn identity(holder: Holder) -> Identity {
        Identity {
            run: 1,
            flags: FLAG_PROCESS_SPANS | FLAG_REMOTE_PARENT,
            holder,
            trace_flags: 1,
            trace_id: TraceId(2),
            span_id: SpanId(3),
            parent_id: SpanId(4),
            start_ns: 5,
        }
    }

    #[test]
    fn the_holder_keeps_the_span_and_a_descendant_gets_its_own() {
        let own = own_identity(identity(Holder::ChildOf(9)), 10, 9, None);
        assert_eq!((own.holder, own.span_id, own.parent_id), (Holder::Process(10), SpanId(3), SpanId(4)));
        let own = own_identity(identity(Holder::Process(9)), 10, 9, None);
        assert_eq!((own.holder, own.parent_id, own.flags), (Holder::Process(10), SpanId(3), FLAG_PROCESS_SPANS));
        assert_ne!(own.span_id, SpanId(3));
        let context = TraceParent { trace_id: TraceId(7), span_id: SpanId(8), flags: 0 };
        let own = own_identity(identity(Holder::Process(9)), 10, 9, Some(context));
        assert_eq!((own.trace_id, own.parent_id, own.trace_flags), (TraceId(7), SpanId(8), 0));
    }

    #[test]
    fn without_a_sidecar_there_is_no_ring() {
        let process = of(identity(Holder::Process(sys::getpid())));
        assert!((0..5).all(|_| ring_of(&process).is_none()));
    }
}
