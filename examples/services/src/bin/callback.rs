//! The service that the W3C trace-context tests talk to: for each element of a JSON array
//! `[{"url": …, "arguments": …}, …]` it sends the arguments to the url, within the trace of the request.

use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn;
use axum::routing::post;
use ddtrace_example_services::{call, trace_request};
use serde_json::Value;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = ddtrace::init().inspect_err(|error| eprintln!("callback: {error}")).ok();
    let routes = Router::new().route("/test", post(call_back)).route_layer(from_fn(trace_request));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    Ok(axum::serve(listener, routes).await?)
}

async fn call_back(body: Bytes) -> StatusCode {
    let Ok(Value::Array(calls)) = serde_json::from_slice(&body) else { return StatusCode::BAD_REQUEST };
    for one in &calls {
        let Some(uri) = one["url"].as_str().and_then(|url| url.parse::<Uri>().ok()) else {
            return StatusCode::BAD_REQUEST;
        };
        if call(Method::POST, uri, one["arguments"].to_string()).await.is_err() {
            return StatusCode::BAD_GATEWAY;
        }
    }
    StatusCode::OK
}
