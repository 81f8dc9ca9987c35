//! A request or a statement from its begin to its end.

use super::describe::{Told, tag_headers, wants_headers};
use super::turns::Turns;
use crate::engine::engine;
use crate::errors;
use crate::garbage::visit_locked;
use crate::headers::Headers;
use crate::span::{PickledAsNone, Span, pickled_as_none};
use crate::spared::spared;
use crate::store::{self, Active};
use crate::values::{Value, tag};
use ddtrace::http::is_error_status;
use ddtrace::semconv::network::HTTP_RESPONSE_STATUS_CODE;
use ddtrace::semconv::{ERROR_TYPE, INTEGRATION_SCOPE, Key, RESPONSE_HEADER};
use ddtrace::span::{SpanKind, Status};
use pyo3::PyTraverseError;
use pyo3::exceptions::{PyException, PyGeneratorExit};
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is traced of one call: a span that is active until the end.
#[pyclass(frozen, module = "ddtrace_run")]
pub(crate) struct Call {
    pub(super) span: Py<Span>,
    pub(super) kind: SpanKind,
    /// What was active before, if anything was.
    pub(super) before: Option<Py<PyAny>>,
    /// Where the application is mounted that it goes to, until that says more of its route.
    mounted_at: Mutex<Option<String>>,
    /// The exception for which a part of the application has answered.
    handled: Mutex<Option<Py<PyAny>>>,
    /// An exception has been told of.
    has_failed: AtomicBool,
    /// Whoever ends it next does not: it is somebody else's to end.
    is_put_off: AtomicBool,
    pub(super) has_ended: AtomicBool,
    /// Whether its code runs ([`super::turns`]).
    pub(super) turns: Turns,
}

impl Call {
    pub(super) fn new(span: Bound<'_, Span>, kind: SpanKind, before: &Active<'_>) -> Call {
        let before = match before {
            Active::Nothing => None,
            active => Some(active.object(span.py()).unbind()),
        };
        Call {
            span: span.unbind(),
            kind,
            before,
            mounted_at: Mutex::default(),
            handled: Mutex::default(),
            has_failed: AtomicBool::new(false),
            is_put_off: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            turns: Turns::default(),
        }
    }

    /// Whether an answer with this status is an error.
    pub(super) fn is_error(&self, status: u16) -> bool {
        let of_servers = &engine().resolution.config.server_error_statuses;
        is_error_status(status, self.kind == SpanKind::Server, of_servers)
    }

    /// The answer has this status, and these headers.
    pub(super) fn answer(&self, status: u16, headers: Option<&Headers>) {
        let is_error = self.is_error(status);
        let has_failed = self.has_failed();
        self.span.get().change(|data| {
            ddtrace::http::Attributes::integer(&mut Told(data), HTTP_RESPONSE_STATUS_CODE, status.into());
            // An exception says more.
            if is_error && !has_failed {
                data.set_status(Status::Error("".into()));
                data.set_attribute(ERROR_TYPE, Value::Text(status.to_string().into()).attribute());
            }
            if let Some(headers) = headers {
                tag_headers(data, headers, RESPONSE_HEADER);
            }
        });
    }

    /// It has failed by an exception, of which an event tells. A task, greenlet or generator that nobody wants any more is no error.
    pub(super) fn failed(&self, py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        // Nobody will come to end it.
        self.is_put_off.store(false, Ordering::Relaxed);
        if spared(py, is_cancelled(error))? || self.has_failed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let span = self.span.bind(py);
        if !span.get().is_recording() {
            return Ok(());
        }
        let (kind, message) = errors::record_failure(span, error)?;
        span.get().change(|data| {
            data.override_status(Status::Error(message.into()));
            data.set_attribute(ERROR_TYPE, Value::Text(kind.into()).attribute());
        });
        Ok(())
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    pub(super) fn mounted_at(&self) -> Option<String> {
        taken(&self.mounted_at).clone()
    }

    /// A part of the application answers for this exception: if that is what the request is answered with, it is told of.
    pub(super) fn is_answered_for(&self, error: Bound<'_, PyAny>) {
        let before = taken(&self.handled).replace(error.unbind());
        drop(before);
    }

    pub(super) fn answered_for<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        taken(&self.handled).take().map(|error| error.into_bound(py))
    }

