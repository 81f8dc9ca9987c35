use super::*;
use crate::export::test_server::{Answer, TestServer};
use crate::export::testing::{self, SendBatch, batch};
use ddtrace::sampling::AgentRates;

fn agent(server: &TestServer) -> Datadog {
    agent_with(server, &testing::config())
}

fn agent_with(server: &TestServer, config: &Config) -> Datadog {
    let url = AgentUrl::Tcp { tls: false, host: "127.0.0.1".into(), port: server.port(), base_path: "/base".into() };
    Datadog::new(&url, config)
}

#[tokio::test]
async fn a_payload_goes_out_with_all_its_headers() {
    let server = TestServer::start([Answer::status(200)]).await;
    let mut batch = batch(&[1, 2]);
    batch.chunks.push(testing::chunk(testing::resource("cart"), vec![testing::span(3)]));
    let outcome = agent(&server).send_batch(&batch).await;
    assert_eq!(outcome, Outcome::Delivered { rejected: 0, message: None });
    let request = &server.received()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/base/v0.4/traces"));
    for (name, value) in [
        ("content-type", "application/msgpack"),
        ("datadog-meta-lang", "rust"),
        ("datadog-meta-lang-version", env!("CARGO_PKG_RUST_VERSION")),
        ("datadog-meta-tracer-version", env!("CARGO_PKG_VERSION")),
        ("x-datadog-trace-count", "2"),
        ("datadog-client-computed-top-level", "true"),
        ("datadog-send-real-http-status", "1"),
        ("datadog-rates-payload-version", "0"),
        ("user-agent", concat!("Tracer/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(request.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(request.headers["content-length"], request.body.len().to_string());
    assert_eq!(request.body[0], 0x92, "an array of two chunks");
}

#[tokio::test]
async fn the_keep_rate_goes_out_with_the_spans() {
    let server = TestServer::start([Answer::status(200)]).await;
    let mut agent = agent(&server);
    agent.send_batch(&batch(&[1])).await;
    let options = agent.options();
    options.set(AgentOptions { keep_rate: 0.25, ..options.get() });
    agent.send_batch(&batch(&[1])).await;
    let sent = |rate: f64| {
        let entry = [&b"_dd.tracer_kr\xcb"[..], &rate.to_be_bytes()[..]].concat();
        server.received().iter().map(|r| r.body.windows(entry.len()).any(|w| w == entry)).collect::<Vec<_>>()
    };
    assert_eq!(sent(1.0), [true, false]);
    assert_eq!(sent(0.25), [false, true]);
}

#[tokio::test]
async fn events_go_as_such_if_that_is_wanted_and_the_agent_says_that_it_takes_them() {
    let mut batch = batch(&[1]);
    batch.chunks[0].spans.push(testing::rich_span(2, 1));
    let [ok, info] = [Answer::status(200), Answer::status(200).body(r#"{"span_events":true}"#)];
    let refusing = Answer::status(200).body(r#"{"span_events":false}"#);
    for (wanted, answers, questions, native) in [
        (false, vec![ok.clone()], 0, [false, false]),
        (true, vec![info.clone(), ok.clone()], 1, [true, true]),
        (true, vec![refusing, ok.clone()], 1, [false, false]),
        (true, vec![Answer::status(404), ok.clone()], 1, [false, false]),
        // Not ready yet: it is asked again.
        (true, vec![Answer::status(503), ok.clone(), info, ok], 2, [false, true]),
    ] {
        let server = TestServer::start(answers).await;
        let mut agent = agent_with(&server, &Config { native_span_events: wanted, ..testing::config() });
        agent.learn().await;
        agent.send_batch(&batch).await;
        agent.send_batch(&batch).await;
        let (asked, sent): (Vec<_>, Vec<_>) = server.received().into_iter().partition(|r| r.target.ends_with("/info"));
        assert_eq!(asked.len(), questions);
        let has = |body: &[u8], key: &[u8]| body.windows(key.len()).any(|window| window == key);
        let as_such: Vec<bool> = sent.iter().map(|request| has(&request.body, b"\xabspan_events")).collect();
        let as_tags: Vec<bool> = sent.iter().map(|request| has(&request.body, b"\xa6events")).collect();
        assert_eq!((as_such, as_tags), (native.to_vec(), native.map(|native| !native).to_vec()));
    }
}

#[test]
fn what_is_known_of_the_container_is_sent() {
    let container = ContainerIdentity { container_id: Some("abc".into()), entity_id: Some("ci-abc".into()) };
    let known = headers(Some("it-false,cn-web"), &container);
    assert_eq!(known["datadog-container-id"], "abc");
    assert_eq!(known["datadog-entity-id"], "ci-abc");
    assert_eq!(known["datadog-external-env"], "it-false,cn-web");
    for external_env in [None, Some(""), Some("a\nb")] {
        let unknown = headers(external_env, &ContainerIdentity::default());
        for name in ["datadog-container-id", "datadog-entity-id", "datadog-external-env"] {
            assert!(!unknown.contains_key(name), "{name}");
        }
    }
}

#[tokio::test]
async fn rates_are_taken_back_and_their_version_is_sent_next_time() {
    let table = r#"{"rate_by_service":{"service:,env:":0.5}}"#;
    let server = TestServer::start([
        Answer::status(200).header("Datadog-Rates-Payload-Version", "v7").body(table),
        Answer::status(200).body("{}"),
    ])
    .await;
    let mut agent = agent(&server);
    for _ in 0..2 {
        agent.send_batch(&batch(&[1])).await;
        assert_eq!(agent.rates().rate(b"shop", b"ci"), Some(0.5));
    }
    assert_eq!(server.received()[1].headers["datadog-rates-payload-version"], "v7");
}

#[tokio::test]
async fn each_status_has_its_consequence() {
    for (status, retried) in
        [(408, true), (429, true), (500, true), (503, true), (404, true), (415, true), (400, false), (403, false)]
    {
        let server = TestServer::start([Answer::status(status).header("Retry-After", "3").body("why\n")]).await;
        let outcome = agent(&server).send_batch(&batch(&[1])).await;
        match &outcome {
            Outcome::Retry { after, reason } => {
                assert!(retried, "{status}");
                assert_eq!(*after, (![404, 415].contains(&status)).then_some(Duration::from_secs(3)));
                assert!(reason.contains(&status.to_string()), "{reason}");
            }
            Outcome::Refused { reason } => {
                assert!(!retried, "{status}");
                assert!(reason.ends_with(": why; the spans are dropped"), "{reason}");
            }
            _ => panic!("{status}: {outcome:?}"),
        }
    }
    let server = TestServer::start([Answer::status(413)]).await;
    assert_eq!(agent(&server).send_batch(&batch(&[1])).await, Outcome::TooLarge);
}

#[tokio::test]
async fn a_mute_agent_is_given_up_in_time() {
    let server = TestServer::start([Answer::mute()]).await;
    let mut agent = agent(&server);
    agent.limit = AnswerLimit::new(Duration::from_millis(50));
    let Outcome::Retry { after: None, reason } = agent.send_batch(&batch(&[1])).await else { panic!("a retry") };
    assert!(reason.ends_with("no answer within 50ms"), "{reason}");
}

#[tokio::test]
async fn a_status_is_an_answer_whatever_becomes_of_the_body() {
    let rates = r#"{"rate_by_service":{"service:,env:":0.5}}"#;
    let whole = || Answer::status(200).body(rates);
    let server = TestServer::start([whole(), whole().breaking(), whole().stuck(), whole()]).await;
    let mut agent = agent(&server);
    for number in 0..4 {
        let outcome = agent.send_batch(&batch(&[1])).await;
        assert_eq!(outcome, Outcome::Delivered { rejected: 0, message: None }, "{number}");
        assert_eq!(agent.rates().rate(b"any", b""), Some(0.5), "{number}");
    }
    let sent = server.received().iter().filter(|request| request.method == "POST").count();
    assert_eq!(sent, 4);
}

#[tokio::test]
async fn a_payload_over_the_limit_is_not_sent() {
    let server = TestServer::start([Answer::status(200)]).await;
    let mut agent = agent(&server);
    agent.max_payload_bytes = 100;
    assert_eq!(agent.send_batch(&batch(&[1, 2])).await, Outcome::TooLarge);
    assert!(server.received().is_empty());
}
