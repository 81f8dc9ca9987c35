//! `ddtrace::init()`: what a Rust program records arrives at a real receiver, and bad input is told about.

#[path = "direct/incoming.rs"]
mod incoming;

use ddtrace::config::Sources;
use ddtrace::otel::{InitError, NotDelivered, Path, Tracing, init_from};
use ddtrace::recorder::Absent;
use ddtrace_test_support::{Agent, Span, repository, wait_for};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span as _, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Sources of the environment alone.
fn sources(env: &[(&str, &str)]) -> Sources {
    Sources {
        env: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        program: vec!["/usr/bin/shop".into()],
        root: "/nonexistent".into(),
        ..Sources::default()
    }
}

fn started(env: &[(&str, &str)]) -> Tracing {
    init_from(&sources(env)).unwrap_or_else(|error| panic!("{env:?}: {error}"))
}

/// Records a parent and a child that fails.
fn record(tracing: &Tracing) {
    let tracer = tracing.provider().expect("it is enabled").tracer("test");
    let parent = Context::new().with_span(tracer.start_with_context("parent", &Context::new()));
    let mut child = tracer.start_with_context("child", &parent);
    child.set_attribute(KeyValue::new("answer", 42));
    child.set_status(Status::error("in vain"));
    child.end();
    parent.span().end();
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} in {spans:#?}");
    found[0]
}

#[track_caller]
fn assert_recorded(spans: &[Span]) {
    let (parent, child) = (named(spans, "parent"), named(spans, "child"));
    assert_eq!(child.trace_id, parent.trace_id);
    assert_eq!((parent.parent_id.as_ref(), child.parent_id.as_ref()), (None, Some(&parent.span_id)));
    assert_eq!((parent.failed, child.failed, child.number("answer")), (false, true, Some(42)));
    assert!(parent.start <= child.start && child.start <= child.end && child.end <= parent.end);
    let resource = |key: &str| parent.resource.get(key).and_then(|value| value.as_str());
    assert_eq!((resource("service.name"), resource("deployment.environment.name")), (Some("shop"), Some("test")));
    assert_eq!(resource("telemetry.distro.name"), Some("ddtrace-run"));
}

#[test]
fn a_real_receiver_gets_the_spans_by_every_protocol() {
    for protocol in ["http/protobuf", "http/json", "grpc"] {
        let agent = Agent::start();
        let url = if protocol == "grpc" { agent.otlp_grpc_url() } else { agent.otlp_http_url() };
        let tracing = started(&[
            ("DD_ENV", "test"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
        ]);
        assert_eq!(tracing.path(), Path::Direct(Absent::NotLaunched));
        record(&tracing);
        tracing.shutdown().unwrap_or_else(|error| panic!("{protocol}: {error}"));
        let spans = wait_for("the spans", || Some(agent.otlp_spans()).filter(|spans| spans.len() == 2));
        assert_recorded(&spans);
    }
}

#[test]
fn dropping_the_guard_delivers_also_in_an_asynchronous_program() {
    let agent = Agent::start();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        for protocol in ["http/protobuf", "grpc"] {
            let url = if protocol == "grpc" { agent.otlp_grpc_url() } else { agent.otlp_http_url() };
            let env = [("OTEL_EXPORTER_OTLP_PROTOCOL", protocol), ("OTEL_EXPORTER_OTLP_ENDPOINT", &url)];
            record(&started(&env));
        }
    });
    wait_for("the spans", || (agent.otlp_spans().len() == 4).then_some(()));
}

