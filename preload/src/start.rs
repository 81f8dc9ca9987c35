//! The constructor: decides once, early and cheaply, whether this process is recorded.

use crate::environment::{self, Found};
use crate::host::{Auxv, own_library_path};
use crate::process::{self, RANDOM};
use crate::{describe, libraries, net, table, tracer};
use ddtrace::denylist::is_denied;
use ddtrace::identity::{FLAG_FORCED, FLAG_PROCESS_SPANS, FLAG_SANDBOXED, FLAGS_OF_HOLDER, Holder, Identity};
use ddtrace::ids::SpanId;
use ddtrace::propagation::tracecontext::TraceParent;
use ddtrace::sys;

/// Runs before the host's `main`, and before or after the constructors of other libraries.
///
/// # Safety
///
/// Called by the dynamic loader, once. glibc gives the three arguments of `main`, musl gives nothing.
pub(crate) unsafe extern "C" fn constructor(argc: usize, argv: *const *const u8, envp: *const *const u8) {
    // Only glibc's arguments stand in this relation; musl leaves whatever the registers held.
    let genuine = argc < 1 << 24
        && !argv.is_null()
        && envp as usize == (argv as usize).wrapping_add(argc.wrapping_add(1).wrapping_mul(size_of::<usize>()));
    // SAFETY: genuine arguments are the kernel's own arrays.
    let auxv = if genuine { Some(unsafe { Auxv::behind(envp) }) } else { Auxv::find() };
    let Some(auxv) = auxv else { return };
    if genuine {
        table::remember_environment(envp);
    }
    // SAFETY: no library is being unloaded while constructors run.
    unsafe { table::resolve(&auxv) };
    if auxv.secure {
        return;
    }
    let envp = if genuine { envp } else { table::environ() };
    if envp.is_null() {
        return;
    }
    // SAFETY: the environment as the kernel laid it down; nobody has changed it before main.
    let found = unsafe { environment::scan(envp) };
    let Some(identity) = Identity::parse(found.identity) else { return };
    if identity.flags & FLAG_SANDBOXED != 0 {
        return;
    }
    let argv = if genuine { argv } else { arguments_before(envp) };
    describe::remember(argv, auxv.program_name as *const u8);
    let mut path = [0u8; 1024];
    let executable = describe::executable(&mut path);
    let forced = identity.flags & FLAG_FORCED != 0 && identity.is_of(sys::getpid(), sys::getppid());
    if !forced && is_denied(executable, found.denylist) {
        return;
    }
    let own = own_identity(identity, &found);
    let context_is_ours = own.flags & FLAG_PROCESS_SPANS != 0 && is_ours(&found, &identity, &own);
    // SAFETY: as for `resolve`; the process has one thread.
    unsafe { environment::remember(&found, own_library_path(&auxv), context_is_ours) };
    process::arm(own);
    if tracer::wants_connections() {
        net::enable(executable);
        libraries::hook();
    }
}

/// Whose the inherited identity is: this process's own, or that of an ancestor whose child this is.
fn own_identity(inherited: Identity, found: &Found<'_>) -> Identity {
    let (pid, ppid) = (sys::getpid(), sys::getppid());
    if inherited.is_of(pid, ppid) {
        return Identity { holder: Holder::Process(pid), ..inherited };
    }
    let mut own = Identity {
        flags: inherited.flags & !FLAGS_OF_HOLDER,
        holder: Holder::Process(pid),
        span_id: SpanId(RANDOM.next()),
        parent_id: inherited.span_id,
        start_ns: sys::monotonic_ns(),
        ..inherited
    };
    // A TRACEPARENT that is not the ancestor's own was set by its program: a span of that program is the parent.
    if let Some(context) = found.context.filter(|context| context.span_id != inherited.span_id) {
        own.trace_id = context.trace_id;
        own.parent_id = context.span_id;
        own.trace_flags = context.flags;
    }
    own
}

/// Whether the context in the environment is the tracer's, to be kept up to date: any but one that the program before
/// set for this one in the same process (`env TRACEPARENT=… program`).
fn is_ours(found: &Found<'_>, inherited: &Identity, own: &Identity) -> bool {
    let continued = own.span_id == inherited.span_id;
    let known = |context: TraceParent| [own.span_id, own.parent_id].contains(&context.span_id);
    !continued || found.context.is_none_or(known)
}

/// Where a libc gives constructors no arguments: they lie right before the environment, behind their count.
fn arguments_before(envp: *const *const u8) -> *const *const u8 {
    const MOST: usize = 1 << 20;
    let words = envp.cast::<usize>();
    for count in 0..MOST {
        // SAFETY: below the environment lie a null, the arguments and their count; the loop stops at the count, which
        // cannot be mistaken for a pointer.
        if unsafe { *words.sub(count.wrapping_add(2)) } == count {
            return words.wrapping_sub(count.wrapping_add(1)).cast();
        }
    }
    core::ptr::null()
}
