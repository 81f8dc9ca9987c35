//! A server that knows nothing of tracing: `plain_web PORT URL`. It hands on what it gets from URL.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (port, url) = (arguments.next().ok_or("a port")?, arguments.next().ok_or("a URL")?);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let hand_on = move |Path(path): Path<String>| async move {
        let asked = client.get(format!("{url}/{path}")).send().await;
        let answer = async { asked?.error_for_status()?.bytes().await };
        answer.await.map_err(|error| error.to_string())
    };
    let app = Router::new().route("/own", get(|| async { "my own" })).route("/up/{path}", get(hand_on));
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    Ok(axum::serve(listener, app).await?)
}