#[test]
fn the_example_is_traced_below_the_context_that_it_was_started_in() {
    let agent = Agent::start();
    let mut cargo = Command::new(env!("CARGO"));
    // What the outer cargo says of this test would make it build the dependencies anew.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_")) {
        if name != "CARGO_HOME" && name != "CARGO_TARGET_DIR" {
            cargo.env_remove(name);
        }
    }
    let run = cargo
        .current_dir(repository())
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "ddtrace",
            "--features",
            "direct",
            "--example",
            "rust-service",
        ])
        .env("DD_SERVICE", "fruit")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", agent.otlp_http_url())
        .env("TRACEPARENT", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .output()
        .expect("cargo can be started");
    assert!(run.status.success(), "{run:?}");
    assert_eq!((run.stdout.len(), String::from_utf8_lossy(&run.stderr).as_ref()), (0, ""));
    let spans = wait_for("the spans", || Some(agent.otlp_spans()).filter(|spans| spans.len() == 4));
    let day = named(&spans, "a day at the shop");
    assert_eq!(day.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(day.parent_id.as_deref(), Some("00f067aa0ba902b7"));
    assert_eq!(day.resource["service.name"], "fruit");
    let orders: Vec<_> = spans.iter().filter(|span| span.name == "order").collect();
    assert!(orders.iter().all(|order| order.parent_id.as_ref() == Some(&day.span_id)), "{orders:#?}");
    assert_eq!(orders.iter().filter(|order| order.failed).count(), 1);
}

/// The headers that a span leaves the program with.
fn injected(tracing: &Tracing, context: &Context) -> HashMap<String, String> {
    let mut headers = HashMap::new();
    tracing.propagator().inject_context(context, &mut headers);
    headers
}

#[test]
fn a_trace_that_begins_here_is_handed_on_with_its_decision() {
    let by_hand = |name: &'static str| vec![KeyValue::new(name, true)];
    for (env, attributes, priority, tags) in [
        (&[][..], vec![], "1", "_dd.p.dm=-0"),
        (&[("DD_TRACE_SAMPLE_RATE", "1")][..], vec![], "2", "_dd.p.dm=-3,_dd.p.ksr=1"),
        (&[("DD_TRACE_SAMPLE_RATE", "0")][..], vec![], "-1", "_dd.p.dm=-3,_dd.p.ksr=0"),
        (&[("OTEL_TRACES_SAMPLER", "always_off")][..], vec![], "-1", "_dd.p.dm=-3"),
        (&[("DD_TRACE_SAMPLE_RATE", "0")][..], by_hand("manual.keep"), "2", "_dd.p.dm=-4"),
        (&[][..], by_hand("manual.drop"), "-1", "_dd.p.dm=-4"),
    ] {
        let mut env = env.to_vec();
        env.push(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"));
        let tracing = started(&env);
        let tracer = tracing.provider().expect("it is enabled").tracer("test");
        let root = tracer.span_builder("root").with_attributes(attributes);
        let root = Context::new().with_span(root.start_with_context(&tracer, &Context::new()));
        let child = root.with_span(tracer.start_with_context("child", &root));
        for context in [&root, &child] {
            let headers = injected(&tracing, context);
            assert_eq!(headers["x-datadog-sampling-priority"], priority, "{env:?}: {headers:?}");
            assert!(headers["x-datadog-tags"].starts_with(tags), "{env:?}: {headers:?}");
            let has_threshold = headers["tracestate"].contains(";th:0");
            assert_eq!(has_threshold, priority != "-1" && tags != "_dd.p.dm=-4", "{env:?}: {headers:?}");
        }
    }
}

#[test]
fn what_came_in_and_is_not_continued_is_linked_to_and_baggage_is_shown() {
    let agent = Agent::start();
    let url = agent.otlp_http_url();
    let restart = ("DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT", "restart");
    let tracing = started(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), restart]);
    let headers = HashMap::from(
        [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("baggage", "user.id=7,other=8")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let context = tracing.propagator().extract_with_context(&Context::new(), &headers);
    let tracer = tracing.provider().expect("it is enabled").tracer("test");
    let root = context.with_span(tracer.start_with_context("root", &context));
    tracer.start_with_context("child", &root).end();
    root.span().end();
    tracing.shutdown().expect("the receiver takes it");
    let spans = wait_for("the spans", || Some(agent.otlp_spans()).filter(|spans| spans.len() == 2));
    let (root, child) = (named(&spans, "root"), named(&spans, "child"));
    let [(trace, span, attributes)] = &root.links[..] else { panic!("one link: {root:#?}") };
    assert_eq!((trace.as_str(), span.as_str()), ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"));
    assert_eq!(attributes["reason"], "propagation_behavior_extract");
    assert_eq!((root.text("baggage.user.id"), root.text("baggage.other")), (Some("7"), None));
    assert!(child.links.is_empty() && child.text("baggage.user.id").is_none(), "{child:#?}");
}

#[test]
fn whoever_ends_is_told_of_what_is_lost_and_a_flush_waits_as_long_as_configured() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|gone| gone.local_addr()).expect("a port").port();
    let tracing = started(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://127.0.0.1:{port}"))]);
    record(&tracing);
    let told = tracing.shutdown().expect_err("nobody took the spans");
    assert!(matches!(told, NotDelivered::Lost { spans: 2, .. }), "{told}");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("it has an address"));
    let timeout = ("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "0.3");
    let tracing = started(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), timeout]);
    record(&tracing);
    let told = tracing.flush().expect_err("there is no answer").to_string();
    assert!(told.contains("300ms"), "{told}");
}

