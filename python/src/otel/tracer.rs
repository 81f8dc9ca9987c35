//! `Tracer` of OpenTelemetry's API.

use super::binding::{Binding, parent};
use super::details::link;
use super::processors;
use super::scope::Scope;
use super::span::{Conduct, OtelSpan};
use crate::ffi::{Arguments, fast};
use crate::published::is_wanted;
use crate::shown::shown;
use crate::spared::{spared, succeeded};
use crate::store::Active;
use crate::tracer::given_up;
use crate::values::{self, Value};
use ddtrace::span::{Scope as InstrumentationScope, SpanKind};
use ddtrace::tracer::{Parent, SpanData, Start, peer};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::net::SocketAddr;
use std::sync::Arc;

/// What spans are made by: a scope of OpenTelemetry's API.
pub(crate) struct Instrumentation {
    scope: Arc<InstrumentationScope>,
    /// What records have no place for.
    schema_url: Option<Py<PyAny>>,
    attributes: Option<Py<PyAny>>,
}

type Told<'a> = (&'a str, Option<&'a str>, Option<Py<PyAny>>, Option<Py<PyAny>>);

impl Instrumentation {
    /// Name, version, address of the schema, attributes.
    pub(super) fn told(&self, py: Python<'_>) -> Told<'_> {
        let version = Some(self.scope.version.as_str()).filter(|version| !version.is_empty());
        let copy = |value: &Option<Py<PyAny>>| value.as_ref().map(|value| value.clone_ref(py));
        (&self.scope.name, version, copy(&self.schema_url), copy(&self.attributes))
    }
}

/// Starts spans for one instrumentation.
#[pyclass(frozen, dict, weakref, module = "ddtrace_run.otel")]
pub(crate) struct OtelTracer {
    made_by: Arc<Instrumentation>,
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
        let Some(provider) = binding.provider(py)? else { return Ok(None) };
        let get_tracer = intern!(py, "get_tracer");
        // Providers of releases before 1.26 take no attributes; the API of those hands over none.
        let real = match self.made_by.told(py) {
            (name, version, schema_url, None) => provider.call_method1(get_tracer, (name, version, schema_url)),
            told => provider.call_method1(get_tracer, told),
        };
        let real = real?.unbind();
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
            let given = spared(py, given.try_iter().and_then(|given| given.collect::<PyResult<Vec<_>>>()))?;
            for given in given {
                links.extend(link(binding, &given)?);
            }
        }
        let start_unix_ns = values::time(given.start_time.as_deref())?;
        let kind = binding.kind(given.kind.as_deref());
        let peer = (kind == SpanKind::Server && is_wanted()).then(|| peer_in(&attributes)).flatten();
        let start = Start {
            kind,
            peer,
            start_unix_ns,
            scope: Some(Arc::clone(&self.made_by.scope)),
            ..Start::new(given.name()?, Parent::None)
        };
        let fill = |data: &mut SpanData| {
            attributes.iter().for_each(|(name, value)| data.set_attribute(name, value.attribute()));
            links.iter().for_each(|link| link.add(data));
        };
        let span = crate::tracer::start(py, start, parent, Some(Arc::clone(&self.made_by)), fill)?;
        let shown = Bound::new(py, OtelSpan::new(span, given.conduct, told.map(Bound::unbind)))?;
        match processors::started(&shown, context) {
            Ok(()) => Ok(shown),
            Err(error) => Err(given_up(shown.get().span.bind(py), error)),
        }
    }
}

/// Who has made a request.
fn peer_in(attributes: &[(String, Value<'_>)]) -> Option<SocketAddr> {
    peer(|wanted| match attributes.iter().find(|(name, _)| name == wanted)? {
        (_, Value::Text(text)) => Some(text.clone().into_owned()),
        (_, Value::Integer(number)) => Some(number.to_string()),
        _ => None,
    })
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
    fn name(&self) -> PyResult<String> {
        Ok(self.name.as_deref().map(shown).transpose()?.unwrap_or_default())
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
        let flag = |value: Option<Borrowed<'a, 'py, PyAny>>| match value {
            Some(value) => Ok(succeeded(py, value.is_truthy())?.unwrap_or(true)),
            None => Ok::<_, PyErr>(true),
        };
        let conduct =
            Conduct { records_exception: flag(record)?, sets_status: flag(status)?, ends_on_exit: flag(end)? };
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
pub(crate) fn bound(py: Python<'_>) -> PyResult<&'static Binding> {
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
        name: &Bound<'_, PyAny>,
        version: Option<&Bound<'_, PyAny>>,
        schema_url: Option<Py<PyAny>>,
        attributes: Option<Py<PyAny>>,
        is_default: bool,
    ) -> PyResult<OtelTracer> {
        let scope = InstrumentationScope {
            name: shown(name)?,
            version: version.map(shown).transpose()?.unwrap_or_default(),
            attributes: Vec::new(),
        };
        let made_by = Instrumentation { scope: Arc::new(scope), schema_url, attributes };
        Ok(OtelTracer { made_by: Arc::new(made_by), is_default, real: PyOnceLock::new() })
    }

    /// The name and the version of what it is for.
    #[getter]
    fn _scope(&self) -> (&str, &str) {
        (&self.made_by.scope.name, &self.made_by.scope.version)
    }

    /// A tracer is what its scope is: copies, and those of other processes, are of the provider there.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let (name, version, schema_url, attributes) = self.made_by.told(py);
        // Older releases know of no attributes.
        let arguments = match (schema_url, attributes) {
            (None, None) => (name, version).into_pyobject(py)?,
            (schema_url, None) => (name, version, py.None(), schema_url).into_pyobject(py)?,
            (schema_url, attributes) => (name, version, py.None(), schema_url, attributes).into_pyobject(py)?,
        };
        Ok((py.import("opentelemetry.trace")?.getattr("get_tracer")?, arguments.into_any()))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = other.py();
        let Ok(other) = other.cast::<OtelTracer>() else { return Ok(false) };
        self.made_by.told(py).into_pyobject(py)?.eq(other.get().made_by.told(py))
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self._scope().hash(&mut hasher);
        hasher.finish()
    }
}
