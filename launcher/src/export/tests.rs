use super::probe::Route;
use super::test_server::{Answer, TestServer};
use super::testing::{self, batch, span_ids};
use super::*;
use ddtrace::config::{AgentUrl, Exporter, OtlpConfig};
use ddtrace::sampling::AgentRates;

async fn opened(destination: &Destination, directory: &Path) -> AnyBackend {
    AnyBackend::open(destination, &testing::config(), directory).unwrap()
}

async fn delivered(backend: &mut AnyBackend, limit: Duration) -> Option<u64> {
    let payload = backend.format().encode(&batch(&[1, 2]), Default::default()).unwrap().into();
    let time = Time { shortened: &Default::default(), left: &|| None };
    let mut silent = |_| {};
    tokio::time::timeout(limit, deliver(backend, &payload, 2, &time, &mut silent)).await.ok().flatten()
}

#[tokio::test]
async fn every_destination_opens_and_delivers() {
    let table = r#"{"rate_by_service":{"service:,env:":0.5}}"#;
    let server = TestServer::start([Answer::status(200).body(table), Answer::status(200)]).await;
    let state = tempfile::tempdir().unwrap();
    let agent = AgentUrl::Tcp { tls: false, host: "127.0.0.1".into(), port: server.port(), base_path: String::new() };
    let http = OtlpConfig { endpoint: server.url(), ..testing::config().otlp };
    let local = state.path().join("traces.jsonl").display().to_string();
    for (destination, name, place) in [
        (Destination::Datadog(agent), "Datadog Agent", server.url()),
        (Destination::Otlp(http), "OTLP receiver", server.url() + "/"),
        (Destination::Local, "local store", local),
    ] {
        let mut backend = opened(&destination, state.path()).await;
        assert_eq!((backend.name(), backend.destination()), (name, place));
        let is_agent = matches!(backend, AnyBackend::Datadog(_));
        assert_eq!(delivered(&mut backend, Duration::from_secs(5)).await, Some(0), "{name}");
        assert_eq!(backend.rates().map(|rates| rates.rate(b"", b"")), is_agent.then_some(Some(0.5)));
    }
}

#[tokio::test]
async fn a_grpc_receiver_opens_by_its_protocol() {
    let otlp =
        OtlpConfig { endpoint: "http://127.0.0.1:1".into(), protocol: OtlpProtocol::Grpc, ..testing::config().otlp };
    let mut backend = opened(&Destination::Otlp(otlp), Path::new("/nowhere")).await;
    assert_eq!((backend.name(), backend.destination().as_str()), ("OTLP receiver", "http://127.0.0.1:1/"));
    assert!(matches!(backend, AnyBackend::OtlpGrpc(_)));
    assert_eq!(delivered(&mut backend, Duration::from_millis(50)).await, None);
}

#[tokio::test]
async fn a_destination_that_cannot_be_used_says_so() {
    let otlp = OtlpConfig { endpoint: "nonsense".into(), ..testing::config().otlp };
    let config = Config { exporters: vec![Exporter::Otlp], otlp, ..testing::config() };
    let Route { destinations, configured } = probe(&config).await;
    assert!(configured);
    let message = AnyBackend::open(&destinations[0], &config, Path::new("/nowhere")).err().unwrap();
    assert_eq!(message, "OTLP endpoint: \"nonsense\" is not an http:// or https:// URL");
}

#[test]
fn halves_keep_everything_and_its_order() {
    let mut whole = batch(&[1, 2, 3]);
    whole.chunks.push(testing::chunk(testing::resource("cart"), vec![testing::span(4)]));
    let (first, second) = whole.halves().unwrap();
    assert_eq!((span_ids(&first), span_ids(&second)), (vec![1, 2, 3], vec![4]));
    let (first, third) = first.halves().unwrap();
    assert_eq!((span_ids(&first), span_ids(&third)), (vec![1], vec![2, 3]));
    assert_eq!(third.chunks[0].decision_maker, "-0");
    assert_eq!(span_ids(&second.halves().unwrap_err()), [4]);
}
