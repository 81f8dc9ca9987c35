//! Applications of WSGI (PEP 3333).

use super::server::Begun;
use super::wrapped::{is_told, mark};
use super::{Call, Integration};
use crate::ffi::text;
use crate::headers::{Headers, of_latin_1};
use crate::shown::shown;
use crate::spared::spared;
use crate::store::{self, Active};
use ddtrace::http::{HTTP, HTTPS, Peer, Request};
use pyo3::PyTraverseError;
use pyo3::exceptions::PyStopIteration;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyString, PyTuple, PyType};

/// Where Datadog's API has the span of a request.
const SPAN: &str = "datadog.wsgi.request_span";

/// Calls an application, whose last two arguments are those of WSGI.
pub(super) fn call<'py>(
    py: Python<'py>,
    integration: &Integration,
    application: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(last) = arguments.len().checked_sub(1).filter(|last| *last > 0) else {
        return application.call1(arguments);
    };
    let Ok(environ) = arguments.get_item(last - 1)?.cast_into_exact::<PyDict>() else {
        return application.call1(arguments);
    };
    if let Some(call) = super::wrapped::marked(&environ)? {
        integration.name_span(call.get());
        return application.call1(arguments);
    }
    let call = match begin(py, integration, &environ) {
        Ok(Begun::Traced(call)) => Bound::new(py, call)?,
        Ok(Begun::Left) => {
            if let Err(error) = super::mounted::join(py, integration, &environ) {
                is_told(py, integration.name(), error)?;
            }
            return application.call1(arguments);
        }
        Ok(Begun::HandedOn(before)) => {
            let response = application.call1(arguments);
            store::activate(py, &Active::of(Some(before.bind(py))))?;
            return response;
        }
        Err(error) => {
            is_told(py, integration.name(), error)?;
            return application.call1(arguments);
        }
    };
    mark(&environ, &call)?;
    environ.set_item(intern!(py, SPAN), &call.get().span)?;
    let started = StartResponse { start: arguments.get_item(last)?.unbind(), call: call.clone().unbind() };
    let mut given: Vec<_> = arguments.iter().collect();
    given[last] = Bound::new(py, started)?.into_any();
    let response = application.call1(PyTuple::new(py, given)?);
    match response.and_then(|response| answered(&environ, &call, response)) {
        Ok(response) => Ok(response),
        Err(error) => {
            fail(py, call.get(), &error)?;
            call.get().finish(py)?;
            Err(error)
        }
    }
}

/// What the server gets of a response: something that stands for it, unless nothing of the program's runs when it is read.
fn answered<'py>(
    environ: &Bound<'py, PyDict>,
    call: &Bound<'py, Call>,
    response: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = response.py();
    // What is there already needs nobody in between; servers send files by themselves.
    let files = environ.get_item(intern!(py, "wsgi.file_wrapper"))?;
    let is_file = files.map(|files| spared(py, is_file(&response, &files))).transpose()?.unwrap_or(false);
    if response.is_instance_of::<PyList>() || response.is_instance_of::<PyTuple>() || is_file {
        call.get().finish(py)?;
        return Ok(response);
    }
    let class = response.get_type();
    let has = |name: &Bound<'_, PyString>| spared(py, class.hasattr(name));
    if !has(intern!(py, "__iter__"))? && !has(intern!(py, "__getitem__"))? {
        // Without a word to the program's code, as it has none for that: the server will fail by the same exception.
        if let Err(error) = response.try_iter() {
            fail(py, call.get(), &error)?;
        }
        call.get().finish(py)?;
        return Ok(response);
    }
    let is_sized = has(intern!(py, "__len__"))?;
    spared(py, super::turns::keep(call))?;
    let response = Response { response: response.unbind(), call: call.clone().unbind() };
    spared(py, call.get().step_out(py, &call.get().before(py)))?;
    if is_sized {
        let response = PyClassInitializer::from(response).add_subclass(SizedResponse);
        return Ok(Bound::new(py, response)?.into_any());
    }
    Ok(Bound::new(py, response)?.into_any())
}

/// Whether a server sends what it has been given by this `wsgi.file_wrapper` by itself.
fn is_file(response: &Bound<'_, PyAny>, files: &Bound<'_, PyAny>) -> PyResult<bool> {
    if files.is_instance_of::<PyType>() {
        return response.is_instance(files);
    }
    // That of uWSGI is a function, which gives the file back, and knows it again.
    response.get_type().hasattr(intern!(response.py(), "read"))
}

/// Tells of an exception; not of that by which applications close connections.
pub(super) fn fail(py: Python<'_>, call: &Call, error: &PyErr) -> PyResult<()> {
    if error.is_instance_of::<PyStopIteration>(py) {
        return Ok(());
    }
    call.failed(py, error.value(py))
}

fn item(environ: &Bound<'_, PyDict>, name: &Bound<'_, PyString>) -> PyResult<Vec<u8>> {
    let value = environ.get_item(name)?;
    let value = value.as_ref().and_then(|value| value.cast::<PyString>().ok());
    Ok(value.map(|value| of_latin_1(&text(value))).unwrap_or_default())
}

/// As it stands in a URL.
pub(super) fn quoted(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for byte in path {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(byte) {
            out.push(*byte);
        } else {
            out.extend(format!("%{byte:02X}").bytes());
        }
    }
    out
}