    fn name_route(&self, route: String) {
        self.span.get().change(|data| {
            let method = String::from(data.name().split(' ').next().unwrap_or_default());
            data.set_name(format!("{method} {route}").into());
            data.set_attribute("http.route", Value::Text(route.into()).attribute());
        });
    }

    /// Leaves its end to somebody else than who has begun it, for whom it is active no more.
    pub(super) fn put_off(&self) {
        self.is_put_off.store(true, Ordering::Relaxed);
    }

    /// Ends it, as nobody else has.
    pub(super) fn finish_in_finalizer(&self, py: Python<'_>) -> PyResult<()> {
        match self.has_ended.swap(true, Ordering::Relaxed) {
            true => Ok(()),
            false => Span::end_in_finalizer(self.span.bind(py), self.end_turns(py)),
        }
    }

    /// Ends it. What was active before is so again.
    pub(super) fn finish(&self, py: Python<'_>) -> PyResult<()> {
        self.finish_for(py, &self.before(py))
    }

    /// The same where something else was active before its code ran for the last time.
    pub(super) fn finish_for(&self, py: Python<'_>, before: &Active<'_>) -> PyResult<()> {
        drop(self.answered_for(py));
        if self.is_put_off.swap(false, Ordering::Relaxed) {
            return store::leave(self.span.bind(py));
        }
        if self.has_ended.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.end_turns(py);
        let span = self.span.bind(py);
        if self.kind != SpanKind::Server {
            // What was active before is what it hangs under. Made active once more it would count as begun here, in a task
            // that may only have inherited it.
            return Span::end(span, None);
        }
        let active = store::active(py)?;
        span.get().home.set_stays(false);
        let ended = Span::end(span, None);
        match (before, &active) {
            // That is so already.
            (Active::Nothing, Active::Span(active)) if active.is(span) => ended,
            _ if self.is_around(&active) => ended.and(store::activate(py, before)),
            _ => ended,
        }
    }

    /// It is over, but what is done from now on still belongs to it: here, in whose context that is said, and where it has begun,
    /// until its code is through.
    pub(super) fn end_and_stay(&self, py: Python<'_>) -> PyResult<()> {
        let span = self.span.bind(py);
        if span.get().is_finished() {
            return Ok(());
        }
        let is_here = matches!(store::active(py)?, Active::Span(active) if active.is(span));
        span.get().home.set_stays(true);
        let ended = Span::end(span, None);
        if is_here {
            store::activate(py, &Active::Context(Span::context(span)?))?;
        }
        ended
    }

    /// Gives the span the name of a framework's, where only the server was known so far.
    pub(super) fn name_by(&self, scope: &str, service: Option<&str>) {
        self.span.get().change(|data| {
            let so_far = data.scope_name().strip_prefix(INTEGRATION_SCOPE).unwrap_or_default();
            if matches!(so_far, "wsgi" | "asgi") {
                let scope = String::from(scope);
                data.set_scope_name(&scope);
                if let Some(service) = service {
                    data.set_text(Key::Service, service);
                }
            }
        });
    }
}

pub(super) fn taken<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an exception only says that nobody wants it any more: so it is with a client that has gone, and with one that ends its
/// websocket, and with a group of nothing but such exceptions, which a group of tasks ends by. What ends the program, or the process
/// that serves it, has broken a request off.
fn is_cancelled(error: &Bound<'_, PyAny>) -> PyResult<bool> {
    let mut left = vec![error.clone()];
    while let Some(error) = left.pop() {
        match members(&error)? {
            Some(members) => left.extend(members.iter()),
            None if !is_cancellation(&error) => return Ok(false),
            None => {}
        }
    }
    Ok(true)
}