#[test]
fn headers_compression_and_certificates_are_those_of_the_configuration() {
    let identity = Identity::make("http");
    let config = identity.server_config(b"http/1.1");
    let (port, receiver) = receiver(move |stream| secured(config, stream));
    let tracing = started(&[
        ("DD_ENV", "test"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("https://localhost:{port}/base")),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=a%20secret"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", &identity.certificate),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &identity.certificate),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &identity.key),
    ]);
    record(&tracing);
    tracing.shutdown().expect("the receiver takes it");
    let (line, headers, body) = receiver.join().expect("the receiver got a request");
    assert_eq!(line, "POST /base/v1/traces HTTP/1.1");
    let header = |name: &str| headers.get(name).map(String::as_str);
    assert_eq!(header("x-api-key"), Some("a secret"));
    assert_eq!(header("content-type"), Some("application/x-protobuf"));
    assert_eq!(header("content-encoding"), Some("gzip"));
    assert!(header("user-agent").is_some_and(|agent| agent.contains("OTel-OTLP-Exporter-Rust/")), "{headers:?}");
    assert_eq!(body[..2], [0x1f, 0x8b], "gzip's magic number");
}

#[test]
fn grpc_goes_through_tls_with_the_configured_certificates() {
    let identity = Identity::make("grpc");
    let config = identity.server_config(b"h2");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it has an address").port();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut preface = [0; 24];
        secured(config, stream).read_exact(&mut preface).expect("a client that trusts and is trusted");
        preface
    });
    let tracing = started(&[
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("https://localhost:{port}")),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", &identity.certificate),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &identity.certificate),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &identity.key),
        ("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "5"),
    ]);
    record(&tracing);
    // It hangs up after the first bytes.
    tracing.flush().expect_err("nobody took the spans");
    assert_eq!(&server.join().expect("the server got a connection"), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

#[test]
fn a_resource_holds_the_users_attributes_as_they_were_given() {
    let (port, receiver) = receiver(|stream| stream);
    let tracing = started(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &format!("http://127.0.0.1:{port}/exactly")),
        ("DD_TAGS", "team:core,region:eu"),
        ("DD_VERSION", "1.2.3"),
    ]);
    record(&tracing);
    drop(tracing);
    let (line, _, body) = receiver.join().expect("the receiver got a request");
    assert_eq!(line, "POST /exactly HTTP/1.1");
    let request = ExportTraceServiceRequest::decode(&body[..]).expect("an OTLP request");
    let [group] = &request.resource_spans[..] else { panic!("one resource: {request:?}") };
    let attributes = &group.resource.as_ref().expect("a resource").attributes;
    let text = |key: &str| attributes.iter().find(|pair| pair.key == key).map(|pair| format!("{:?}", pair.value));
    for (key, expected) in
        [("team", "core"), ("region", "eu"), ("service.version", "1.2.3"), ("telemetry.sdk.name", "opentelemetry")]
    {
        assert!(text(key).is_some_and(|value| value.contains(&format!("\"{expected}\""))), "{key}: {attributes:?}");
    }
    let spans: Vec<_> = group.scope_spans.iter().flat_map(|scope| &scope.spans).collect();
    // Datadog's layout: the seconds of the start, four zero bytes, then what is random.
    assert!(spans.iter().all(|span| span.trace_id[4..8] == [0; 4] && span.trace_id[..4] != [0; 4]), "{spans:?}");
}

