//! A request whose code runs by turns: as the application is called, and each time that a part of its answer is asked for. What
//! it makes active is so in its turns only. Between them, and when nobody asks any more, the thread is somebody else's: the
//! server's, the next request's, or a test's that keeps the answer.

use super::Call;
use super::call::taken;
use crate::garbage::visit_locked;
use crate::once::Once;
use crate::store::{self, Active};
use ddtrace::tracer::now_unix_ns;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::collections::BTreeMap;
use std::mem;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What there is of a request between its turns.
#[derive(Default)]
pub(super) struct Turns {
    /// What is active in the next one.
    next: Mutex<Option<Py<PyAny>>>,
    /// When the last one was over; 0 before that.
    over_ns: AtomicU64,
}

impl Turns {
    /// Tells the garbage collector of what it holds.
    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit_locked(&self.next, |next| visit.call(next))
    }

    /// Lets go of that: nobody has the request any more.
    pub(super) fn forget(&self) {
        let next = taken(&self.next).take();
        drop(next);
    }
}

/// Requests whose answers somebody has, by the addresses of their spans. Never locked while code of the program's can run, and
/// never waited for: in a forked child, whoever holds it may not be there.
static KEPT: Mutex<BTreeMap<usize, Py<Call>>> = Mutex::new(BTreeMap::new());

/// The program ends: what Python does not take apart then would never be over.
#[pyfunction]
fn end_kept(py: Python<'_>) {
    let Ok(kept) = KEPT.try_lock().map(|mut kept| mem::take(&mut *kept)) else { return };
    for call in kept.into_values().map(|call| call.into_bound(py)) {
        let this = call.get();
        // One whose code runs is broken off, of which the end of the process tells.
        if taken(&this.turns.next).is_some() && this.span.get().trace().is_of_this_process() {
            let _ = this.finish_in_finalizer(py);
        }
    }
}

/// Somebody has the answer of a request from now on.
pub(super) fn keep(call: &Bound<'_, Call>) -> PyResult<()> {
    static IS_SEEN_TO: PyOnceLock<()> = PyOnceLock::new();
    let py = call.py();
    IS_SEEN_TO.get_or_make(py, || {
        let end = wrap_pyfunction!(end_kept, py)?;
        py.import("atexit")?.call_method1("register", (end,)).map(drop)
    })?;
    let stale = KEPT.try_lock().ok().and_then(|mut kept| kept.insert(call.get().place(), call.clone().unbind()));
    drop(stale.map(|stale| stale.into_bound(py)));
    Ok(())
}

impl Call {
    fn place(&self) -> usize {
        self.span.as_ptr() as usize
    }

    /// There are no more turns. Gives when the last one was over.
    pub(super) fn end_turns(&self, py: Python<'_>) -> Option<u64> {
        let over_ns = self.turns.over_ns.load(Ordering::Relaxed);
        if over_ns == 0 {
            return None;
        }
        let next = taken(&self.turns.next).take();
        let kept = KEPT.try_lock().ok().and_then(|mut kept| kept.remove(&self.place()));
        drop((next.map(|next| next.into_bound(py)), kept.map(|kept| kept.into_bound(py))));
        Some(over_ns)
    }

    /// What was active before it began.
    pub(super) fn before<'py>(&self, py: Python<'py>) -> Active<'py> {
        Active::of(self.before.as_ref().map(|before| before.bind(py)))
    }

    /// Its code runs. Gives what was active before; `None` where that is to stay so.
    pub(super) fn step_in<'py>(&self, py: Python<'py>) -> PyResult<Option<Active<'py>>> {
        let next = taken(&self.turns.next).take().map(|next| next.into_bound(py));
        let Some(next) = next.filter(|_| !self.span.get().is_finished()) else { return Ok(None) };
        let before = store::active(py)?;
        store::activate(py, &Active::of(Some(&next)).here()?)?;
        Ok(Some(before))
    }

    /// It does so no more for now: what was active before is so again. What is no part of the request stays active.
    pub(super) fn step_out(&self, py: Python<'_>, before: &Active<'_>) -> PyResult<()> {
        self.turns.over_ns.store(now_unix_ns(), Ordering::Relaxed);
        let active = store::active(py)?;
        if !self.is_around(&active) {
            return Ok(());
        }
        store::give_back(self.span.bind(py), before)?;
        let stale = taken(&self.turns.next).replace(active.object(py).unbind());
        drop(stale.map(|stale| stale.into_bound(py)));
        Ok(())
    }

    /// Whether that is the request, or a part of it.
    pub(super) fn is_around(&self, active: &Active<'_>) -> bool {
        let mut active = active.clone();
        loop {
            active = match active {
                Active::Nothing => return false,
                Active::Context(context) => {
                    let trace_id = self.span.get().trace().trace_id();
                    return context.get().trace().is_some_and(|(trace, _)| trace.trace_id() == trace_id);
                }
                Active::Span(span) if span.is(&self.span) => return true,
                Active::Span(span) => span.get().above(span.py()),
            };
        }
    }
}
