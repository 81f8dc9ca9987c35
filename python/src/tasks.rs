//! Tasks of asyncio that are made while the head of a request has just been read: they belong to that request, whatever their
//! thread serves when they go on (`ddtrace_run/_finder.py`).

use crate::engine::engine;
use crate::once::Once;
use crate::published::{self, is_wanted, modules};
use crate::spared::spared;
use crate::store::{self, Active};
use crate::variable::Variable;
use ddtrace::tracer::NativeRequest;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

/// So many callers are looked at: between a loop and a protocol's callback there are a few, with encryption some more.
const MOST_CALLERS: usize = 64;

/// Where a task has its request: the handle of that.
pub(crate) fn variable(py: Python<'_>) -> PyResult<&'static Variable> {
    static REQUEST: PyOnceLock<Variable> = PyOnceLock::new();
    REQUEST.get_or_make(py, || Variable::new(py, "ddtrace_run_request"))
}

/// The request that what begins here without a parent is, or belongs to.
pub(crate) fn request_here(py: Python<'_>, peer: Option<SocketAddr>) -> NativeRequest {
    if !is_wanted() {
        return NativeRequest::OfThread;
    }
    let found = find_request(py).unwrap_or(NativeRequest::Unknown);
    match (found, peer) {
        (NativeRequest::Known(_), _) | (_, None) => found,
        // Servers that have made a task before the head arrived, that have read it in another thread, or in another greenlet of
        // this one, know over which connection.
        (_, Some(peer)) => match engine().tracer.request_from(peer) {
            0 => found,
            number => NativeRequest::Known(number),
        },
    }
}

/// The handle of the request that the current task belongs to, while that is open.
pub(crate) fn request_of_context(py: Python<'_>) -> Option<u64> {
    let known = variable(py).and_then(|variable| variable.get(py)).ok()??.extract::<u64>().ok()?;
    engine().tracer.is_open_natively(known).then_some(known)
}

/// The handle of the request that what is handed to another thread here is for; 0 where nobody knows.
pub(crate) fn request_to_hand_on(py: Python<'_>) -> u64 {
    if !is_wanted() {
        return 0;
    }
    match find_request(py) {
        Ok(NativeRequest::Known(number)) => number,
        Ok(NativeRequest::OfThread) => engine().tracer.served_natively(),
        _ => 0,
    }
}

fn find_request(py: Python<'_>) -> PyResult<NativeRequest> {
    if let Some(number) = request_of_context(py) {
        return Ok(NativeRequest::Known(number));
    }
    // On the thread of a loop the work of many takes turns.
    Ok(if running_loop(py)?.is_some() && !has_just_read(py)? {
        NativeRequest::Unknown
    } else {
        NativeRequest::OfThread
    })
}

/// The event loop that runs on this thread, if one does.
fn running_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let running = match RUNNING.get(py) {
        Some(running) => running,
        None => {
            let Some(module) = modules(py)?.get_item(intern!(py, "_asyncio"))? else { return Ok(None) };
            let running = module.getattr(intern!(py, "_get_running_loop"))?.unbind();
            RUNNING.get_or_init(py, || running)
        }
    };
    Ok(Some(running.bind(py).call0()?).filter(|running| !running.is_none()))
}

/// uvloop's loops have no frames of their own.
fn is_of_uvloop(running: &Bound<'_, PyAny>) -> PyResult<bool> {
    let module: String = running.get_type().getattr(intern!(running.py(), "__module__"))?.extract()?;
    Ok(module.starts_with("uvloop"))
}

/// Whether the loop has called us because something has arrived at a connection, and nothing else came in between: then the
/// request that the thread serves is the one that has arrived.
fn has_just_read(py: Python<'_>) -> PyResult<bool> {
    let Some(running) = running_loop(py)? else { return Ok(false) };
    let has_no_frames = is_of_uvloop(&running)?;
    let mut frame = py.import("sys")?.call_method1(intern!(py, "_getframe"), (0,)).ok();
    for _ in 0..MOST_CALLERS {
        let Some(this) = frame.filter(|frame| !frame.is_none()) else { return Ok(false) };
        let code = this.getattr(intern!(py, "f_code"))?;
        let name = code.getattr(intern!(py, "co_name"))?.cast_into::<PyString>()?;
        let is_end = name == "_run";
        if is_end || name == "_read_ready" {
            let file: String = code.getattr(intern!(py, "co_filename"))?.extract()?;
            if file.ends_with("asyncio/selector_events.py") {
                return Ok(true);
            }
            if is_end && file.ends_with("asyncio/events.py") {
                return Ok(false);
            }
        }
        let caller = this.getattr(intern!(py, "f_back"))?;
        if has_no_frames && (name == "data_received" || name == "buffer_updated") {
            // What is below it then is what runs the loop, and never a task.
            return Ok(!caller.is_none() && !is_of_task(&caller)?);
        }
        frame = Some(caller);
    }
    Ok(false)
}

/// Whether a frame is that of a coroutine or a generator.
fn is_of_task(frame: &Bound<'_, PyAny>) -> PyResult<bool> {
    const GENERATOR: u32 = 0x20;
    const COROUTINE: u32 = 0x80;
    const ITERABLE_COROUTINE: u32 = 0x100;
    const ASYNC_GENERATOR: u32 = 0x200;
    let code = frame.getattr(intern!(frame.py(), "f_code"))?;
    let flags: u32 = code.getattr(intern!(frame.py(), "co_flags"))?.extract()?;
    Ok(flags & (GENERATOR | COROUTINE | ITERABLE_COROUTINE | ASYNC_GENERATOR) != 0)
}

