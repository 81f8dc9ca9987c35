//! What the services share: a middleware that makes a span of each request, and a client that makes one of each call.
//!
//! Programs in the wild take both from a library; here they show how little is needed. Nothing in them knows of
//! `ddtrace`: they use the global provider and propagator that `ddtrace::init()` has set.

use axum::body::Bytes;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::{FutureExt, Span, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use std::sync::LazyLock;

/// What the pages for users have in Rust is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/rust.md")]
#[doc = include_str!("../../../docs/c-interface.md")]
struct Pages;

/// Continues the caller's trace, or begins one, and makes a span of the request.
pub async fn trace_request(request: Request, next: Next) -> Response {
    let context = global::get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor(request.headers())));
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let method = request.method().to_string();
    let tracer = global::tracer("services");
    let span = tracer
        .span_builder(format!("{method} {route}"))
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route),
            KeyValue::new("url.path", request.uri().path().to_owned()),
        ])
        .start_with_context(&tracer, &context);
    let context = context.with_span(span);
    let response = next.run(request).with_context(context.clone()).await;
    let span = context.span();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(response.status().as_u16())));
    if response.status().is_server_error() {
        span.set_status(Status::error(""));
    }
    span.end();
    response
}

/// Why a call failed.
pub type CallError = Box<dyn std::error::Error + Send + Sync>;

/// Calls another service within the current trace, and gives its answer.
///
/// # Errors
/// When it cannot be reached, or the answer breaks off.
pub async fn call(method: Method, uri: Uri, body: impl Into<Bytes>) -> Result<(StatusCode, Bytes), CallError> {
    static CLIENT: LazyLock<Client<HttpConnector, Full<Bytes>>> =
        LazyLock::new(|| Client::builder(TokioExecutor::new()).build_http());
    let tracer = global::tracer("services");
    let mut span = tracer
        .span_builder(method.to_string())
        .with_kind(SpanKind::Client)
        .with_attributes([
            KeyValue::new("http.request.method", method.to_string()),
            KeyValue::new("server.address", uri.host().unwrap_or_default().to_owned()),
            KeyValue::new("server.port", i64::from(uri.port_u16().unwrap_or(80))),
        ])
        .start(&tracer);
    let mut headers = HeaderMap::new();
    // Only the context is needed, not the span in it, which stays here to be filled.
    let context = Context::current().with_remote_span_context(span.span_context().clone());
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut HeaderInjector(&mut headers))
    });
    let mut request = Request::new(Full::new(body.into()));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let response = CLIENT.request(request).await.inspect_err(|error| {
        span.record_error(error);
        span.set_status(Status::error(error.to_string()));
    })?;
    let status = response.status();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if status.is_client_error() || status.is_server_error() {
        span.set_status(Status::error(""));
    }
    let body = response.into_body().collect().await?.to_bytes();
    span.end();
    Ok((status, body))
}
