use super::super::trace_request;
use super::*;
use crate::export::Batch;
use crate::export::test_server::{Answer, TestServer};
use crate::export::testing::{self, SendBatch, batch, chunk, resource, rich_span};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use std::io::Read;
use std::time::Duration;

fn config(server: &TestServer, protocol: OtlpProtocol) -> OtlpConfig {
    let headers = vec![(String::from("api-key"), String::from("secret"))];
    OtlpConfig { endpoint: format!("{}/v1/traces", server.url()), protocol, headers, ..testing::config().otlp }
}

#[tokio::test]
async fn protobuf_and_json_plain_and_compressed_carry_the_same_spans() {
    let batch = Batch { chunks: vec![chunk(resource("shop"), vec![rich_span(2, 1)])] };
    let expected = trace_request(&batch).unwrap();
    for protocol in [OtlpProtocol::HttpProtobuf, OtlpProtocol::HttpJson] {
        for gzip in [false, true] {
            let server = TestServer::start([Answer::status(200)]).await;
            let mut receiver = OtlpHttp::new(&OtlpConfig { gzip, ..config(&server, protocol) }).unwrap();
            assert_eq!(receiver.send_batch(&batch).await, Outcome::Delivered { rejected: 0, message: None });
            let request = server.received().remove(0);
            assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/v1/traces"));
            assert_eq!(request.headers["api-key"], "secret");
            assert_eq!(request.headers["user-agent"], USER_AGENT);
            assert_eq!(request.headers.get("content-encoding").map(String::as_str), gzip.then_some("gzip"));
            let mut body = Vec::new();
            match gzip {
                true => flate2::read::GzDecoder::new(&request.body[..]).read_to_end(&mut body).unwrap(),
                false => request.body.as_slice().read_to_end(&mut body).unwrap(),
            };
            let read: ExportTraceServiceRequest = match protocol {
                OtlpProtocol::HttpJson => {
                    assert_eq!(request.headers["content-type"], "application/json");
                    serde_json::from_slice(&body).unwrap()
                }
                _ => {
                    assert_eq!(request.headers["content-type"], "application/x-protobuf");
                    ExportTraceServiceRequest::decode(&body[..]).unwrap()
                }
            };
            assert_eq!(read, expected);
        }
    }
}

#[tokio::test]
async fn the_endpoint_is_used_as_it_is() {
    let server = TestServer::start([Answer::status(200)]).await;
    for (path, target) in [("", "/"), ("/x/", "/x/"), ("/x?a=b", "/x?a=b")] {
        let endpoint = format!("{}{path}", server.url());
        let config = OtlpConfig { endpoint, ..config(&server, OtlpProtocol::HttpProtobuf) };
        OtlpHttp::new(&config).unwrap().send_batch(&batch(&[1])).await;
        assert_eq!(server.received().last().unwrap().target, target);
    }
}

#[tokio::test]
async fn a_partial_success_is_final_and_told() {
    let message = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".into() }),
    };
    let json = r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}"#;
    for (protocol, body) in
        [(OtlpProtocol::HttpProtobuf, message.encode_to_vec()), (OtlpProtocol::HttpJson, json.into())]
    {
        let server = TestServer::start([Answer::status(200).body(body)]).await;
        let mut receiver = OtlpHttp::new(&config(&server, protocol)).unwrap();
        let Outcome::Delivered { rejected, message } = receiver.send_batch(&batch(&[1, 2, 3])).await else { panic!() };
        assert_eq!(rejected, 2);
        assert!(message.unwrap().ends_with("rejected 2 spans; they are dropped: too old"));
    }
}

#[tokio::test]
async fn a_warning_rejects_nothing_and_an_unreadable_body_is_a_success() {
    let warning = r#"{"partialSuccess":{"errorMessage":"use v2"}}"#;
    let server = TestServer::start([Answer::status(200).body(warning), Answer::status(200).body("<html>")]).await;
    let mut receiver = OtlpHttp::new(&config(&server, OtlpProtocol::HttpJson)).unwrap();
    let Outcome::Delivered { rejected: 0, message: Some(message) } = receiver.send_batch(&batch(&[1])).await else {
        panic!()
    };
    assert!(message.ends_with("warns: use v2"), "{message}");
    assert_eq!(receiver.send_batch(&batch(&[1])).await, Outcome::Delivered { rejected: 0, message: None });
}

