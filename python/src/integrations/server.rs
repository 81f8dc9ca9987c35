//! Requests that reach the program.

use super::describe::{Told, tag_headers};
use super::{Call, Integration};
use crate::engine::engine;
use crate::headers::{self, Headers};
use crate::published;
use crate::span::Span;
use crate::store::{self, Active};
use ddtrace::http::{self, Peer, Request};
use ddtrace::propagation::Carrier;
use ddtrace::semconv::{REQUEST_HEADER, is_request};
use ddtrace::span::SpanKind;
use ddtrace::tracer::{Parent, Start};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::net::SocketAddr;

/// What becomes of a request.
pub(super) enum Begun {
    /// It is traced.
    Traced(Call),
    /// It is a part of one that somebody else traces, or nobody is to.
    Left,
    /// Nothing is recorded, but what has come in is handed on: what was active before.
    HandedOn(Py<PyAny>),
}

impl Integration {
    /// Begins the span of a request.
    /// `given` is the `environ` or the scope.
    pub(super) fn begin_server(
        &self,
        py: Python<'_>,
        given: &Bound<'_, PyDict>,
        request: &Request<'_>,
        headers: &Headers,
    ) -> PyResult<Begun> {
        if !self.is_on() {
            return Ok(Begun::Left);
        }
        let before = store::active(py)?;
        if let Active::Span(span) = &before
            && is_server(span)
        {
            return Ok(Begun::Left);
        }
        let incoming = if self.is_distributed { self.incoming(py, &before, headers)? } else { None };
        if !self.records() {
            if let Some(incoming) = &incoming {
                store::activate(py, incoming)?;
            }
            return Ok(Begun::HandedOn(before.object(py).unbind()));
        }
        let parent = incoming.unwrap_or_else(|| before.clone());
        let name = String::from_utf8_lossy(request.name());
        let start = Start {
            kind: SpanKind::Server,
            peer: connected(given)?.or_else(|| socket(&request.peer)),
            ..Start::new(String::from(name), Parent::None)
        };
        let span = self.begin_as(py, start, parent, |data| {
            http::describe_server(&mut Told(data), request, headers, engine().resolution.config.client_address());
            tag_headers(data, headers, REQUEST_HEADER);
        })?;
        published::leave_requests();
        Ok(Begun::Traced(Call::new(span, SpanKind::Server, &before)))
    }

    /// What has come in, if it is another trace than the active one.
    fn incoming<'py>(&self, py: Python<'py>, before: &Active<'py>, headers: &Headers) -> PyResult<Option<Active<'py>>> {
        let carrier: &dyn Carrier = headers;
        let context = headers::extract(carrier);
        let is_nothing = context
            .extracted()
            .is_none_or(|came| came.context.is_none() && !came.has_baggage && came.links.iter().all(Option::is_none));
        if is_nothing {
            return Ok(None);
        }
        let trace_id = context.span_context().trace_id;
        let here = match before {
            Active::Nothing => None,
            Active::Span(span) => Some(span.get().trace().trace_id()),
            Active::Context(context) => Some(context.get().span_context().trace_id),
        };
        if here.is_some_and(|here| here == trace_id || !trace_id.is_valid()) {
            return Ok(None);
        }
        context.handed_over();
        Ok(Some(Active::Context(Bound::new(py, context)?)))
    }
}

/// Where an integration of a server notes who is connected, if the server tells the application something else, or less.
const CONNECTED: &str = "ddtrace_run.connected";

/// What such a note says, which is taken away.
fn connected(given: &Bound<'_, PyDict>) -> PyResult<Option<SocketAddr>> {
    let name = intern!(given.py(), CONNECTED);
    let Some(noted) = given.get_item(name)? else { return Ok(None) };
    given.del_item(name)?;
    let Ok((address, port)) = pair(&noted) else { return Ok(None) };
    Ok(socket(&Peer { address: address.as_bytes(), port, is_unix: false }))
}

/// Address and port, however they are held together.
pub(super) fn pair(noted: &Bound<'_, PyAny>) -> PyResult<(String, Option<u16>)> {
    Ok((noted.get_item(0)?.extract()?, noted.get_item(1)?.extract()?))
}

/// Who has made a request, in a form by which connections can be looked for.
fn socket(peer: &Peer<'_>) -> Option<SocketAddr> {
    let address = str::from_utf8(peer.address).ok()?.parse().ok()?;
    Some(SocketAddr::new(address, peer.port?))
}

/// Whether a span is of a request that somebody else has begun to tell of.
fn is_server(span: &Bound<'_, Span>) -> bool {
    is_request(span.get().role() as u8)
}