/// Tells native code what a new task is for: what is active here, or else the request of this handle.
fn tell_of(task: &Bound<'_, PyAny>, request: u64) -> PyResult<()> {
    let py = task.py();
    // Mostly there is nothing to tell of.
    if request == 0 && !matches!(store::active(py)?, Active::Span(_)) {
        return Ok(());
    }
    if let Some(context) = task.getattr_opt(intern!(py, "get_context"))? {
        return published::publish_copy(py, &context.call0()?, request);
    }
    // Before CPython 3.12 a task tells nobody but the collector of garbage what its context is.
    let class = py.import("_contextvars")?.getattr(intern!(py, "Context"))?;
    for held in py.import("gc")?.call_method1(intern!(py, "get_referents"), (task,))?.try_iter()? {
        let held = held?;
        if held.get_type().is(&class) {
            return published::publish_copy(py, &held, request);
        }
    }
    Ok(())
}

/// Another tracer has come into the program: what it makes of functions is not to meet one that is none.
static HAVE_STOPPED: AtomicBool = AtomicBool::new(false);

/// Stands for the method `create_task` of asyncio's loops. Being no function of Python's it is in no traceback.
#[pyclass(frozen, weakref, dict, module = "ddtrace_run")]
pub(crate) struct CreateTask {
    original: Py<PyAny>,
}

#[pymethods]
impl CreateTask {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.original)
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let original = self.original.bind(py);
        // A context that is given is somebody else's, who decides what is in it.
        let is_given = match kwargs {
            Some(kwargs) => kwargs.get_item(intern!(py, "context"))?.is_some_and(|context| !context.is_none()),
            None => false,
        };
        if is_given || !is_wanted() {
            return original.call(args, kwargs);
        }
        let request = engine().tracer.served_natively();
        if request == 0 || !spared(py, has_just_read(py))? {
            let task = original.call(args, kwargs)?;
            spared(py, tell_of(&task, 0))?;
            return Ok(task);
        }
        let variable = variable(py)?;
        let token = variable.set(&request.into_pyobject(py)?.into_any())?;
        let task = original.call(args, kwargs);
        spared(py, variable.reset(&token))?;
        let task = task?;
        spared(py, tell_of(&task, request))?;
        Ok(task)
    }

    fn __get__<'py>(
        slf: Bound<'py, Self>,
        instance: &Bound<'py, PyAny>,
        _owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if instance.is_none() {
            return Ok(slf.into_any());
        }
        let py = instance.py();
        py.import("types")?.getattr(intern!(py, "MethodType"))?.call1((slf, instance))
    }

    /// What is asked of the method is the method's.
    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        if name == "__wrapped__" {
            return Ok(self.original.bind(py).clone());
        }
        self.original.bind(py).getattr(name)
    }

    /// Whoever asks whether it is a function is told so.
    #[getter]
    fn __class__<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.original.bind(py).get_type().into_any()
    }

    #[getter]
    fn __doc__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.original.bind(py).getattr("__doc__")
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.original.bind(py).repr()?.to_string())
    }
}

/// The classes whose objects make tasks, as far as their modules are ready.
fn loops(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyAny>>> {
    let mut found = Vec::new();
    for (module, class) in [("asyncio.base_events", "BaseEventLoop"), ("uvloop", "Loop")] {
        if let Some(module) = modules(py)?.get_item(module)?
            && let Some(class) = module.getattr_opt(class)?
        {
            found.push(class);
        }
    }
    Ok(found)
}

/// The loops that there are make tasks that know of which request they are.
pub(crate) fn take_part(py: Python<'_>) -> PyResult<()> {
    loops(py)?.iter().try_for_each(take_part_in)
}

/// They do so as without us, from now on.
pub(crate) fn let_go(py: Python<'_>) -> PyResult<()> {
    HAVE_STOPPED.store(true, Ordering::Relaxed);
    for class in loops(py)? {
        if let Ok(ours) = class.getattr("create_task")?.cast::<CreateTask>() {
            class.setattr("create_task", ours.get().original.bind(py))?;
        }
    }
    Ok(())
}

/// `asyncio.base_events` or `uvloop` has been imported, or this module after it.
#[pyfunction]
pub(crate) fn hand_on_to_tasks(module: &Bound<'_, PyAny>) -> PyResult<()> {
    let class = match module.getattr_opt("BaseEventLoop")? {
        Some(class) => class,
        None => module.getattr("Loop")?,
    };
    take_part_in(&class)
}

fn take_part_in(class: &Bound<'_, PyAny>) -> PyResult<()> {
    if HAVE_STOPPED.load(Ordering::Relaxed) {
        return Ok(());
    }
    // Nothing is to begin here before the program makes use of an API, unless it was asked for.
    if std::env::var_os("DD_TRACE_NATIVE_ENABLED").is_some() && !is_wanted() {
        return Ok(());
    }
    let original = class.getattr("create_task")?;
    if original.cast::<CreateTask>().is_err() {
        class.setattr("create_task", Py::new(class.py(), CreateTask { original: original.unbind() })?)?;
    }
    Ok(())
}
