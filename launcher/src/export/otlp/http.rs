//! OTLP over HTTP, in protobuf or JSON.

use super::{USER_AGENT, accepted, json, tls_files, unsuccessful};
use crate::export::answer_limit::AnswerLimit;
use crate::export::http::{Address, Client, Proxies, Response};
use crate::export::{Backend, Format, Outcome};
use ddtrace::config::{OtlpConfig, OtlpProtocol};
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use std::io::Write;
use std::time::Instant;

/// An OTLP receiver over HTTP.
pub struct OtlpHttp {
    client: Client,
    headers: HeaderMap,
    json: bool,
    gzip: bool,
    limit: Option<AnswerLimit>,
}

impl OtlpHttp {
    /// The largest request, in bytes before compression, that receivers are recommended to take.
    pub const MOST_BYTES: usize = 64 * 1024 * 1024;

    /// A receiver; nothing is connected yet.
    ///
    /// # Errors
    /// A message that names the setting that cannot be used, never a header's value.
    pub fn new(config: &OtlpConfig) -> Result<Self, String> {
        let address = Address::parse(&config.endpoint).map_err(|error| format!("OTLP endpoint: {error}"))?;
        let json = config.protocol == OtlpProtocol::HttpJson;
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let header = HeaderName::try_from(name.as_str())
                .map_err(|_| format!("OTLP header {name:?} is not a header name; spans cannot be sent"))?;
            let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| {
                format!("the value of OTLP header {name:?} has control characters; spans cannot be sent")
            })?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        let content_type = if json { "application/json" } else { "application/x-protobuf" };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
        if config.gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let client = Client::new(address, tls_files(config), Proxies::from_environment());
        Ok(OtlpHttp { client, headers, json, gzip: config.gzip, limit: config.timeout.map(AnswerLimit::new) })
    }

    /// Sends a request that may be empty, which is how a receiver is recognised.
    pub(in crate::export) async fn export(&mut self, payload: &Bytes) -> Outcome {
        let body = if self.json {
            match ExportTraceServiceRequest::decode(&payload[..]) {
                Ok(request) => Bytes::from(json::to_json(&request)),
                Err(error) => {
                    return Outcome::Refused { reason: format!("spans cannot be read back and are dropped: {error}") };
                }
            }
        } else {
            payload.clone()
        };
        if body.len() > Self::MOST_BYTES {
            return Outcome::TooLarge;
        }
        let body = if self.gzip { Bytes::from(compressed(&body)) } else { body };
        let (begun, limit) = (Instant::now(), self.limit.map(|limit| limit.current()));
        match self.client.send(Method::POST, "", &self.headers, body, limit).await {
            Ok(response) => {
                self.limit.iter_mut().for_each(|limit| limit.answered(begun.elapsed()));
                self.outcome(&response)
            }
            Err(failure) => {
                self.limit.iter_mut().filter(|_| failure.is_late()).for_each(AnswerLimit::missed);
                Outcome::Retry { after: None, reason: self.says(&failure) }
            }
        }
    }

    fn says(&self, what: &dyn std::fmt::Display) -> String {
        format!("OTLP receiver at {}: {what}", self.destination())
    }

    fn outcome(&self, response: &Response) -> Outcome {
        let status = response.status;
        let said = || match response.excerpt() {
            text if text.is_empty() => self.says(&status),
            text => self.says(&format!("{status}: {text}")),
        };
        if status.is_success() {
            return accepted(self.partial_success(response), &self.destination());
        }
        unsuccessful(status, response.retry_after(), said())
    }

    /// A body that cannot be read leaves the success that the status declares.
    fn partial_success(&self, response: &Response) -> Option<ExportTracePartialSuccess> {
        if let Some(why) = &response.unread {
            let what = "but whether it has rejected some of the spans cannot be read";
            tracing::debug!("{}, {what}: {why}", self.says(&response.status));
            return None;
        }
        if self.json {
            return json::partial_success(&response.body);
        }
        ExportTraceServiceResponse::decode(response.body.clone()).ok()?.partial_success
    }
}

fn compressed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing into memory cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

impl Backend for OtlpHttp {
    fn format(&self) -> Format {
        Format::Otlp
    }

    async fn send(&mut self, payload: &Bytes) -> Outcome {
        self.export(payload).await
    }

    fn name(&self) -> &'static str {
        "OTLP receiver"
    }

    fn destination(&self) -> String {
        self.client.address().to_string()
    }
}

#[cfg(test)]
mod tests;
