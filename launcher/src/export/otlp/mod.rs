//! Sends to an OTLP receiver.

mod encode;
mod grpc;
mod http;
pub mod json;
mod trace_state;

pub use encode::{is_sent, trace_request};
pub use grpc::OtlpGrpc;
pub use http::OtlpHttp;

use super::http::TlsFiles;
use ddtrace::config::OtlpConfig;
use hyper::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
use std::time::Duration;

/// Who is asking: the product, then the exporter as OTLP names it.
const USER_AGENT: &str =
    concat!("ddtrace-run/", env!("CARGO_PKG_VERSION"), " OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));

fn tls_files(config: &OtlpConfig) -> TlsFiles {
    TlsFiles {
        certificate: config.certificate.clone(),
        client_key: config.client_key.clone(),
        client_certificate: config.client_certificate.clone(),
    }
}

/// What a receiver that took the request says about it. A request with a partial success is never sent again.
fn accepted(partial: Option<ExportTracePartialSuccess>, receiver: &str) -> super::Outcome {
    let Some(partial) = partial else { return super::Outcome::Delivered { rejected: 0, message: None } };
    let rejected = u64::try_from(partial.rejected_spans).unwrap_or(0);
    let said = partial.error_message;
    let message = match (rejected, said.is_empty()) {
        (0, true) => None,
        (0, false) => Some(format!("OTLP receiver at {receiver} warns: {said}")),
        (_, true) => Some(format!("OTLP receiver at {receiver} rejected {rejected} spans; they are dropped")),
        (_, false) => Some(format!("OTLP receiver at {receiver} rejected {rejected} spans; they are dropped: {said}")),
    };
    super::Outcome::Delivered { rejected, message }
}

/// What a status of HTTP that is no success means for the spans.
fn unsuccessful(status: StatusCode, retry_after: Option<Duration>, said: String) -> super::Outcome {
    match status.as_u16() {
        429 | 502 | 503 | 504 => super::Outcome::Retry { after: retry_after, reason: said },
        413 => super::Outcome::TooLarge,
        _ => refused(&said),
    }
}

fn refused(said: &str) -> super::Outcome {
    super::Outcome::Refused { reason: format!("{said}; the spans are dropped") }
}

/// Bounds a wait; no limit is no bound.
async fn within<F: Future>(limit: Option<Duration>, future: F) -> Result<F::Output, String> {
    match limit {
        None => Ok(future.await),
        Some(limit) => tokio::time::timeout(limit, future).await.map_err(|_| format!("no answer within {limit:?}")),
    }
}
