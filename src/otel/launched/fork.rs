//! A forked child knows what its parent knew. So what is decided by then is the same in both: before a fork, the trace of
//! the span that is active on the forking thread is decided for good, as if its context left the process.

use crate::otel::carried::active;
use crate::tracer::Tracer;
use core::ffi::c_int;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, Once, Weak};
use std::vec::Vec;

/// The tracers of this process.
static TRACERS: Mutex<Vec<Weak<Tracer>>> = Mutex::new(Vec::new());

type Handler = Option<unsafe extern "C" fn()>;

unsafe extern "C" {
    /// POSIX; there is none in the standard library.
    fn pthread_atfork(prepare: Handler, parent: Handler, child: Handler) -> c_int;
}

/// Lets a tracer decide before forks, as long as it lives.
pub(in crate::otel) fn decide_before_forks(tracer: &Arc<Tracer>) {
    static REGISTERED: Once = Once::new();
    if let Ok(mut tracers) = TRACERS.try_lock() {
        tracers.retain(|known| known.strong_count() > 0);
        tracers.push(Arc::downgrade(tracer));
    }
    // Without memory for it, a fork is as it would be without.
    // SAFETY: a function without arguments that never unwinds, and stays as long as what it is registered for.
    REGISTERED.call_once(|| _ = unsafe { pthread_atfork(Some(before_fork), None, None) });
}

/// Called by `fork` in the thread that forks, before it does.
unsafe extern "C" fn before_fork() {
    // A thread that is about to end has no context any more, and the API panics then.
    let _ = catch_unwind(|| {
        let span = Context::map_current(|context| context.span().span_context().clone());
        if !span.is_valid() || span.is_remote() {
            return;
        }
        // Nobody is waited for: whoever has it is this thread, or will be gone in the child.
        let Ok(tracers) = TRACERS.try_lock() else { return };
        let tracers: Vec<_> = tracers.iter().filter_map(Weak::upgrade).collect();
        for tracer in tracers {
            if let Some(trace) = active(&tracer, &span) {
                let _ = trace.leaving();
            }
        }
    });
}
