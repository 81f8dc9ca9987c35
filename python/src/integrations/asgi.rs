//! Applications of ASGI (3.0): requests, and websockets from the request to the end of what handles them.

use super::server::{Begun, pair};
use super::wrapped::{mark, marked};
use super::{Call, Integration};
use crate::ffi::text;
use crate::headers::Headers;
use crate::spared::spared;
use ddtrace::http::{HTTP, HTTPS, Peer, Request, WS, WSS};
use ddtrace::record::FieldValue;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

/// Where Datadog's API has the span of a request.
const SPANS: &str = "datadog";

/// The status by which a server denies a websocket, if the application does not say another one.
const DENIED: u16 = 403;

/// The one by which it answers for an application that has not answered.
const FAILED: u16 = 500;

/// What a scope has under a name, be it text or bytes.
fn item(scope: &Bound<'_, PyDict>, name: &Bound<'_, PyString>) -> PyResult<Vec<u8>> {
    let Some(value) = scope.get_item(name)? else { return Ok(Vec::new()) };
    if let Ok(value) = value.cast::<PyString>() {
        return Ok(text(value).as_bytes().to_vec());
    }
    Ok(value.cast::<PyBytes>().map(|value| value.as_bytes().to_vec()).unwrap_or_default())
}

/// Whether a websocket is a tunnel (RFC 8441, RFC 9220). Before HTTP/2 it takes over the connection.
fn is_tunnel(version: &[u8]) -> bool {
    matches!(version.first(), Some(b'2' | b'3'))
}

pub(super) fn begin(
    integration: &Integration,
    py: Python<'_>,
    scope: &Bound<'_, PyDict>,
) -> PyResult<Option<Py<Call>>> {
    let is_websocket = match item(scope, intern!(py, "type"))?.as_slice() {
        b"http" => false,
        b"websocket" => true,
        _ => return Ok(None),
    };
    if let Some(call) = marked(scope)? {
        integration.name_span(call.get());
        return Ok(None);
    }
    let headers = match scope.get_item(intern!(py, "headers"))? {
        Some(headers) => Headers::of_pairs(&headers)?,
        None => Headers::of(&PyDict::new(py).into_any())?,
    };
    let version = item(scope, intern!(py, "http_version"))?;
    let method = match is_websocket {
        false => item(scope, intern!(py, "method"))?,
        true if is_tunnel(&version) => b"CONNECT".into(),
        true => b"GET".into(),
    };
    let mut target = item(scope, intern!(py, "raw_path"))?;
    if target.is_empty() {
        target = super::wsgi::quoted(&item(scope, intern!(py, "path"))?);
    }
    let query = item(scope, intern!(py, "query_string"))?;
    // Some servers leave it in the path.
    if !query.is_empty() && !target.contains(&b'?') {
        target.push(b'?');
        target.extend(query);
    }
    let scheme = item(scope, intern!(py, "scheme"))?;
    let client = scope.get_item(intern!(py, "client"))?;
    // A tuple, or the list that the specification has.
    let client = client.and_then(|client| pair(&client).ok());
    let (address, port) = client.unwrap_or_default();
    let request = Request {
        method: &method,
        target: &target,
        version: &version,
        scheme: match scheme.as_slice() {
            b"https" | b"wss" if is_websocket => WSS,
            _ if is_websocket => WS,
            b"https" => HTTPS,
            _ => HTTP,
        },
        peer: Peer { address: address.as_bytes(), port: port.filter(|port| *port != 0), is_unix: false },
    };
    let Begun::Traced(call) = integration.begin_server(py, scope, &request, &headers)? else { return Ok(None) };
    let call = Bound::new(py, call)?;
    mark(scope, &call)?;
    let spans = PyDict::new(py);
    spans.set_item("request_spans", [&call.get().span])?;
    scope.set_item(intern!(py, SPANS), spans)?;
    Ok(Some(call.unbind()))
}

/// Stands for `send`. Being no function of Python's it is in no traceback.
#[pyclass(frozen, module = "ddtrace_run")]
pub(crate) struct Sending {
    send: Py<PyAny>,
    call: Py<Call>,
    /// What it is handed to is a part of the application, whose answers others may still change.
    is_of_part: bool,
}

