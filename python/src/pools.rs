//! Work that is done by another thread or greenlet: what is active where it is handed in is so where it is done
//! (`ddtrace_run/_finder.py`).

use crate::otel::binding::Binding;
use crate::span::Span;
use crate::spared::spared;
use crate::store::{self, Active};
use crate::variable::Variable;
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
}

#[pymethods]
impl HandedOn {
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
        let result = self.run.bind(py).call(given, kwargs);
        spared(py, self.variable.reset(&token))?;
        result.map(Some)
    }
}

/// Has a piece of work, which some thread will `run`, take along what is active here.
#[pyfunction]
pub(crate) fn hand_on(item: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = item.py();
    spared(py, context_of_active(py).and_then(|taken| put_around(item, taken)))
}

/// The same for a greenlet, which has the active span itself, as a task has it.
#[pyfunction]
pub(crate) fn hand_on_as_it_is(greenlet: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = greenlet.py();
    spared(py, active_as_it_is(py).and_then(|taken| put_around(greenlet, taken)))
}

/// A variable and the value that it is to have.
type Taken<'py> = Option<(&'static Variable, Bound<'py, PyAny>)>;

/// The context and not the span, which may have ended by then: what is done then is under it all the same.
fn context_of_active(py: Python<'_>) -> PyResult<Taken<'_>> {
    let context = match store::active(py)? {
        Active::Nothing => return Ok(None),
        Active::Span(span) => Span::context(&span)?,
        Active::Context(context) => context,
    };
    Ok(Some(match Binding::in_use(py)? {
        Some(binding) => (binding.variable(), binding.with_incoming(py, binding.current(py)?.as_ref(), &context)?),
        None => (store::ours(py)?, context.into_any()),
    }))
}

fn active_as_it_is(py: Python<'_>) -> PyResult<Taken<'_>> {
    if matches!(store::active(py)?, Active::Nothing) {
        return Ok(None);
    }
    if let Some(binding) = Binding::in_use(py)?
        && let Some(current) = binding.current(py)?
    {
        return Ok(Some((binding.variable(), current)));
    }
    let ours = store::ours(py)?;
    Ok(ours.get(py)?.map(|active| (ours, active)))
}

fn put_around<'py>(item: &Bound<'py, PyAny>, taken: Taken<'py>) -> PyResult<()> {
    let Some((variable, value)) = taken else { return Ok(()) };
    let py = item.py();
    let handed_on = HandedOn {
        item: PyWeakrefReference::new(item)?.unbind(),
        run: item.get_type().getattr(intern!(py, "run"))?.unbind(),
        variable,
        value: value.unbind(),
    };
    item.setattr(intern!(py, "run"), Bound::new(py, handed_on)?)
}
