//! What is active on a thread, told to native code of the process (`preload`), so that what connections ask for is below it.
//!
//! Only where that is certain: in the context that the thread itself has, or [in another one](crate::places) of which it is known
//! whether the thread is in there, and not in greenlets that share a thread. Elsewhere native code is told that nothing is active.

use crate::engine::engine;
use crate::once::Once;
use crate::places;
use crate::span::Span;
use crate::store::{self, Active};
use crate::tasks;
use crate::variable;
use ddtrace::interface::{LEFT_ALL, LEFT_HTTP, LEFT_POSTGRES, LEFT_REDIS, LEFT_REQUESTS};
use ddtrace::settings::Native;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Nothing of what connections tell is wanted any more.
static IS_LEFT: AtomicBool = AtomicBool::new(false);

/// Whether there is anybody to be told.
pub(crate) fn is_wanted() -> bool {
    static IS_WANTED: OnceLock<bool> = OnceLock::new();
    let is_wanted = *IS_WANTED.get_or_init(|| {
        let engine = engine();
        engine.resolution.config.native != Native::Off && engine.records() && engine.tracer.has_native()
    });
    is_wanted && !IS_LEFT.load(Ordering::Relaxed)
}

/// Has connections tell nothing more of this, as it is told of here, or nobody is to; not where the user has asked for all
/// that they tell.
#[pyfunction]
pub(crate) fn leave(what: &str) -> PyResult<()> {
    let bits = match what {
        "requests" => LEFT_REQUESTS,
        "http" => LEFT_HTTP,
        "postgresql" => LEFT_POSTGRES,
        "redis" => LEFT_REDIS,
        "all" => LEFT_ALL,
        _ => return Err(PyValueError::new_err(String::from(what))),
    };
    let engine = engine();
    if engine.resolution.config.native == Native::Auto {
        engine.tracer.leave_natively(bits);
        if bits == LEFT_ALL {
            IS_LEFT.store(true, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// The program has a span of a request that has reached it: connections need tell no more of others.
pub(crate) fn leave_requests() {
    static ARE_LEFT: AtomicBool = AtomicBool::new(false);
    let engine = engine();
    if engine.resolution.config.native == Native::Auto && !ARE_LEFT.swap(true, Ordering::Relaxed) {
        engine.tracer.leave_natively(LEFT_REQUESTS);
    }
}

/// This is active from now on, in the context of that address.
pub(crate) fn publish(py: Python<'_>, active: &Active<'_>, context: usize) {
    if !is_wanted() {
        return;
    }
    let lent = match active {
        Active::Span(span) if !span.get().is_finished() && is_certain(py) => span.get().lent(),
        _ => 0,
    };
    publish_lent(py, lent, context);
}

/// What native code is to know of a span, for [`publish_lent`] on whatever thread; 0 for nothing.
pub(crate) fn lend(py: Python<'_>, span: &Span) -> u64 {
    if is_wanted() && is_certain(py) { span.lent() } else { 0 }
}

/// As [`publish`], for what was lent before: it may have ended.
pub(crate) fn publish_lent(py: Python<'_>, lent: u64, context: usize) {
    if variable::is_of_thread(py, context) {
        engine().tracer.activate_natively(lent);
    } else {
        engine().tracer.activate_natively(0);
        // A task with nothing active goes on with its request.
        let what = if lent == 0 { tasks::request_of_context(py).unwrap_or(0) } else { lent };
        places::publish(py, context, if leaves_contexts_entered(py) { 0 } else { what });
    }
}

/// The same is active in a context that was just copied from the current one, as that of a new task is; if that is nothing, it is
/// for this request (0: none).
pub(crate) fn publish_copy(py: Python<'_>, copy: &Bound<'_, PyAny>, request: u64) -> PyResult<()> {
    let what = match store::active(py)? {
        Active::Span(span) => span.get().lent(),
        _ => request,
    };
    if what != 0 && is_certain(py) && !leaves_contexts_entered(py) {
        places::publish(py, copy.as_ptr() as usize, what);
    }
    Ok(())
}

/// As [`publish`], for what has become active in a context of OpenTelemetry's API, if that is a span of ours.
pub(crate) fn publish_span(span: Option<&Bound<'_, Span>>, py: Python<'_>, context: usize) {
    if is_wanted() {
        let active = span.map_or(Active::Nothing, |span| Active::Span(span.clone()));
        publish(py, &active, context);
    }
}

fn is_certain(py: Python<'_>) -> bool {
    is_main_greenlet(py).unwrap_or(false)
}

/// `sys.modules`: which modules there are is asked at each span.
pub(crate) fn modules(py: Python<'_>) -> PyResult<&Bound<'_, PyDict>> {
    static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let find = || Ok::<_, PyErr>(py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?.unbind());
    Ok(MODULES.get_or_make(py, find)?.bind(py))
}

/// Whether a thread may do something else in the midst of a context that it has entered: loops of greenlets switch there.
fn leaves_contexts_entered(py: Python<'_>) -> bool {
    let is_there = |name| modules(py).and_then(|modules| modules.contains(name)).unwrap_or(true);
    is_there(intern!(py, "gevent")) || is_there(intern!(py, "eventlet"))
}

/// Whether this is no greenlet, or the one that its thread began with.
fn is_main_greenlet(py: Python<'_>) -> PyResult<bool> {
    static CURRENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let current = match CURRENT.get(py) {
        Some(current) => current,
        None => {
            let Some(module) = modules(py)?.get_item(intern!(py, "greenlet"))? else { return Ok(true) };
            // It may be about to be imported.
            let Ok(current) = module.getattr(intern!(py, "getcurrent")) else { return Ok(false) };
            CURRENT.get_or_init(py, || current.unbind())
        }
    };
    Ok(current.bind(py).call0()?.getattr(intern!(py, "parent"))?.is_none())
}

/// Stands for `attach` of the context of OpenTelemetry's API. Being no function of Python's it is in no traceback.
#[pyclass(frozen, module = "ddtrace_run")]
pub(crate) struct Attach;

#[pymethods]
impl Attach {
    fn __call__<'py>(&self, context: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let binding = crate::otel::tracer::bound(context.py())?;
        let token = binding.attach(context)?;
        binding.publish_current(context.py(), binding.variable().context_of(&token));
        Ok(token)
    }
}

/// As [`Attach`], for `detach`.
#[pyclass(frozen, module = "ddtrace_run")]
pub(crate) struct Detach;

#[pymethods]
impl Detach {
    fn __call__(&self, token: &Bound<'_, PyAny>) -> PyResult<()> {
        let binding = crate::otel::tracer::bound(token.py())?;
        binding.detach(token)?;
        binding.publish_current(token.py(), binding.variable().context_of(token));
        Ok(())
    }
}

/// What takes the place of `attach` and `detach` of the context of OpenTelemetry's API; None where nobody is to be told.
#[pyfunction]
pub(crate) fn telling_runtime(py: Python<'_>) -> PyResult<Option<(Py<Attach>, Py<Detach>)>> {
    if !is_wanted() {
        return Ok(None);
    }
    Ok(Some((Py::new(py, Attach)?, Py::new(py, Detach)?)))
}