#[tokio::test]
async fn only_four_statuses_are_tried_again() {
    for status in [300, 400, 401, 404, 408, 429, 500, 501, 502, 503, 504, 505] {
        let server = TestServer::start([Answer::status(status).header("Retry-After", "9").body("why")]).await;
        let mut receiver = OtlpHttp::new(&config(&server, OtlpProtocol::HttpProtobuf)).unwrap();
        match receiver.send_batch(&batch(&[1])).await {
            Outcome::Retry { after, reason } => {
                assert!([429, 502, 503, 504].contains(&status), "{status}");
                assert_eq!(after, Some(Duration::from_secs(9)));
                assert!(!reason.contains("secret"));
            }
            Outcome::Refused { reason } => {
                assert!(![429, 502, 503, 504].contains(&status), "{status}");
                assert!(reason.contains("why"), "{reason}");
            }
            other => panic!("{status}: {other:?}"),
        }
    }
    let server = TestServer::start([Answer::status(413)]).await;
    let mut receiver = OtlpHttp::new(&config(&server, OtlpProtocol::HttpProtobuf)).unwrap();
    assert_eq!(receiver.send_batch(&batch(&[1])).await, Outcome::TooLarge);
}

#[tokio::test]
async fn no_answer_is_tried_again_and_one_that_cannot_be_read_is_not() {
    let server = TestServer::start([Answer::mute()]).await;
    let timeout = Some(Duration::from_millis(50));
    let mute = OtlpConfig { timeout, ..config(&server, OtlpProtocol::HttpProtobuf) };
    let outcome = OtlpHttp::new(&mute).unwrap().send_batch(&batch(&[1])).await;
    assert!(
        matches!(&outcome, Outcome::Retry { reason, .. } if reason.ends_with("no answer within 50ms")),
        "{outcome:?}"
    );
    let unlimited = |server: &TestServer| OtlpConfig { timeout: None, ..config(server, OtlpProtocol::HttpProtobuf) };
    for answer in
        [Answer::status(200).body(vec![0; 5 << 20]), Answer::status(200).breaking(), Answer::status(200).stuck()]
    {
        let server = TestServer::start([answer]).await;
        let outcome = OtlpHttp::new(&unlimited(&server)).unwrap().send_batch(&batch(&[1])).await;
        assert_eq!(outcome, Outcome::Delivered { rejected: 0, message: None });
    }
    // What the status says holds without a body, too.
    let server = TestServer::start([Answer::status(503).header("Retry-After", "9").breaking()]).await;
    let outcome = OtlpHttp::new(&unlimited(&server)).unwrap().send_batch(&batch(&[1])).await;
    let after = Some(Duration::from_secs(9));
    assert!(matches!(&outcome, Outcome::Retry { after: found, .. } if *found == after), "{outcome:?}");
}

#[tokio::test]
async fn nothing_is_sent_for_traces_that_were_decided_against() {
    let server = TestServer::start([Answer::status(200)]).await;
    let mut batch = batch(&[1]);
    batch.chunks[0].sampling_priority = 0;
    let mut receiver = OtlpHttp::new(&config(&server, OtlpProtocol::HttpProtobuf)).unwrap();
    assert_eq!(receiver.send_batch(&batch).await, Outcome::Delivered { rejected: 0, message: None });
    assert!(server.received().is_empty());
}

#[test]
fn unusable_settings_are_named_without_their_values() {
    let usable = testing::config().otlp;
    for (name, value) in [("bad name", "secret"), ("key", "sec\nret")] {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let message = OtlpHttp::new(&OtlpConfig { headers, ..usable.clone() }).err().unwrap();
        assert!(message.contains(name) && !message.contains("sec"), "{message}");
    }
    let message = OtlpHttp::new(&OtlpConfig { endpoint: "collector:4318".into(), ..usable }).err().unwrap();
    assert_eq!(message, "OTLP endpoint: \"collector:4318\" is not an http:// or https:// URL");
}
