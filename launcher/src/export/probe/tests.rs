use super::*;
use crate::export::test_server::{Answer, TestServer};
use crate::export::testing;
use std::time::Instant;

const INFO: &str = r#"{"version":"7.60.0","endpoints":["/v0.3/traces","/v0.4/traces"]}"#;

fn nobody() -> Candidates {
    // Port 1 of this host: reserved, and refused at once.
    let refused = AgentUrl::Tcp { tls: false, host: "127.0.0.1".into(), port: 1, base_path: String::new() };
    Candidates {
        agents: vec![AgentUrl::Unix(PathBuf::from("/nowhere/apm.socket")), refused],
        otlp_http: "http://127.0.0.1:1/v1/traces".into(),
        otlp_grpc: "http://127.0.0.1:1".into(),
    }
}

fn agent(server: &TestServer) -> AgentUrl {
    AgentUrl::Tcp { tls: false, host: "127.0.0.1".into(), port: server.port(), base_path: String::new() }
}

#[tokio::test]
async fn an_agent_that_takes_traces_comes_first() {
    let server = TestServer::start([Answer::status(200).body(INFO)]).await;
    let otlp = TestServer::start([Answer::status(200)]).await;
    let candidates = Candidates { agents: vec![agent(&server)], otlp_http: otlp.url(), ..nobody() };
    let route = probe_among(&testing::config(), candidates).await;
    assert_eq!(route, Route { destinations: vec![Destination::Datadog(agent(&server))], configured: false });
    assert_eq!(server.received()[0].target, "/info");
    assert!(otlp.received().is_empty());
}

#[tokio::test]
async fn an_agents_socket_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("apm.socket");
    TestServer::start_unix(&path, [Answer::status(200).body(INFO)]);
    let url = AgentUrl::Unix(path);
    let route = probe_among(&testing::config(), Candidates { agents: vec![url.clone()], ..nobody() }).await;
    assert_eq!(route.destinations, [Destination::Datadog(url)]);
}

#[tokio::test]
async fn something_else_on_the_agents_port_is_passed_over() {
    for answer in [Answer::status(404), Answer::status(200).body("hello"), Answer::status(200).body("{}")] {
        let server = TestServer::start([answer]).await;
        let route = probe_among(&testing::config(), Candidates { agents: vec![agent(&server)], ..nobody() }).await;
        assert_eq!(route.destinations, [Destination::Local]);
    }
}

#[tokio::test]
async fn an_otlp_receiver_is_recognised_by_taking_nothing() {
    let server = TestServer::start([Answer::status(200)]).await;
    let endpoint = format!("{}/v1/traces", server.url());
    let route = probe_among(&testing::config(), Candidates { otlp_http: endpoint.clone(), ..nobody() }).await;
    let expected = OtlpConfig { endpoint, ..testing::config().otlp };
    assert_eq!(route.destinations, [Destination::Otlp(expected)]);
    assert!(server.received()[0].body.is_empty());
}

#[tokio::test]
async fn nobody_there_means_the_local_store_and_mute_ones_cost_little_time() {
    let start = Instant::now();
    assert_eq!(probe_among(&testing::config(), nobody()).await.destinations, [Destination::Local]);
    assert!(start.elapsed() < PATIENCE);
    let mute = TestServer::start([Answer::mute()]).await;
    let candidates = Candidates { agents: vec![agent(&mute)], otlp_http: mute.url(), otlp_grpc: mute.url() };
    assert_eq!(probe_among(&testing::config(), candidates).await.destinations, [Destination::Local]);
    assert!(start.elapsed() < 4 * PATIENCE);
}

#[tokio::test]
async fn what_was_configured_is_taken_without_a_look() {
    let mut config = testing::config();
    config.agent.explicit = true;
    let datadog = Destination::Datadog(config.agent.url.clone());
    assert_eq!(probe(&config).await, Route { destinations: vec![datadog.clone()], configured: true });
    config.otlp.explicit = true;
    let otlp = Destination::Otlp(config.otlp.clone());
    assert_eq!(probe(&config).await.destinations, [datadog, otlp.clone()]);
    config.exporters = vec![Exporter::Otlp, Exporter::Local, Exporter::Otlp];
    assert_eq!(probe(&config).await.destinations, [otlp, Destination::Local]);
    config.exporters = vec![Exporter::Console];
    assert_eq!(probe(&config).await, Route { destinations: vec![], configured: true });
}

#[test]
fn destinations_are_shown_without_secrets() {
    let otlp = OtlpConfig { endpoint: "https://user:pw@h/v1?key=secret".into(), ..testing::config().otlp };
    assert_eq!(Destination::Otlp(otlp).to_string(), "OTLP receiver at https://h/v1");
    let socket = Destination::Datadog(AgentUrl::Unix(PathBuf::from("/run/s")));
    assert_eq!(socket.to_string(), "Datadog Agent at unix:///run/s");
}
