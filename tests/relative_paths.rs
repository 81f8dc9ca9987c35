//! Paths that begin in the directory that the launcher was started in, which is not that of the sidecar.

use ddtrace_test_support::{Manner, Nobody, Receiver, Sandbox};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

fn json(sandbox: &Sandbox, words: &[&str]) -> Value {
    let outcome = sandbox.run_traced(words);
    serde_json::from_slice(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

#[test]
fn state_and_log_are_where_everybody_looks_for_them() {
    let nobody = Nobody::listens();
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_EXPORTER", "local,datadog").set("DD_TRACE_AGENT_URL", nobody.url());
    sandbox.set("DD_TRACE_STATE_DIR", "not/there/yet").set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "0.3");
    let log = ["--set", "log.file=logs/rel.log", "--set", "log.level=info"];
    let command = ["sh", "-c", "cd /; /bin/true; exit 7"];
    assert_eq!(sandbox.run_traced(log.iter().chain(&command)).code, Some(7));
    sandbox.settle();

    let state = sandbox.work().join("not/there/yet");
    assert!(state.join("traces.jsonl").is_file());
    let text = std::fs::read_to_string(sandbox.work().join("logs/rel.log")).expect("the log");
    assert!(text.contains("recorded 2 spans: 0 delivered, 0 dropped, 2 waiting"), "{text}");
    let anywhere = [sandbox.path().join("tmp"), sandbox.path().join("home/.local/state")];
    for elsewhere in anywhere {
        assert_eq!(std::fs::read_dir(&elsewhere).expect("a directory").count(), 0, "{}", elsewhere.display());
    }

    let info = json(&sandbox, &[&log[..], &["--info", "--json"]].concat()).to_string();
    for path in [state.clone(), sandbox.work().join("logs/rel.log")] {
        assert!(info.contains(path.to_str().expect("a path of UTF-8")), "{}: {info}", path.display());
    }
    let status = json(&sandbox, &["status", "--json"]);
    assert_eq!(Path::new(status["spool"].as_str().expect("a path")), state.join("spool"));
    assert_eq!(status["spans_waiting"], 2);
    assert!(sandbox.run_traced(["view"]).out().contains("exit 7"));
    let _receiver = nobody.becomes(Manner::Takes);
    let flushed = sandbox.run_traced(["flush", "--wait", "25"]);
    assert_eq!(flushed.out(), "delivered 2 spans, 0 still waiting\n", "{flushed:?}");
}

/// Writes what `openssl req -x509` makes for `localhost`: a certificate that signs itself and is an authority's.
fn self_signed(sandbox: &Sandbox, name: &str) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate");
    sandbox.write(&format!("{name}.pem"), certificate.pem());
    sandbox.write(&format!("{name}.key"), key.serialize_pem());
}

/// Puts TLS before a receiver, with a certificate of the sandbox; gives the port.
fn behind_tls(sandbox: &Sandbox, receiver: &Receiver, protocol: &[u8]) -> u16 {
    let certificate = CertificateDer::from_pem_file(sandbox.work().join("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(sandbox.work().join("server.key")).expect("a key");
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
        .expect("a usable certificate");
    config.alpn_protocols = vec![protocol.to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let (port, target) = (listener.local_addr().expect("an address").port(), receiver.port);
    let serve = async move {
        let listener = TcpListener::from_std(listener).expect("a socket");
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.ok()?;
                let mut plain = TcpStream::connect(("127.0.0.1", target)).await.ok()?;
                tokio::io::copy_bidirectional(&mut stream, &mut plain).await.ok()
            });
        }
    };
    std::thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime").block_on(serve);
    });
    port
}

#[test]
fn certificates_are_found_and_one_that_signs_itself_is_taken() {
    for (protocol, name) in [("http/json", &b"http/1.1"[..]), ("grpc", b"h2")] {
        let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
        self_signed(&sandbox, "server");
        self_signed(&sandbox, "client");
        let receiver = Receiver::start(Manner::Takes);
        let url = format!("https://localhost:{}", behind_tls(&sandbox, &receiver, name));
        sandbox.set("DD_TRACE_EXPORTER", "otlp").set("OTEL_EXPORTER_OTLP_ENDPOINT", url);
        sandbox.set("OTEL_EXPORTER_OTLP_PROTOCOL", protocol).set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "25");
        sandbox.set("OTEL_EXPORTER_OTLP_CERTIFICATE", "server.pem");
        sandbox.set("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "client.key");
        let certificate = ["--set", "otlp.client_certificate=./client.pem"];
        assert_eq!(sandbox.run_traced(certificate.iter().chain(&["sh", "-c", "exit 7"])).code, Some(7));
        sandbox.settle();
        let log = sandbox.local_store().with_file_name("sidecar.log");
        let log = std::fs::read_to_string(log).unwrap_or_default();
        assert_eq!(receiver.spans().len(), 1, "{protocol}: {log}");
    }
}
