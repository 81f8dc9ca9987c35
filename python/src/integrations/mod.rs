//! What the integrations of `ddtrace_run.contrib` are made of: spans of requests and statements, begun by one call and ended
//! by another, by OpenTelemetry's conventions.
//!
//! Which functions of which library are traced is Python. What is put in their place is of no frame of Python's where it can
//! be ([`wrapped`], [`wsgi`]), so that tracebacks are those of the program.

pub(crate) mod arriving;
pub(crate) mod asgi;
mod awaited;
mod background;
mod call;
mod client;
mod database;
pub(crate) mod derived;
mod describe;
mod held;
mod mounted;
pub(crate) mod reading;
mod server;
mod template;
mod turns;
pub(crate) mod wrapped;
pub(crate) mod wsgi;

pub(crate) use call::Call;
pub(crate) use client::stands_for_all;

use crate::engine::engine;
use crate::span::Span;
use crate::store::{self, Active};
use ddtrace::semconv::{INTEGRATION_SCOPE, Key};
use ddtrace::span::{Scope, SpanKind};
use ddtrace::tracer::{Parent, SpanData, Start};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Another tracer has come into the program: nothing is to be traced twice.
static HAVE_STOPPED: AtomicBool = AtomicBool::new(false);

/// Has all integrations do nothing from now on.
#[pyfunction]
pub(crate) fn stop_integrations(py: Python<'_>) -> PyResult<()> {
    HAVE_STOPPED.store(true, Ordering::Relaxed);
    crate::tasks::let_go(py)
}

/// What makes the spans of one library.
#[pyclass(frozen, module = "ddtrace_run")]
pub(crate) struct Integration {
    scope: Arc<Scope>,
    /// The service of its spans, if it is not the program's.
    service: Option<String>,
    /// Whether contexts are read from requests, and written into them.
    is_distributed: bool,
    is_on: AtomicBool,
}

impl Integration {
    fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed) && !HAVE_STOPPED.load(Ordering::Relaxed)
    }

    /// What it is called.
    fn name(&self) -> &str {
        self.scope.name.strip_prefix(INTEGRATION_SCOPE).unwrap_or_default()
    }

    /// It knows more of a request than the server does.
    fn name_span(&self, call: &Call) {
        if self.is_on() {
            call.name_by(&self.scope.name, self.service.as_deref());
        }
    }

    /// Whether it makes spans; where it does not, contexts are still handed on if the configuration has switched tracing off.
    fn records(&self) -> bool {
        engine().records() && crate::tracer::is_on()
    }

    /// Begins a span, and makes it the active one.
    fn begin<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        kind: SpanKind,
        parent: Active<'py>,
        fill: impl FnOnce(&mut SpanData),
    ) -> PyResult<Bound<'py, Span>> {
        self.begin_as(py, Start { kind, ..Start::new(String::from(name), Parent::None) }, parent, fill)
    }

    fn begin_as<'py>(
        &self,
        py: Python<'py>,
        start: Start<'_>,
        parent: Active<'py>,
        fill: impl FnOnce(&mut SpanData),
    ) -> PyResult<Bound<'py, Span>> {
        let start = Start { scope: Some(Arc::clone(&self.scope)), ..start };
        let span = crate::tracer::start(py, start, parent, None, |data| {
            if let Some(service) = &self.service {
                data.set_text(Key::Service, service);
            }
            fill(data);
        })?;
        span.get().set_follows();
        match store::activate(py, &Active::Span(span.clone())) {
            Ok(()) => Ok(span),
            Err(error) => Err(crate::tracer::given_up(&span, error)),
        }
    }
}

#[pymethods]
impl Integration {
    #[new]
    #[pyo3(signature = (name, service=None, is_distributed=true))]
    fn new(name: &str, service: Option<String>, is_distributed: bool) -> Integration {
        let scope = Scope {
            name: format!("{INTEGRATION_SCOPE}{name}"),
            version: String::from(env!("CARGO_PKG_VERSION")),
            attributes: Vec::new(),
        };
        let service = service.filter(|service| !service.is_empty());
        Integration { scope: Arc::new(scope), service, is_distributed, is_on: AtomicBool::new(true) }
    }

    /// What it is called.
    #[getter(name)]
    fn its_name(&self) -> &str {
        self.name()
    }

    /// Switches it on or off.
    fn switch(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::Relaxed);
    }

    /// Begins the span of a request or a websocket that reaches an application of ASGI; None where it is a part of another one.
    fn serves(&self, py: Python<'_>, scope: &Bound<'_, PyDict>) -> PyResult<Option<Py<Call>>> {
        asgi::begin(self, py, scope)
    }

    /// Begins the span of a request, and writes its context into the headers; None where somebody else tells of it.
    #[pyo3(signature = (method, url, headers=None))]
    fn asks(
        &self,
        py: Python<'_>,
        method: &str,
        url: &str,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Call>> {
        client::begin(self, py, method, url, headers)
    }

    /// Begins the span of a statement in SQL, of a batch of so many; None where somebody else tells of it. `place` has the
    /// namespace, host and port of the database.
    #[pyo3(signature = (system, statement, place, batch=None))]
    fn executes(
        &self,
        py: Python<'_>,
        system: &str,
        statement: &Bound<'_, PyAny>,
        place: database::Place,
        batch: Option<usize>,
    ) -> PyResult<Option<Call>> {
        database::begin_statement(self, py, system, statement, &place, batch)
    }

    /// Begins the span of a template that is rendered for what is active; None where nothing is.
    fn renders(&self, py: Python<'_>, template: &str) -> PyResult<Option<Call>> {
        template::begin(self, py, template)
    }

    /// Begins the span of a function that is called behind an answer, by its name and by where it is.
    fn calls_behind(&self, py: Python<'_>, name: &str, function: &str) -> PyResult<Option<Call>> {
        background::begin(self, py, name, function)
    }

    /// Begins the span of a transaction's end, COMMIT or ROLLBACK, that a connection is asked for without a statement; None
    /// where somebody else tells of it.
    fn ends_transaction(
        &self,
        py: Python<'_>,
        system: &str,
        operation: &str,
        place: database::Place,
    ) -> PyResult<Option<Call>> {
        database::begin_end(self, py, system, operation, &place)
    }

    /// Begins the span of a command for Redis, or of several that are sent together; None where somebody else tells of it.
    #[pyo3(signature = (commands, place, is_transaction=None))]
    fn commands(
        &self,
        py: Python<'_>,
        commands: Vec<Bound<'_, PyTuple>>,
        place: database::Place,
        is_transaction: Option<bool>,
    ) -> PyResult<Option<Call>> {
        database::begin_commands(self, py, &commands, &place, is_transaction)
    }
}