#[pymethods]
impl Sending {
    #[new]
    #[pyo3(signature = (send, call, is_of_part=false))]
    fn new(send: Py<PyAny>, call: Py<Call>, is_of_part: bool) -> Sending {
        Sending { send, call, is_of_part }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.send)?;
        visit.call(&self.call)
    }

    /// The application has left, by an exception if there is one.
    #[pyo3(signature = (error=None))]
    fn left(&self, py: Python<'_>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let call = self.call.get();
        if let Some(error) = error {
            call.failed(py, error)?;
        }
        // Who has gone, or is broken off, gets no answer.
        let gets_answer = error.is_none() || call.has_failed();
        if gets_answer && self.is_websocket() && !self.is_answered() {
            call.answer(FAILED, None);
        }
        Ok(())
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(message) = args.get_item(0) {
            spared(py, self.tell(py, &message))?;
        }
        self.send.bind(py).call(args, kwargs)
    }

    /// What is asked of the server's.
    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        self.send.bind(py).getattr(name)
    }
}

impl Sending {
    fn note_handled(&self, py: Python<'_>, status: u16) -> PyResult<()> {
        if self.call.get().is_error(status)
            && let Some(error) = handled(py)?
        {
            self.call.get().is_answered_for(error);
        }
        Ok(())
    }

    fn tell(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let Ok(message) = message.cast::<PyDict>() else { return Ok(()) };
        let call = self.call.get();
        match item(message, intern!(py, "type"))?.as_slice() {
            b"http.response.start" | b"websocket.http.response.start" => {
                let Some(status) = message.get_item(intern!(py, "status"))? else { return Ok(()) };
                let status = status.extract()?;
                if self.is_of_part {
                    return self.note_handled(py, status);
                }
                let headers = headers(message)?;
                if call.is_error(status) {
                    let handled = handled(py)?;
                    // Middlewares answer in another task.
                    if let Some(error) = handled.or_else(|| call.answered_for(py)) {
                        call.failed(py, &error)?;
                    }
                }
                call.answer(status, headers.as_ref());
            }
            // What the application does behind the response is no part of the request.
            b"http.response.body" | b"websocket.http.response.body" if !self.is_of_part => {
                let more = message.get_item(intern!(py, "more_body"))?;
                if !more.map(|more| more.is_truthy()).transpose()?.unwrap_or(false) {
                    call.end_and_stay(py)?;
                }
            }
            b"websocket.accept" if !self.is_of_part => {
                call.answer(self.accepts_with(), headers(message)?.as_ref());
                // It may last as long as the process does, and end with that.
                call.span.get().tell();
            }
            // To close what has not been accepted is to deny it.
            b"websocket.close" if !self.is_of_part && !self.is_answered() => call.answer(DENIED, None),
            _ => {}
        }
        Ok(())
    }

    /// The status by which a server accepts a websocket.
    fn accepts_with(&self) -> u16 {
        let is_tunnel = self.call.get().span.get().read(|data| {
            matches!(data.attribute("network.protocol.version"), Some(FieldValue::Text(version)) if is_tunnel(version))
        });
        if is_tunnel { 200 } else { 101 }
    }

    fn is_websocket(&self) -> bool {
        self.call.get().span.get().read(|data| {
            let scheme = data.attribute("url.scheme");
            matches!(scheme, Some(FieldValue::Text(scheme)) if scheme == WS.0 || scheme == WSS.0)
        })
    }

    fn is_answered(&self) -> bool {
        self.call.get().span.get().read(|data| data.attribute("http.response.status_code").is_some())
    }
}

/// The headers of an answer, if anybody wants them.
fn headers(message: &Bound<'_, PyDict>) -> PyResult<Option<Headers>> {
    match message.get_item(intern!(message.py(), "headers"))? {
        Some(headers) if super::describe::wants_headers() => Headers::of_pairs(&headers).map(Some),
        _ => Ok(None),
    }
}

/// The exception that is answered for, if one is: frameworks send the answer while they handle it. Exceptions that are answers
/// themselves are no failures of the program.
fn handled(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let handled = py.import("sys")?.call_method0("exc_info")?.get_item(1)?;
    Ok((!handled.is_none() && !handled.hasattr(intern!(py, "status_code"))?).then_some(handled))
}
