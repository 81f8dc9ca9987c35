use super::super::trace_request;
use super::*;
use crate::export::Batch;
use crate::export::test_tls::Authority;
use crate::export::testing::{self, SendBatch, batch, chunk, resource, rich_span};
use ddtrace::config::OtlpProtocol;
use ddtrace_test_support::{Manner, Moment, http2};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use std::io;
use std::sync::Mutex as StdMutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::TcpIncoming;

#[derive(Clone, Default)]
struct Receiver {
    answer: Option<Status>,
    partial: Option<ExportTracePartialSuccess>,
    received: Arc<StdMutex<Vec<(MetadataMap, ExportTraceServiceRequest)>>>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        self.received.lock().unwrap().push((metadata, message));
        match self.answer.clone() {
            Some(status) => Err(status),
            None => Ok(tonic::Response::new(ExportTraceServiceResponse { partial_success: self.partial.clone() })),
        }
    }
}

impl Receiver {
    fn start(&self) -> OtlpConfig {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = incoming.local_addr().unwrap().port();
        let service = TraceServiceServer::new(self.clone()).accept_compressed(CompressionEncoding::Gzip);
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        OtlpConfig {
            endpoint: format!("http://localhost:{port}"),
            protocol: OtlpProtocol::Grpc,
            headers: vec![(String::from("api-key"), String::from("secret"))],
            ..testing::config().otlp
        }
    }
}

async fn answered(status: Status) -> Outcome {
    let config = Receiver { answer: Some(status), ..Receiver::default() }.start();
    OtlpGrpc::new(&config).unwrap().send_batch(&batch(&[1])).await
}

#[tokio::test]
async fn spans_arrive_plain_and_compressed_with_the_headers() {
    let batch = Batch { chunks: vec![chunk(resource("shop"), vec![rich_span(2, 1)])] };
    for gzip in [false, true] {
        let receiver = Receiver::default();
        let config = OtlpConfig { gzip, ..receiver.start() };
        let mut sender = OtlpGrpc::new(&config).unwrap();
        for _ in 0..2 {
            assert_eq!(sender.send_batch(&batch).await, Outcome::Delivered { rejected: 0, message: None });
        }
        let (metadata, message) = receiver.received.lock().unwrap().remove(1);
        assert_eq!(message, trace_request(&batch).unwrap());
        assert_eq!(metadata.get("api-key").unwrap(), "secret");
        assert!(metadata.get("user-agent").unwrap().to_str().unwrap().starts_with(USER_AGENT));
        assert_eq!(metadata.get("grpc-encoding").is_some(), gzip);
    }
}

/// A TLS connection as tonic's server takes it.
struct Accepted(tokio_rustls::server::TlsStream<tokio::net::TcpStream>);

