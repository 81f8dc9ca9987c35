//! `Tracer` of OpenTelemetry's API.

use super::binding::{Binding, parent};
use super::processors;
use super::scope::Scope;
use super::span::{Conduct, OtelSpan, link};
use crate::ffi::{Arguments, fast};
use crate::store::Active;
use crate::values::{self, shown};
use ddtrace::span::Scope as InstrumentationScope;
use ddtrace::tracer::{Parent, SpanData, Start};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::sync::Arc;

/// Starts spans for one instrumentation.
#[pyclass(frozen, weakref, module = "ddtrace_run.otel")]
pub(crate) struct OtelTracer {
    scope: Arc<InstrumentationScope>,
    schema_url: Option<Py<PyAny>>,
    attributes: Option<Py<PyAny>>,
    /// It stands in for whatever provider the program may still set.
    is_default: bool,
    /// The tracer of that provider, once there is one.
    real: PyOnceLock<Py<PyAny>>,
}

impl OtelTracer {
    /// The tracer of the provider that the program has set, if this one only stands in.
    fn real<'py>(&self, py: Python<'py>, binding: &Binding) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !self.is_default {
            return Ok(None);
        }
        if let Some(real) = self.real.get(py) {
            return Ok(Some(real.bind(py).clone()));
        }
        let Some(provider) = binding.provider(py) else { return Ok(None) };
        let version = Some(self.scope.version.as_str()).filter(|version| !version.is_empty());
        let arguments = (&self.scope.name, version, &self.schema_url, &self.attributes);
        let real = provider.call_method1(intern!(py, "get_tracer"), arguments)?.unbind();
        Ok(Some(self.real.get_or_init(py, || real).bind(py).clone()))
    }

    /// Starts a span.
    pub(super) fn begin<'py>(
        &self,
        py: Python<'py>,
        binding: &Binding,
        given: &Given<'_, 'py>,
    ) -> PyResult<Bound<'py, OtelSpan>> {
        let context = given.context.as_deref();
        let parent = parent(py, binding, context)?;
        let told = match &parent {
            Active::Context(_) => binding.told(py, context)?,
            _ => None,
        };
        let attributes = given.attributes.as_deref().map(values::attributes).transpose()?.unwrap_or_default();
        let mut links = Vec::new();
        if let Some(given) = given.links.as_deref() {
            for given in given.try_iter()? {
                links.extend(link(binding, &given?)?);
            }
        }
        let start_unix_ns = given.start_time.as_deref().map(|time| time.extract()).transpose()?;
        let start = Start {
            kind: binding.kind(given.kind.as_deref()),
            start_unix_ns,
            scope: Some(Arc::clone(&self.scope)),
            ..Start::new(given.name(), Parent::None)
        };
        let fill = |data: &mut SpanData| {
            attributes.iter().for_each(|(name, value)| data.set_attribute(name, value.attribute()));
            links.iter().for_each(|link| link.add(data));
        };
        let span = crate::tracer::start(py, start, parent, true, fill)?;
        let shown = Bound::new(py, OtelSpan::new(span, given.conduct, told.map(Bound::unbind)))?;
        processors::started(&shown, context);
        Ok(shown)
    }
}

/// How a span is to begin, as it was given.
pub(crate) struct Given<'a, 'py> {
    pub(crate) name: Option<Borrowed<'a, 'py, PyAny>>,
    pub(crate) context: Option<Borrowed<'a, 'py, PyAny>>,
    pub(crate) kind: Option<Borrowed<'a, 'py, PyAny>>,
    pub(crate) attributes: Option<Borrowed<'a, 'py, PyAny>>,
    pub(crate) links: Option<Borrowed<'a, 'py, PyAny>>,
    pub(crate) start_time: Option<Borrowed<'a, 'py, PyAny>>,
    pub(crate) conduct: Conduct,
}

impl Given<'_, '_> {
    fn name(&self) -> String {
        self.name.as_deref().map(shown).unwrap_or_default()
    }
}

