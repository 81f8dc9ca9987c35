//! The HTTP client that the SDK's exporter sends through.

use async_trait::async_trait;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Request, Response};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use std::boxed::Box;
use tokio::runtime::Handle;

/// Sends on a runtime of its own, since the exporter is driven by a plain thread, and with exactly the headers that were
/// configured, since the exporter reads variables of its own accord.
#[derive(Debug)]
pub(super) struct Client {
    client: reqwest::Client,
    headers: HeaderMap,
    runtime: Handle,
}

impl Client {
    pub(super) fn new(client: reqwest::Client, headers: HeaderMap, runtime: Handle) -> Self {
        Client { client, headers, runtime }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let given = std::mem::replace(request.headers_mut(), self.headers.clone());
        for name in [CONTENT_TYPE, CONTENT_ENCODING, USER_AGENT] {
            if let Some(value) = given.get(&name) {
                request.headers_mut().entry(name).or_insert_with(|| value.clone());
            }
        }
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}