impl tonic::transport::server::Connected for Accepted {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn tls_is_spoken_with_the_configured_certificates() {
    let authority = Authority::new();
    authority.issue("server", "localhost");
    authority.issue("client", "client");
    let acceptor = authority.acceptor(b"h2");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = Receiver::default();
    let service = TraceServiceServer::new(receiver.clone());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = Accepted(acceptor.accept(stream).await.unwrap());
        let incoming = tokio_stream::once(Ok::<_, io::Error>(stream));
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
    });
    let files = authority.files();
    let config = OtlpConfig {
        endpoint: format!("https://localhost:{port}"),
        protocol: OtlpProtocol::Grpc,
        certificate: files.certificate,
        client_key: files.client_key,
        client_certificate: files.client_certificate,
        ..testing::config().otlp
    };
    let outcome = OtlpGrpc::new(&config).unwrap().send_batch(&batch(&[1])).await;
    assert_eq!(outcome, Outcome::Delivered { rejected: 0, message: None });
    assert_eq!(receiver.received.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_partial_success_is_final_and_told() {
    let partial = Some(ExportTracePartialSuccess { rejected_spans: 1, error_message: "no".into() });
    let config = Receiver { partial, ..Receiver::default() }.start();
    let outcome = OtlpGrpc::new(&config).unwrap().send_batch(&batch(&[1, 2])).await;
    assert!(matches!(outcome, Outcome::Delivered { rejected: 1, message: Some(_) }), "{outcome:?}");
}

#[tokio::test]
async fn each_code_has_its_consequence() {
    use Code::*;
    let all = [
        Cancelled,
        Unknown,
        InvalidArgument,
        DeadlineExceeded,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        ResourceExhausted,
        FailedPrecondition,
        Aborted,
        OutOfRange,
        Unimplemented,
        Internal,
        Unavailable,
        DataLoss,
        Unauthenticated,
    ];
    for code in all {
        let outcome = answered(Status::new(code, "why")).await;
        let retried = [Cancelled, DeadlineExceeded, Aborted, OutOfRange, Unavailable, DataLoss].contains(&code);
        match outcome {
            Outcome::Retry { after: None, reason } => assert!(retried && reason.contains("why"), "{code:?}: {reason}"),
            Outcome::Refused { reason } => assert!(!retried && reason.contains("why"), "{code:?}: {reason}"),
            other => panic!("{code:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_exhausted_receiver_is_asked_again_only_if_it_says_when() {
    let delay = ProtoDuration { seconds: 2, nanos: 500_000_000 };
    let info = RetryInfo { retry_delay: Some(delay) }.encode_to_vec();
    let other = AnyMessage { type_url: "type.googleapis.com/google.rpc.DebugInfo".into(), value: vec![1] };
    let wait = AnyMessage { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value: info };
    let details = RpcStatus { details: vec![other, wait] }.encode_to_vec();
    let outcome = answered(Status::with_details(Code::ResourceExhausted, "quota", details.into())).await;
    let expected = Some(Duration::from_millis(2_500));
    assert!(matches!(&outcome, Outcome::Retry { after, .. } if *after == expected), "{outcome:?}");
    let too_large = Status::resource_exhausted("grpc: received message larger than max (9 vs. 4)");
    assert_eq!(answered(too_large).await, Outcome::TooLarge);
}

/// Sends to a receiver that answers with these headers in HPACK and nothing else.
async fn answered_by(headers: &[u8]) -> Outcome {
    const HEADERS: u8 = 1;
    const END_OF_STREAM_AND_HEADERS: u8 = 5;
    let frame = http2::frame(HEADERS, END_OF_STREAM_AND_HEADERS, 1, headers).leak();
    let receiver = ddtrace_test_support::Receiver::start(Manner::Breaks(Moment::Asked, frame, false));
    let config = OtlpConfig { endpoint: receiver.url(), protocol: OtlpProtocol::Grpc, ..testing::config().otlp };
    OtlpGrpc::new(&config).unwrap().send_batch(&batch(&[1])).await
}

#[tokio::test]
async fn where_a_proxy_answers_the_status_is_that_of_http() {
    for status in [300, 400, 401, 404, 413, 429, 500, 502, 503, 504] {
        let headers = [b"\x08\x03", status.to_string().as_bytes(), b"\x0f\x26\x019"].concat();
        match answered_by(&headers).await {
            Outcome::Retry { after, .. } => {
                assert!([429, 502, 503, 504].contains(&status), "{status}");
                assert_eq!(after, Some(Duration::from_secs(9)), "{status}");
            }
            Outcome::TooLarge => assert_eq!(status, 413),
            Outcome::Refused { reason } => {
                assert!(
                    [300, 400, 401, 404, 500].contains(&status) && reason.contains("dropped"),
                    "{status}: {reason}"
                );
            }
            other => panic!("{status}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_success_without_a_message_is_one() {
    let outcome = answered_by(b"\x88\0\x0bgrpc-status\x010").await;
    assert_eq!(outcome, Outcome::Delivered { rejected: 0, message: None });
}

#[tokio::test]
async fn an_answer_is_not_taken_for_that_to_the_next_request() {
    let receiver = ddtrace_test_support::Receiver::start(Manner::Takes);
    let config = OtlpConfig { endpoint: receiver.url(), protocol: OtlpProtocol::Grpc, ..testing::config().otlp };
    let mut sender = OtlpGrpc::new(&config).unwrap();
    assert_eq!(sender.send_batch(&batch(&[1])).await, Outcome::Delivered { rejected: 0, message: None });
    receiver.be(Manner::HangsUp);
    let broken = sender.send_batch(&batch(&[2])).await;
    assert!(matches!(broken, Outcome::Retry { .. }), "{broken:?}");
}

#[tokio::test]
async fn details_that_are_no_base64_do_no_harm() {
    let details = b"\0\x17grpc-status-details-bin\x02!!";
    let unavailable = answered_by(&[&b"\x88\0\x0bgrpc-status\x0214"[..], details].concat()).await;
    assert!(matches!(unavailable, Outcome::Retry { after: None, .. }), "{unavailable:?}");
    let invalid = answered_by(&[&b"\x88\0\x0bgrpc-status\x013"[..], details].concat()).await;
    assert!(matches!(invalid, Outcome::Refused { .. }), "{invalid:?}");
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_tried_again() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://127.0.0.1:{}", unused.local_addr().unwrap().port());
    let timeout = Some(Duration::from_millis(100));
    let config = OtlpConfig { endpoint, timeout, protocol: OtlpProtocol::Grpc, ..testing::config().otlp };
    let mut sender = OtlpGrpc::new(&config).unwrap();
    let mute = sender.send_batch(&batch(&[1])).await;
    assert!(matches!(&mute, Outcome::Retry { .. }), "{mute:?}");
    drop(unused);
    let mut sender = OtlpGrpc::new(&config).unwrap();
    let Outcome::Retry { reason, .. } = sender.send_batch(&batch(&[1])).await else { panic!("a retry") };
    assert!(reason.contains("127.0.0.1 port"), "{reason}");
}

#[tokio::test]
async fn a_message_over_the_usual_limit_is_not_sent() {
    let receiver = Receiver::default();
    let mut sender = OtlpGrpc::new(&receiver.start()).unwrap();
    let mut batch = batch(&[1, 2]);
    let text = "x".repeat(OtlpGrpc::MOST_BYTES);
    batch.chunks[0].spans[0].attributes.push(("big".into(), text.into()));
    assert_eq!(sender.send_batch(&batch).await, Outcome::TooLarge);
    assert!(receiver.received.lock().unwrap().is_empty());
}

#[tokio::test]
async fn unusable_headers_are_named_without_their_values() {
    for (name, value) in [("bad name", "secret"), ("key", "sec\nret")] {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let config = OtlpConfig { headers, ..testing::config().otlp };
        let message = OtlpGrpc::new(&config).err().unwrap();
        assert!(message.contains(name) && !message.contains("sec"), "{message}");
    }
}
