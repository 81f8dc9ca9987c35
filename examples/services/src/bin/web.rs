//! A web service that calls the next one:
//!
//! ```sh
//! ddtrace-run web 8080 http://127.0.0.1:8081 &
//! ddtrace-run web 8081 &
//! curl http://127.0.0.1:8080/orders/7
//! ```

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn;
use axum::routing::get;
use ddtrace_example_services::{call, trace_request};
use opentelemetry::trace::{TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What the handlers know.
#[derive(Clone)]
struct Service {
    /// The service that is asked for prices, if there is one.
    next: Option<Arc<str>>,
    /// Somebody has asked for the end.
    end: Arc<Notify>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = ddtrace::init().inspect_err(|error| eprintln!("web: {error}")).ok();
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().unwrap_or_else(|| "8080".to_owned());
    let service = Service { next: arguments.next().map(Arc::from), end: Arc::default() };
    let end = Arc::clone(&service.end);
    let routes = Router::new()
        .route("/orders/{id}", get(order))
        .route("/prices", get(prices))
        .route("/broken", get(broken))
        .route("/stuck", get(stuck))
        .route("/end", get(finish))
        .route_layer(from_fn(trace_request))
        .with_state(service);
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, routes).with_graceful_shutdown(async move { end.notified().await }).await?;
    Ok(())
}

/// Looks the order up, and asks the next service for the prices.
async fn order(State(service): State<Service>, Path(id): Path<i64>) -> Result<String, StatusCode> {
    let context = Context::current();
    context.span().set_attribute(KeyValue::new("order.id", id));
    global::tracer("web").in_span("look up", |lookup| {
        lookup.span().add_event("cache miss", vec![KeyValue::new("cache.key", format!("order-{id}"))]);
    });
    let Some(next) = &service.next else { return Ok(format!("order {id}\n")) };
    let uri: Uri = format!("{next}/prices").parse().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let (status, prices) = call(Method::GET, uri, "").await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    if !status.is_success() {
        return Err(StatusCode::BAD_GATEWAY);
    }
    Ok(format!("order {id} costs {}\n", String::from_utf8_lossy(&prices)))
}

async fn prices() -> &'static str {
    "42"
}

async fn broken() -> StatusCode {
    let error = std::io::Error::other("out of order");
    Context::current().span().record_error(&error);
    StatusCode::INTERNAL_SERVER_ERROR
}

/// Does something at once, and then nothing for a long time.
async fn stuck() {
    global::tracer("web").in_span("done before", |_| {});
    println!("stuck");
    tokio::time::sleep(Duration::from_secs(600)).await;
}

async fn finish(State(service): State<Service>) {
    service.end.notify_one();
}
