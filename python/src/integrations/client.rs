//! Requests that the program makes.

use super::describe::{Told, tag_headers, wants_headers};
use super::{Call, Integration};
use crate::context::Context;
use crate::headers::Headers;
use crate::shown::shown;
use crate::span::Span;
use crate::spared::spared;
use crate::store::{self, Active};
use ddtrace::http::{self, HTTP, HTTPS, Peer, Request};
use ddtrace::semconv::{INTEGRATION_SCOPE, REQUEST_HEADER};
use ddtrace::span::SpanKind;
use pyo3::intern;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Whether a span stands for all that is asked for while it is active.
pub(super) fn is_client(active: &Active<'_>) -> bool {
    matches!(active, Active::Span(span) if span.get().role() == SpanKind::Client)
}

/// The same of a span that an integration of ours has made.
pub(crate) fn stands_for_all(active: &Active<'_>) -> bool {
    let is_ours = |span: &Span| span.read(|data| data.scope_name().starts_with(INTEGRATION_SCOPE));
    is_client(active) && matches!(active, Active::Span(span) if is_ours(span.get()))
}

/// Whether headers have a context of another trace: somebody has put it there on purpose.
fn have_anothers(headers: &Bound<'_, PyAny>, context: &Context) -> PyResult<bool> {
    let py = headers.py();
    let own = context.span_context().trace_id;
    let value = |name: &str| -> PyResult<Option<String>> {
        let value = spared(py, headers.call_method1(intern!(py, "get"), (name,)).map(Some))?;
        value.filter(|value| !value.is_none()).map(|value| shown(&value)).transpose()
    };
    if let Some(parent) = value("traceparent")? {
        let sender = parent.split('-').nth(2).and_then(|id| u64::from_str_radix(id, 16).ok());
        return Ok(!parent.contains(&format!("{:032x}", own.0)) && !sender.is_some_and(was_put_in));
    }
    let sender = value("x-datadog-parent-id")?.and_then(|id| id.parse().ok());
    Ok(value("x-datadog-trace-id")?.is_some_and(|id| id != own.low().to_string()) && !sender.is_some_and(was_put_in))
}

/// The last spans whose contexts were put into headers: a request object that is sent once more still has them.
static PUT_IN: [AtomicU64; 4096] = [const { AtomicU64::new(0) }; 4096];

fn was_put_in(span_id: u64) -> bool {
    PUT_IN.iter().any(|known| known.load(Ordering::Relaxed) == span_id)
}

fn inject(headers: &Bound<'_, PyAny>, context: &Context) -> PyResult<()> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    if have_anothers(headers, context)? {
        return Ok(());
    }
    let place = NEXT.fetch_add(1, Ordering::Relaxed) % PUT_IN.len();
    PUT_IN[place].store(context.span_context().span_id.0, Ordering::Relaxed);
    context.inject(headers)
}

/// Whether a request delivers what an SDK of the program's own, or another tracer, has recorded.
fn is_telemetry(py: Python<'_>, method: &str, url: &str, headers: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    let (method, target) = (method.as_bytes(), url.as_bytes());
    if !http::may_be_telemetry(method, target) {
        return Ok(false);
    }
    let sent = spared(py, headers.map(Headers::of).transpose())?;
    Ok(http::is_telemetry(method, target, &sent.unwrap_or_default()))
}

/// Begins the span of a request, and writes its context into the headers; None where somebody else tells of it.
pub(super) fn begin(
    integration: &Integration,
    py: Python<'_>,
    method: &str,
    url: &str,
    headers: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<Call>> {
    if !integration.is_on() {
        return Ok(None);
    }
    let before = store::active(py)?;
    if is_client(&before) {
        return Ok(None);
    }
    let method = method.to_ascii_uppercase();
    if is_telemetry(py, &method, url, headers)? {
        return Ok(None);
    }
    let to = headers.filter(|_| integration.is_distributed);
    if !integration.records() {
        if let (Active::Context(context), Some(headers)) = (&before, to) {
            inject(headers, context.get())?;
        }
        return Ok(None);
    }
    let secure = url.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("https:"));
    let request = Request {
        method: method.as_bytes(),
        target: url.as_bytes(),
        version: b"",
        scheme: if secure { HTTPS } else { HTTP },
        peer: Peer::default(),
    };
    let sent = match headers.filter(|_| wants_headers()) {
        Some(headers) => spared(py, Headers::of(headers).map(Some))?,
        None => None,
    };
    let name = String::from_utf8_lossy(request.name());
    let span = integration.begin(py, &name, SpanKind::Client, before.clone(), |data| {
        http::describe_client(&mut Told(data), &request, b"");
        if let Some(sent) = &sent {
            tag_headers(data, sent, REQUEST_HEADER);
        }
    })?;
    let call = Call::new(span.clone(), SpanKind::Client, &before);
    if let Some(headers) = to {
        let context = Span::context(&span)?;
        // What cannot be written is not handed on.
        if let Err(error) = spared(py, inject(headers, context.get())) {
            call.finish(py)?;
            return Err(error);
        }
    }
    Ok(Some(call))
}
