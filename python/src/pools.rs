//! Work that is done by another thread: what is active where it is handed in is so where it is done (`ddtrace_run/_finder.py`).

use crate::otel::binding::Binding;
use crate::published;
use crate::span::Span;
use crate::spared::spared;
use crate::store::{self, Active};
use crate::tasks;
use crate::variable::Variable;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyWeakrefMethods, PyWeakrefReference};

/// Stands for the method `run` of a piece of work. Being no function of Python's it is in no traceback.
#[pyclass(frozen, module = "ddtrace_run")]
pub(crate) struct HandedOn {
    /// Not held: it has this one as its attribute, and is to go as soon as it is done.
    item: Py<PyWeakrefReference>,
    run: Py<PyAny>,
    variable: &'static Variable,
    value: Py<PyAny>,
    /// The same for native code; 0 for nothing.
    lent: u64,
}

#[pymethods]
impl HandedOn {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.item)?;
        visit.call(&self.run)?;
        visit.call(&self.value)
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(item) = self.item.bind(py).upgrade() else { return Ok(None) };
        let mut given = vec![item];
        given.extend(args.iter());
        let given = PyTuple::new(py, given)?;
        let token = self.variable.set(self.value.bind(py))?;
        let context = self.variable.context_of(&token);
        if self.lent != 0 {
            published::publish_lent(py, self.lent, context);
        }
        let result = self.run.bind(py).call(given, kwargs);
        spared(py, self.variable.reset(&token))?;
        if self.lent != 0 {
            spared(py, store::active(py).map(|active| published::publish(py, &active, context)))?;
        }
        result.map(Some)
    }
}

/// Stands for a function that a thread without an event loop runs in a copy of a context: native code is told what is active there.
#[pyclass(frozen, module = "ddtrace_run")]
pub(crate) struct Carried {
    function: Py<PyAny>,
}

#[pymethods]
impl Carried {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.function)
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let told = spared(py, tell(py))?;
        let result = self.function.bind(py).call(args, kwargs);
        if let Some(context) = told {
            published::publish(py, &Active::Nothing, context);
        }
        result
    }
}

/// Gives the context, by its address.
fn tell(py: Python<'_>) -> PyResult<Option<usize>> {
    let active = store::active(py)?;
    let context = store::ours(py)?.here(py)?;
    published::publish(py, &active, context);
    Ok(Some(context))
}

/// What is to be run in the place of a function that another thread runs in a copy of this context.
#[pyfunction]
pub(crate) fn carried(function: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = function.py();
    if !published::is_wanted() || matches!(spared(py, store::active(py).map(Some))?, None | Some(Active::Nothing)) {
        return Ok(function);
    }
    Ok(Bound::new(py, Carried { function: function.unbind() })?.into_any())
}

/// Has a piece of work, which some thread will `run`, take along what is active here.
#[pyfunction]
pub(crate) fn hand_on(item: &Bound<'_, PyAny>) -> PyResult<()> {
    spared(item.py(), put_around(item))
}

fn put_around(item: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = item.py();
    // The context and not the span, which may have ended by then: what is done then is under it all the same.
    let (context, lent) = match store::active(py)? {
        Active::Nothing => return put_around_for_request(item),
        Active::Span(span) => (Span::context(&span)?, published::lend(py, span.get())),
        Active::Context(context) => (context, 0),
    };
    let (variable, value) = match Binding::in_use(py)? {
        Some(binding) => (binding.variable(), binding.with_incoming(py, binding.current(py)?.as_ref(), &context)?),
        None => (store::ours(py)?, context.into_any()),
    };
    run_with(item, variable, value, lent)
}

/// Where nothing is active but the thread serves a request of which connections tell, the work is for that one.
fn put_around_for_request(item: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = item.py();
    match tasks::request_to_hand_on(py) {
        0 => Ok(()),
        request => run_with(item, tasks::variable(py)?, request.into_pyobject(py)?.into_any(), request),
    }
}

fn run_with(item: &Bound<'_, PyAny>, variable: &'static Variable, value: Bound<'_, PyAny>, lent: u64) -> PyResult<()> {
    let py = item.py();
    let handed_on = HandedOn {
        item: PyWeakrefReference::new(item)?.unbind(),
        run: item.get_type().getattr(intern!(py, "run"))?.unbind(),
        variable,
        value: value.unbind(),
        lent,
    };
    item.setattr(intern!(py, "run"), Bound::new(py, handed_on)?)
}
