//! A server that knows nothing of tracing: `plain_web PORT URL`. It hands on what it gets from URL, for `/passed/` with the context
//! that it was asked with.

use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::routing::get;
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (port, url) = (arguments.next().ok_or("a port")?, arguments.next().ok_or("a URL")?);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let hand_on = move |uri: Uri, headers: HeaderMap| async move {
        let asked = uri.to_string();
        let (path, is_passed) = match asked.strip_prefix("/passed") {
            Some(path) => (path, true),
            None => (asked.trim_start_matches("/up"), false),
        };
        let mut request = client.get(format!("{url}{path}"));
        if let Some(context) = headers.get("traceparent").filter(|_| is_passed) {
            request = request.header("traceparent", context);
        }
        let answer = async { request.send().await?.error_for_status()?.bytes().await };
        answer.await.map_err(|error| error.to_string())
    };
    let app = Router::new()
        .route("/own", get(|| async { "my own" }))
        .route("/up/{path}", get(hand_on.clone()))
        .route("/passed/{path}", get(hand_on));
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    Ok(axum::serve(listener, app).await?)
}
