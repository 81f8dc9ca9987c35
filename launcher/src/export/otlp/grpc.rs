//! OTLP over gRPC.

mod answer;

use super::{USER_AGENT, accepted, refused, tls_files, unsuccessful, within};
use crate::export::answer_limit::AnswerLimit;
use crate::export::http::{Address, Proxies, Stream, Tls, Transport, TunnelFor, connect};
use crate::export::{Backend, Format, Outcome};
use answer::{Answer, Heard, lock};
use ddtrace::config::OtlpConfig;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use std::pin::Pin;
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// An OTLP receiver over gRPC.
pub struct OtlpGrpc {
    client: TraceServiceClient<Heard<Channel>>,
    answer: Arc<StdMutex<Answer>>,
    address: Address,
    metadata: MetadataMap,
    limit: Option<AnswerLimit>,
}

impl OtlpGrpc {
    /// Many receivers take no larger message than this, in bytes.
    pub const MOST_BYTES: usize = 4 * 1024 * 1024;

    /// A receiver; nothing is connected yet. Must be called on a runtime.
    ///
    /// # Errors
    /// A message that names the setting that cannot be used, never a header's value.
    pub fn new(config: &OtlpConfig) -> Result<Self, String> {
        let address = Address::parse(&config.endpoint).map_err(|error| format!("OTLP endpoint: {error}"))?;
        let mut metadata = MetadataMap::new();
        for (name, value) in &config.headers {
            let key: MetadataKey<Ascii> = name
                .parse()
                .map_err(|_| format!("OTLP header {name:?} is not a gRPC header name; spans cannot be sent"))?;
            let value: MetadataValue<Ascii> = value
                .parse()
                .map_err(|_| format!("the value of OTLP header {name:?} is not ASCII text; spans cannot be sent"))?;
            metadata.insert(key, value);
        }
        let connector = Connector {
            transport: address.transport.clone(),
            tls: Arc::new(Mutex::new(Tls::new(tls_files(config), b"h2"))),
            proxies: Proxies::from_environment(),
        };
        let secure = matches!(address.transport, Transport::Tcp { tls: true, .. });
        let origin = format!("{}://{}", if secure { "https" } else { "http" }, address.authority());
        let origin: Uri = origin.parse().map_err(|error| format!("OTLP endpoint {address}: {error}"))?;
        // The connector speaks TLS by itself; an https URI would make tonic, if built with TLS, add its own.
        let channel = Endpoint::from_shared(format!("http://{}", address.authority()))
            .and_then(|endpoint| endpoint.origin(origin).user_agent(USER_AGENT))
            .map_err(|error| format!("OTLP endpoint {address}: {error}"))?
            .connect_with_connector_lazy(connector);
        let channel = Heard::new(channel);
        let answer = channel.answer();
        let mut client = TraceServiceClient::new(channel)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(Self::MOST_BYTES);
        if config.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        Ok(OtlpGrpc { client, answer, address, metadata, limit: config.timeout.map(AnswerLimit::new) })
    }

    /// Sends a request that may be empty, which is how a receiver is recognised.
    pub(in crate::export) async fn export(&mut self, message: ExportTraceServiceRequest) -> Outcome {
        if message.encoded_len() > Self::MOST_BYTES {
            return Outcome::TooLarge;
        }
        let mut request = Request::from_parts(self.metadata.clone(), Default::default(), message);
        let (begun, limit) = (Instant::now(), self.limit.map(|limit| limit.current()));
        if let Some(limit) = limit {
            request.set_timeout(limit);
        }
        *lock(&self.answer) = Answer::default();
        let answer = within(limit, self.client.export(request)).await;
        // Who was told when it would be too late may say so itself.
        let is_late = !matches!(answer, Ok(Ok(_))) && limit.is_some_and(|limit| begun.elapsed() >= limit);
        match &mut self.limit {
            Some(limit) if is_late => limit.missed(),
            Some(limit) if matches!(answer, Ok(Ok(_))) => limit.answered(begun.elapsed()),
            _ => {}
        }
        match answer {
            Ok(Ok(response)) => accepted(response.into_inner().partial_success, &self.destination()),
            Ok(Err(status)) => outcome(&status, &lock(&self.answer), &self.destination()),
            Err(late) => Outcome::Retry { after: None, reason: format!("OTLP receiver at {}: {late}", self.address) },
        }
    }
}

impl Backend for OtlpGrpc {
    fn format(&self) -> Format {
        Format::Otlp
    }

    async fn send(&mut self, payload: &Bytes) -> Outcome {
        match ExportTraceServiceRequest::decode(&payload[..]) {
            Ok(request) => self.export(request).await,
            Err(error) => Outcome::Refused { reason: format!("spans cannot be read back and are dropped: {error}") },
        }
    }

    fn name(&self) -> &'static str {
        "OTLP receiver"
    }

    fn destination(&self) -> String {
        self.address.to_string()
    }
}

/// What a failed call means for the spans. What the receiver said goes by OTLP's rules; where it said nothing, as the
/// connection broke or what came is no gRPC, it is asked again.
fn outcome(status: &Status, answer: &Answer, destination: &str) -> Outcome {
    let cause = std::error::Error::source(status).map(described).unwrap_or_default();
    let said = format!("OTLP receiver at {destination}: {:?}: {}{cause}", status.code(), status.message());
    // Made up by this side, and like a response over HTTP that is too long not to be tried again.
    if status.code() == Code::OutOfRange && status.message().starts_with("Error, decoded message length too large") {
        return refused(&said);
    }
    let Some(code) = answer.grpc else {
        return match answer.http {
            Some(http) if !http.is_success() => unsuccessful(http, answer.retry_after, said),
            _ => Outcome::Retry { after: None, reason: said },
        };
    };
    let asked_to_wait = retry_delay(status.details());
    match code {
        // It has taken them; what it says beside that cannot be read.
        Code::Ok => accepted(None, destination),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Outcome::Retry { after: asked_to_wait, reason: said },
        Code::ResourceExhausted if asked_to_wait.is_some() => Outcome::Retry { after: asked_to_wait, reason: said },
        // This code also says that a message is too large, and only the text tells the two apart.
        Code::ResourceExhausted if status.message().contains("larger than max") => Outcome::TooLarge,
        _ => refused(&said),
    }
}

fn described(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// The delay of the `google.rpc.RetryInfo` among the details of a status.
fn retry_delay(details: &[u8]) -> Option<Duration> {
    let details = RpcStatus::decode(details).ok()?.details;
    let info = details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay?;
    Some(Duration::new(u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?.min(999_999_999)))
}

/// `google.rpc.Status`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<AnyMessage>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct AnyMessage {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// Lets the gRPC channel connect as everything else here does: the same TLS settings, proxies and messages.
#[derive(Clone)]
struct Connector {
    transport: Transport,
    tls: Arc<Mutex<Tls>>,
    proxies: Proxies,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Connector { transport, tls, proxies } = self.clone();
        Box::pin(async move {
            let stream = connect(&transport, &mut *tls.lock().await, &proxies, TunnelFor::Everything).await;
            stream.map(TokioIo::new).map_err(std::io::Error::other)
        })
    }
}

#[cfg(test)]
mod tests;