impl<'a, 'py> Given<'a, 'py> {
    fn take(py: Python<'py>, arguments: Arguments, what: &str) -> PyResult<Given<'a, 'py>> {
        let [name, context, kind, attributes, links, start_time, record, status, end] = arguments.take(
            py,
            what,
            [
                c"name",
                c"context",
                c"kind",
                c"attributes",
                c"links",
                c"start_time",
                c"record_exception",
                c"set_status_on_exception",
                c"end_on_exit",
            ],
        )?;
        let given = |value: Option<Borrowed<'a, 'py, PyAny>>| value.filter(|value| !value.is_none());
        let flag =
            |value: Option<Borrowed<'a, 'py, PyAny>>| value.is_none_or(|value| value.is_truthy().unwrap_or(true));
        let conduct = Conduct { records_exception: flag(record), sets_status: flag(status), ends_on_exit: flag(end) };
        if name.is_none() {
            return Err(pyo3::exceptions::PyTypeError::new_err(format!("{what}() needs a name")));
        }
        Ok(Given {
            name,
            context: given(context),
            kind: given(kind),
            attributes: given(attributes),
            links: given(links),
            start_time: given(start_time),
            conduct,
        })
    }
}

/// The API, which is bound before there is any tracer of it.
pub(super) fn bound(py: Python<'_>) -> PyResult<&'static Binding> {
    Binding::get(py).ok_or_else(|| PyRuntimeError::new_err("the OpenTelemetry API is not bound"))
}

/// Calls a method of the tracer that the program has set, with the arguments as they were given.
fn hand_over<'py>(
    real: &Bound<'py, PyAny>,
    method: &str,
    given: &Given<'_, 'py>,
    with_end: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = real.py();
    let named = pyo3::types::PyDict::new(py);
    let values = [
        ("context", &given.context),
        ("kind", &given.kind),
        ("attributes", &given.attributes),
        ("links", &given.links),
        ("start_time", &given.start_time),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            named.set_item(name, value)?;
        }
    }
    named.set_item("record_exception", given.conduct.records_exception)?;
    named.set_item("set_status_on_exception", given.conduct.sets_status)?;
    if with_end {
        named.set_item("end_on_exit", given.conduct.ends_on_exit)?;
    }
    real.call_method(method, (given.name.as_deref(),), Some(&named))
}

fast! {
    /// `start_span(name, context=None, kind=…, attributes=None, links=None, start_time=None, record_exception=True,
    /// set_status_on_exception=True)`.
    start_span(py, slf: OtelTracer, arguments) {
        let binding = bound(py)?;
        let given = Given::take(py, arguments, "start_span")?;
        let this = slf.get();
        match this.real(py, binding)? {
            Some(real) => hand_over(&real, "start_span", &given, false),
            None => Ok(this.begin(py, binding, &given)?.into_any()),
        }
    }
}

fast! {
    /// As `start_span`, and `end_on_exit=True`: a context manager, or a decorator, that makes the span the current one.
    start_as_current_span(py, slf: OtelTracer, arguments) {
        let binding = bound(py)?;
        let given = Given::take(py, arguments, "start_as_current_span")?;
        match slf.get().real(py, binding)? {
            Some(real) => hand_over(&real, "start_as_current_span", &given, true),
            None => Ok(Bound::new(py, Scope::new(slf.to_owned(), &given))?.into_any()),
        }
    }
}

#[pymethods]
impl OtelTracer {
    #[new]
    #[pyo3(signature = (name, version=None, schema_url=None, attributes=None, is_default=false))]
    fn new(
        name: &str,
        version: Option<&str>,
        schema_url: Option<Py<PyAny>>,
        attributes: Option<Py<PyAny>>,
        is_default: bool,
    ) -> OtelTracer {
        let scope = InstrumentationScope {
            name: name.into(),
            version: version.unwrap_or_default().into(),
            // Records have no place for them.
            attributes: Vec::new(),
        };
        OtelTracer { scope: Arc::new(scope), schema_url, attributes, is_default, real: PyOnceLock::new() }
    }

    /// The name and the version of what it is for.
    #[getter]
    fn _scope(&self) -> (&str, &str) {
        (&self.scope.name, &self.scope.version)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<OtelTracer>().is_ok_and(|other| *other.get().scope == *self.scope)
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (&self.scope.name, &self.scope.version).hash(&mut hasher);
        hasher.finish()
    }
}