fn begin(py: Python<'_>, integration: &Integration, environ: &Bound<'_, PyDict>) -> PyResult<Begun> {
    let headers = Headers::of_environ(environ);
    let method = item(environ, intern!(py, "REQUEST_METHOD"))?;
    let mut target = item(environ, intern!(py, "RAW_URI"))?;
    if target.is_empty() {
        target = item(environ, intern!(py, "REQUEST_URI"))?;
    }
    if target.is_empty() {
        target = item(environ, intern!(py, "SCRIPT_NAME"))?;
        target.extend(item(environ, intern!(py, "PATH_INFO"))?);
        target = quoted(&target);
        let query = item(environ, intern!(py, "QUERY_STRING"))?;
        if !query.is_empty() {
            target.push(b'?');
            target.extend(query);
        }
    }
    let protocol = item(environ, intern!(py, "SERVER_PROTOCOL"))?;
    let scheme = item(environ, intern!(py, "wsgi.url_scheme"))?;
    let address = item(environ, intern!(py, "REMOTE_ADDR"))?;
    // Text, or a number.
    let port = environ.get_item(intern!(py, "REMOTE_PORT"))?.map(|port| shown(&port)).transpose()?;
    let request = Request {
        method: &method,
        target: &target,
        version: protocol.strip_prefix(b"HTTP/").unwrap_or_default(),
        scheme: if scheme == b"https" { HTTPS } else { HTTP },
        peer: Peer { address: &address, port: port.and_then(|port| port.parse().ok()), is_unix: false },
    };
    integration.begin_server(py, environ, &request, &headers)
}

/// Stands for `start_response`.
#[pyclass(frozen, module = "ddtrace_run")]
struct StartResponse {
    start: Py<PyAny>,
    call: Py<Call>,
}

#[pymethods]
impl StartResponse {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.start)?;
        visit.call(&self.call)
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        spared(py, self.tell(py, args))?;
        self.start.bind(py).call(args, kwargs)
    }
}

impl StartResponse {
    fn tell(&self, py: Python<'_>, args: &Bound<'_, PyTuple>) -> PyResult<()> {
        let status = args.get_item(0)?;
        let status = status.cast::<PyString>()?;
        let Some(status) = text(status).get(..3).and_then(|code| code.parse().ok()) else { return Ok(()) };
        let headers = if super::describe::wants_headers() {
            spared(py, Headers::of_pairs(&args.get_item(1)?).map(Some))?
        } else {
            None
        };
        self.call.get().answer(status, headers.as_ref());
        Ok(())
    }
}

/// Stands for a response, whose code runs as its parts are asked for and as it is closed. The request is over when it is
/// closed; if nobody does, when its code has run for the last time, which is known when nobody has it any more.
#[pyclass(frozen, subclass, module = "ddtrace_run")]
struct Response {
    response: Py<PyAny>,
    call: Py<Call>,
}

impl Response {
    /// Runs code of the response.
    fn turn<T>(&self, py: Python<'_>, run: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
        let call = self.call.get();
        let before = spared(py, call.step_in(py))?;
        let result = run();
        let failed = match &result {
            Err(error) => fail(py, call, error),
            Ok(_) => Ok(()),
        };
        let left = before.map_or(Ok(()), |before| call.step_out(py, &before));
        spared(py, failed.and(left))?;
        result
    }

    fn next<'py>(&self, parts: &Bound<'py, PyIterator>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.turn(parts.py(), || parts.clone().next().transpose())
    }
}

#[pymethods]
impl Response {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.response)?;
        visit.call(&self.call)
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let response = this.response.bind(py);
        let parts = this.turn(py, || response.try_iter())?;
        if parts.is(response) {
            return Ok(slf.clone().into_any());
        }
        let parts = Parts { parts: parts.unbind(), response: slf.clone().unbind() };
        Ok(Bound::new(py, parts)?.into_any())
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let response = self.response.bind(py);
        match response.cast::<PyIterator>() {
            Ok(parts) => self.next(parts),
            // As it is asked for without anybody in between, it fails.
            Err(_) => py.import("builtins")?.call_method1(intern!(py, "next"), (response,)).map(Some),
        }
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let call = self.call.get();
        let before = spared(py, call.step_in(py))?;
        let closed = match self.response.bind(py).getattr_opt(intern!(py, "close")) {
            Ok(Some(close)) => close.call0().map(drop),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        let failed = match &closed {
            Err(error) => fail(py, call, error),
            Ok(()) => Ok(()),
        };
        let ended = call.finish_for(py, &before.unwrap_or_else(|| call.before(py)));
        spared(py, failed.and(ended))?;
        closed
    }

    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        self.response.bind(py).is_truthy()
    }

    /// What servers and middlewares ask of a response.
    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        self.response.bind(py).getattr(name)
    }
}

/// The same of one that knows how many parts it has: by that servers know its length.
#[pyclass(frozen, extends = Response, module = "ddtrace_run")]
struct SizedResponse;

#[pymethods]
impl SizedResponse {
    fn __len__(slf: &Bound<'_, Self>) -> PyResult<usize> {
        let py = slf.py();
        slf.as_super().get().response.bind(py).len()
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        // Where nobody has closed it.
        Python::attach(|py| {
            let _ = self.call.get().finish_in_finalizer(py);
        });
    }
}

/// Stands for what makes the parts of a response, if that is not the response itself.
#[pyclass(frozen, module = "ddtrace_run")]
struct Parts {
    parts: Py<PyIterator>,
    response: Py<Response>,
}

#[pymethods]
impl Parts {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.parts)?;
        visit.call(&self.response)
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.response.get().next(self.parts.bind(py))
    }

    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        self.parts.bind(py).getattr(name)
    }
}
