//! The SDK's OTLP exporter, with finished values for all that it would otherwise read from the environment.

use super::http::Client;
use super::tls;
use crate::config::{OtlpConfig, OtlpProtocol, masked_url};
use crate::otel::InitError;
use ::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::{Compression, Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use std::string::{String, ToString};
use std::time::Duration;
use tokio::runtime::Handle;

/// What stands for "no limit", as the exporter knows none: longer than any program waits.
const NO_LIMIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// An exporter to the receiver of `config`; its connections live on `runtime`. Nothing is connected yet.
pub(super) fn build(config: &OtlpConfig, runtime: &Handle) -> Result<SpanExporter, InitError> {
    let endpoint: Uri = config.endpoint.parse().map_err(|error: ::http::uri::InvalidUri| InitError::Endpoint {
        endpoint: masked_url(&config.endpoint),
        reason: error.to_string(),
    })?;
    let headers = headers(config);
    let secure = endpoint.scheme_str() == Some("https");
    match config.protocol {
        OtlpProtocol::HttpProtobuf => over_http(config, Protocol::HttpBinary, headers, secure, runtime),
        OtlpProtocol::HttpJson => over_http(config, Protocol::HttpJson, headers, secure, runtime),
        OtlpProtocol::Grpc => over_grpc(config, headers, secure, runtime),
    }
}

fn headers(config: &OtlpConfig) -> HeaderMap {
    // The configuration has no others than those that can be sent.
    let sendable = |(name, value): &(String, String)| {
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    };
    config.headers.iter().filter_map(sendable).collect()
}

fn over_http(
    config: &OtlpConfig,
    protocol: Protocol,
    headers: HeaderMap,
    secure: bool,
    runtime: &Handle,
) -> Result<SpanExporter, InitError> {
    let mut client = reqwest::Client::builder()
        // A redirected request would carry the headers, which may be secrets, to somebody else.
        .redirect(reqwest::redirect::Policy::none())
        // Given even where it is not needed: the client would look for a provider of cryptography otherwise.
        .tls_backend_preconfigured(tls::client_config(config, secure)?);
    if let Some(timeout) = config.timeout {
        client = client.timeout(timeout);
    }
    let client = client.build().map_err(InitError::Client)?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new(client, headers, runtime.clone()))
        .with_protocol(protocol)
        .with_endpoint(&config.endpoint)
        .with_timeout(config.timeout.unwrap_or(NO_LIMIT));
    if config.gzip {
        exporter = exporter.with_compression(Compression::Gzip);
    }
    exporter.build().map_err(InitError::Exporter)
}

fn over_grpc(
    config: &OtlpConfig,
    headers: HeaderMap,
    secure: bool,
    runtime: &Handle,
) -> Result<SpanExporter, InitError> {
    // The channel starts its task on the runtime that it finds.
    let _entered = runtime.enter();
    let mut exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&config.endpoint)
        .with_timeout(config.timeout.unwrap_or(NO_LIMIT))
        .with_metadata(MetadataMap::from_headers(headers));
    if secure {
        exporter = exporter.with_tls_config(tls::for_grpc(config)?);
    }
    if config.gzip {
        exporter = exporter.with_compression(Compression::Gzip);
    }
    exporter.build().map_err(InitError::Exporter)
}