/// What an exception is a group of. Before Python 3.11 groups are those of a package that is called like them.
fn members<'py>(error: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyTuple>>> {
    const KINDS: [(&str, &str); 2] = [("builtins", "BaseExceptionGroup"), ("exceptiongroup", "BaseExceptionGroup")];
    if !is_of(error, &KINDS) {
        return Ok(None);
    }
    let members = error.getattr(intern!(error.py(), "exceptions"))?.cast_into::<PyTuple>();
    Ok(members.ok().filter(|members| !members.is_empty()))
}

/// Whether its class is called so, without an import of what the program may not have.
fn is_kind(kind: &Bound<'_, PyType>, (module, name): (&str, &str)) -> bool {
    kind.name().is_ok_and(|of| of == name) && kind.module().is_ok_and(|of| of == module)
}

/// Whether it is one of a class that is called so, or of one that is made from that.
fn is_of(error: &Bound<'_, PyAny>, kinds: &[(&str, &str)]) -> bool {
    let mro = error.get_type().mro();
    mro.iter().any(|kind| kind.cast::<PyType>().is_ok_and(|kind| kinds.iter().any(|known| is_kind(kind, *known))))
}

fn is_cancellation(error: &Bound<'_, PyAny>) -> bool {
    const KINDS: [(&str, &str); 3] =
        [("asyncio.exceptions", "CancelledError"), ("greenlet", "GreenletExit"), ("trio", "Cancelled")];
    if error.is_instance_of::<PyException>() {
        return is_kind(&error.get_type(), ("starlette.websockets", "WebSocketDisconnect"));
    }
    error.is_instance_of::<PyGeneratorExit>() || is_of(error, &KINDS)
}

#[pymethods]
impl Call {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.span)?;
        visit.call(&self.before)?;
        visit_locked(&self.handled, |handled| visit.call(handled))?;
        self.turns.visit(&visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.answered_for(py));
        self.turns.forget();
    }

    /// The span.
    #[getter]
    fn span(&self, py: Python<'_>) -> Py<Span> {
        self.span.clone_ref(py)
    }

    /// An answer has come, or goes: its status, and its headers as a mapping.
    #[pyo3(signature = (status, headers=None))]
    fn answered(&self, py: Python<'_>, status: u16, headers: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let headers = match headers.filter(|_| wants_headers()) {
            Some(headers) => spared(py, Headers::of(headers).map(Some))?,
            None => None,
        };
        self.answer(status, headers.as_ref());
        Ok(())
    }

    /// The route that has matched.
    #[pyo3(signature = (route, root=""))]
    fn routed(&self, route: &str, root: &str) {
        let route = format!("{}{route}", root.trim_end_matches('/'));
        if route.is_empty() {
            return;
        }
        *taken(&self.mounted_at) = None;
        self.name_route(route);
    }

    /// It has reached what is mounted at a path, which is its route unless that knows more.
    fn mounted(slf: &Bound<'_, Self>, path: String) -> PyResult<()> {
        *taken(&slf.get().mounted_at) = Some(path.clone());
        // At the root nothing is known of it yet.
        if !path.is_empty() {
            slf.get().name_route(path);
        }
        super::mounted::enter(slf)
    }

    /// Sets an attribute.
    fn set(&self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(value) = tag(value)? {
            self.span.get().change(|data| data.set_attribute(name, value.attribute()));
        }
        Ok(())
    }

    /// It has failed by an exception.
    fn fail(&self, py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        self.failed(py, error)
    }

    /// It is over.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        self.finish(py)
    }

    /// Whoever copies a request goes on with the same one.
    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, memo: &Bound<'_, PyAny>) -> Py<Self> {
        let _ = memo;
        slf
    }

    /// Nothing of it is for another process, where there may be none of this: it is None there.
    fn __reduce__(&self, py: Python<'_>) -> PickledAsNone {
        pickled_as_none(py)
    }
}
