//! What `start_as_current_span` gives: a context manager, and a decorator of functions and coroutines.

use super::span::{Conduct, OtelSpan};
use super::tracer::{Given, OtelTracer, bound};
use crate::ffi::fast;
use crate::garbage::visit_locked;
use crate::once::Once;
use crate::span::{Span, left};
use crate::spared::is_nothing;
use crate::tracer::given_up;
use pyo3::PyTraverseError;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

type Kept = Option<Py<PyAny>>;

/// A span that begins when a block is entered.
#[pyclass(frozen, module = "ddtrace_run.otel")]
pub(crate) struct Scope {
    tracer: Py<OtelTracer>,
    name: Kept,
    context: Kept,
    kind: Kept,
    attributes: Kept,
    links: Kept,
    start_time: Kept,
    conduct: Conduct,
    /// The span, and what takes back that it is the current one.
    entered: Mutex<Option<(Py<OtelSpan>, Py<PyAny>)>>,
}

impl Scope {
    pub(super) fn new(tracer: Bound<'_, OtelTracer>, given: &Given<'_, '_>) -> Scope {
        let keep = |value: &Option<Borrowed<'_, '_, PyAny>>| value.as_deref().map(|value| value.clone().unbind());
        Scope {
            tracer: tracer.unbind(),
            name: keep(&given.name),
            context: keep(&given.context),
            kind: keep(&given.kind),
            attributes: keep(&given.attributes),
            links: keep(&given.links),
            start_time: keep(&given.start_time),
            conduct: given.conduct,
            entered: Mutex::new(None),
        }
    }

    fn given<'a, 'py>(&'a self, py: Python<'py>) -> Given<'a, 'py> {
        fn lent<'a, 'py>(py: Python<'py>, kept: &'a Kept) -> Option<Borrowed<'a, 'py, PyAny>> {
            kept.as_ref().map(|kept| kept.bind_borrowed(py))
        }
        Given {
            name: lent(py, &self.name),
            context: lent(py, &self.context),
            kind: lent(py, &self.kind),
            attributes: lent(py, &self.attributes),
            links: lent(py, &self.links),
            start_time: lent(py, &self.start_time),
            conduct: self.conduct,
        }
    }

    fn entered(&self) -> MutexGuard<'_, Option<(Py<OtelSpan>, Py<PyAny>)>> {
        self.entered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<(Py<OtelSpan>, Py<PyAny>)> {
        self.entered().take()
    }
}

/// Takes back that a span is the current one. Where that cannot be, as another context is active by now, the API says so.
fn detach(py: Python<'_>, token: &Bound<'_, PyAny>, span: &Span) -> PyResult<()> {
    let binding = bound(py)?;
    let detached = binding.detach(token);
    if detached.is_ok() {
        let context = binding.variable().context_of(token);
        span.home.left(context);
        binding.publish_current(py, context);
    }
    if let Err(error) = detached {
        if !is_nothing(py, &error)? {
            return Err(error);
        }
        let logger = py.import("logging")?.call_method1("getLogger", ("opentelemetry.context",))?;
        let named = pyo3::types::PyDict::new(py);
        named.set_item("exc_info", error)?;
        logger.call_method("error", ("Failed to detach context",), Some(&named))?;
    }
    Ok(())
}

fast! {
    /// `__enter__()`: the span.
    enter(py, slf: Scope, _arguments) {
        let this = slf.get();
        let binding = bound(py)?;
        if this.entered().is_some() {
            return Err(PyRuntimeError::new_err("the span is entered already"));
        }
        let span = this.tracer.get().begin(py, binding, &this.given(py))?;
        let attach = || {
            let current = binding.current(py)?;
            binding.attach(&binding.with_span(py, current.as_ref(), span.as_any())?)
        };
        let token = match attach() {
            Ok(token) => token,
            Err(error) => return Err(given_up(span.get().span.bind(py), error)),
        };
        let this_span = span.get().span.get();
        let context = binding.variable().context_of(&token);
        this_span.home.entered(context, this_span.is_finished());
        crate::published::publish_span(Some(span.get().span.bind(py)), py, context);
        let entered = Some((span.clone().unbind(), token.unbind()));
        let before = std::mem::replace(&mut *this.entered(), entered);
        drop(before);
        Ok(span.into_any())
    }
}

fast! {
    /// `__exit__(exc_type, exc_val, exc_tb)`.
    exit(py, slf: Scope, arguments) {
        let [_, value, _] = arguments.take(py, "__exit__", [c"exc_type", c"exc_val", c"exc_tb"])?;
        let this = slf.get();
        if let Some((span, token)) = this.take() {
            let (span, token) = (span.into_bound(py), token.into_bound(py));
            let detached = detach(py, &token, span.get().span.get());
            // What ends a program, a task or a generator is no error.
            let told = match value.filter(|value| value.is_instance_of::<PyException>()) {
                Some(exception) if span.get().is_recording() => {
                    OtelSpan::fail(&span, this.conduct, &exception, false)
                }
                _ => Ok(()),
            };
            let ended = if this.conduct.ends_on_exit { OtelSpan::finish(&span, None) } else { Ok(()) };
            left(py, [detached, told, ended])?;
        }
        Ok(PyBool::new(py, false).to_owned().into_any())
    }
}

#[pymethods]
impl Scope {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.tracer)?;
        let given = [&self.name, &self.context, &self.kind, &self.attributes, &self.links, &self.start_time];
        given.into_iter().try_for_each(|given| visit.call(given))?;
        visit_locked(&self.entered, |entered| match entered {
            Some((span, token)) => visit.call(span).and_then(|()| visit.call(token)),
            None => Ok(()),
        })
    }

    fn __clear__(&self) {
        drop(self.take());
    }

    /// It does what a `contextlib.ContextDecorator` does, and whoever asks is told so.
    #[getter(__class__)]
    fn its_class<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let find = || Ok::<_, PyErr>(py.import("contextlib")?.getattr("ContextDecorator")?.unbind());
        Ok(CLASS.get_or_make(py, find)?.bind(py).clone())
    }

    /// As a decorator: each call of the function is a span of its own.
    fn __call__<'py>(slf: &Bound<'py, Self>, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        static DECORATE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = slf.py();
        let find = || Ok::<_, PyErr>(py.import("ddtrace_run._wrap")?.getattr("within")?.unbind());
        DECORATE.get_or_make(py, find)?.bind(py).call1((slf.getattr(intern!(py, "_again"))?, function))
    }

    /// Another one that begins the same span anew.
    fn _again(&self, py: Python<'_>) -> Scope {
        let again = |kept: &Kept| kept.as_ref().map(|kept| kept.clone_ref(py));
        Scope {
            tracer: self.tracer.clone_ref(py),
            name: again(&self.name),
            context: again(&self.context),
            kind: again(&self.kind),
            attributes: again(&self.attributes),
            links: again(&self.links),
            start_time: again(&self.start_time),
            conduct: self.conduct,
            entered: Mutex::new(None),
        }
    }
}