#[test]
fn disabled_tracing_does_nothing() {
    for variable in [("DD_TRACE_ENABLED", "false"), ("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        // A wrong endpoint is of no interest then.
        let tracing = started(&[variable, ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent")]);
        assert!(!tracing.is_enabled() && tracing.provider().is_none(), "{variable:?}");
        assert_eq!(tracing.path(), Path::Disabled);
        tracing.flush().expect("nothing to flush");
        tracing.shutdown().expect("nothing to end");
    }
}

#[test]
fn what_cannot_be_followed_is_an_error_that_says_why() {
    let https = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://localhost:1");
    for (env, expected) in [
        (&[("DD_TRACE_EXPORTER", "datadog")][..], "exporter datadog (DD_TRACE_EXPORTER) cannot be reached"),
        (&[https, ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent.pem")], "OTLP receiver /nonexistent.pem: "),
        (&[https, ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/dev/null")], "/dev/null: no certificate in it"),
        (
            &[https, ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/dev/null"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            "/dev/null: no certificate in it",
        ),
    ] {
        let told = init_from(&sources(env)).map(drop).expect_err("an error").to_string();
        assert!(told.contains(expected) && told.ends_with("untraced"), "{env:?}: {told}");
    }
    assert!(matches!(init_from(&sources(&[("DD_TRACE_EXPORTER", "local")])), Err(InitError::NotOtlp { .. })));
}

#[test]
fn what_is_wrong_but_has_a_default_is_a_warning() {
    let tracing = started(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")]);
    assert!(tracing.is_enabled());
    let [warning] = tracing.warnings() else { panic!("one warning: {:?}", tracing.warnings()) };
    assert!(warning.message.contains("carrier-pigeon") && warning.message.contains("http/protobuf"), "{warning}");
    let tracing = started(&[("DD_SPAN_SAMPLING_RULES", r#"[{"name":"payment"}]"#)]);
    let [warning] = tracing.warnings() else { panic!("one warning: {:?}", tracing.warnings()) };
    assert!(warning.message.starts_with("DD_SPAN_SAMPLING_RULES is without effect"), "{warning}");
}

#[test]
fn a_receiver_that_never_answers_holds_the_program_up_no_longer_than_configured() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("it has an address"));
    for protocol in ["http/protobuf", "grpc"] {
        let tracing = started(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "0.3"),
        ]);
        record(&tracing);
        let start = Instant::now();
        tracing.shutdown().expect_err("it cannot have been delivered");
        let waited = start.elapsed();
        assert!(waited > Duration::from_millis(250) && waited < Duration::from_secs(5), "{protocol}: {waited:?}");
    }
}

/// A request as a receiver saw it: its first line, its headers with names in lower case, its body.
type Received = (String, BTreeMap<String, String>, Vec<u8>);

/// Takes one request and accepts it. `secured` makes the connection what it has to be.
fn receiver<S: Read + Write>(secured: impl FnOnce(TcpStream) -> S + Send + 'static) -> (u16, JoinHandle<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it has an address").port();
    let served = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut stream = BufReader::new(secured(stream));
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).expect("a line");
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let headers: BTreeMap<String, String> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers["content-length"].parse().expect("a number");
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("the whole body");
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("the answer goes out");
        stream.get_mut().flush().expect("the answer goes out");
        (lines.remove(0), headers, body)
    });
    (port, served)
}

/// A certificate for `localhost` and its key, which both sides prove themselves by.
struct Identity {
    directory: PathBuf,
    certificate: String,
    key: String,
}

impl Identity {
    fn make(name: &str) -> Identity {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let directory = std::env::temp_dir().join(format!("ddtrace-direct-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for the certificate");
        let write = |file: &str, pem: String| {
            let path = directory.join(file);
            std::fs::write(&path, pem).expect("the file can be written");
            path.into_os_string().into_string().expect("a path of plain letters")
        };
        let certificate = write("certificate.pem", own.cert.pem());
        let key = write("key.pem", own.signing_key.serialize_pem());
        Identity { directory, certificate, key }
    }

    /// For a server that wants its client to have the same certificate.
    fn server_config(&self, protocol: &[u8]) -> ServerConfig {
        let certificate = CertificateDer::from_pem_file(&self.certificate).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("a key");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a certificate that can be trusted");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_client_cert_verifier(clients.expect("clients can be verified"))
            .with_single_cert(vec![certificate], key)
            .expect("a certificate and its key");
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        // What is left in the directory for temporary files does no harm.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn secured(config: ServerConfig, stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(ServerConnection::new(Arc::new(config)).expect("a connection"), stream)
}
