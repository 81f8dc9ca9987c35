//! Datadog's own test agent, which takes OTLP as well and checks what it gets.

use crate::http;
use crate::spans::{self, Span};
use crate::{target_dir, wait_for};
use serde_json::Value;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The checks that each received payload must pass.
const CHECKS: &str = "trace_count_header,meta_tracer_version_header,trace_content_length,trace_stall,\
                      trace_peer_service,meta_events_is_valid_json,trace_dd_service";

/// A running agent; it ends with the value.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    dir: TempDir,
    /// Where it takes Datadog's protocol.
    pub port: u16,
    /// Where it takes OTLP over HTTP.
    pub otlp_http_port: u16,
    /// Where it takes OTLP over gRPC.
    pub otlp_grpc_port: u16,
}

impl Agent {
    /// Starts an agent on ports that are free, and waits until it answers.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    #[must_use]
    pub fn start() -> Agent {
        // Between finding a port and listening on it somebody else may take it.
        (0..5).find_map(|_| Agent::try_start(free_port())).expect("the test agent starts on one of five tries")
    }

    /// Starts an agent whose Datadog port is given.
    ///
    /// # Panics
    /// As [`Agent::start`], and when the port is taken.
    #[must_use]
    pub fn start_at(port: u16) -> Agent {
        Agent::try_start(port).unwrap_or_else(|| panic!("the test agent does not start on port {port}"))
    }

    fn try_start(port: u16) -> Option<Agent> {
        let program = target_dir().join("test-venv/bin/ddapm-test-agent");
        assert!(program.exists(), "{} is not there: run `cargo xtask setup`", program.display());
        let dir = tempfile::Builder::new().prefix("ddtrace-agent-").tempdir().expect("a temporary directory");
        let log = File::create(dir.path().join("log")).expect("a log file");
        let (otlp_http_port, otlp_grpc_port) = (free_port(), free_port());
        let child = Command::new(program)
            .arg("--trace-uds-socket")
            .arg(dir.path().join("apm.socket"))
            .env("PORT", port.to_string())
            .env("OTLP_HTTP_PORT", otlp_http_port.to_string())
            .env("OTLP_GRPC_PORT", otlp_grpc_port.to_string())
            .env("LOG_LEVEL", "ERROR")
            .env("DISABLE_LLMOBS_DATA_FORWARDING", "1")
            .env("DD_POOL_TRACE_CHECK_FAILURES", "true")
            .env("ENABLED_CHECKS", CHECKS)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file twice"))
            .stderr(log)
            .spawn()
            .expect("the test agent can be executed");
        let mut agent = Agent { child, dir, port, otlp_http_port, otlp_grpc_port };
        let up = wait_for("the test agent to answer", || {
            if agent.child.try_wait().expect("a child of this process can be waited for").is_some() {
                return Some(false);
            }
            let answers = http::get(agent.port, "/info").is_ok_and(|answer| answer.status == 200)
                && http::get(agent.otlp_http_port, "/test/session/traces").is_ok()
                && std::net::TcpStream::connect(("127.0.0.1", agent.otlp_grpc_port)).is_ok();
            answers.then_some(true)
        });
        up.then_some(agent)
    }

    /// Where it takes Datadog's protocol through a Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("apm.socket")
    }

    /// `http://…` of the Datadog port.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `http://…` of the OTLP port for HTTP.
    #[must_use]
    pub fn otlp_http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.otlp_http_port)
    }

    /// `http://…` of the OTLP port for gRPC.
    #[must_use]
    pub fn otlp_grpc_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.otlp_grpc_port)
    }

    /// The spans received by Datadog's protocol.
    #[must_use]
    pub fn datadog_spans(&self) -> Vec<Span> {
        spans::from_datadog(&json(self.port, "/test/session/traces"))
    }

    /// The traces received by Datadog's protocol, as they came.
    #[must_use]
    pub fn datadog_traces(&self) -> Value {
        json(self.port, "/test/session/traces")
    }

    /// Forgets what was received.
    ///
    /// # Panics
    /// When the agent does not answer.
    pub fn clear(&self) {
        for port in [self.port, self.otlp_http_port] {
            http::get(port, "/test/session/clear").expect("the test agent answers");
        }
    }

    /// The spans received by OTLP, over HTTP or gRPC.
    #[must_use]
    pub fn otlp_spans(&self) -> Vec<Span> {
        let requests = json(self.otlp_http_port, "/test/session/traces");
        requests.as_array().map(Vec::as_slice).unwrap_or_default().iter().flat_map(spans::from_otlp).collect()
    }

    /// The requests received by Datadog's protocol, each with its `headers`.
    ///
    /// # Panics
    /// When the agent does not answer as expected.
    #[must_use]
    pub fn requests(&self) -> Vec<Value> {
        json(self.port, "/test/session/requests").as_array().expect("a list of requests").clone()
    }

    /// Asserts that no check of a received payload failed.
    ///
    /// # Panics
    /// When one did.
    #[track_caller]
    pub fn assert_no_failed_check(&self) {
        let path = "/test/trace_check/failures?return_all=true&use_json=true";
        let answer = http::get(self.port, path).expect("the test agent answers");
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "checks of the test agent failed: {text}");
    }

    /// The directory of its log and socket.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Fails only when it has ended by itself; either way there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port on which nobody listens now.
///
/// # Panics
/// When this host has none left.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port to listen on");
    listener.local_addr().expect("a listener has an address").port()
}

fn json(port: u16, path: &str) -> Value {
    let answer = http::get(port, path).expect("the test agent answers");
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {answer:?}"))
}

#[cfg(test)]
mod tests {
    use super::Agent;
    use crate::http;

    #[test]
    fn the_agent_starts_empty_and_ends_with_the_value() {
        let agent = Agent::start();
        let port = agent.port;
        assert!(agent.datadog_spans().is_empty() && agent.otlp_spans().is_empty() && agent.requests().is_empty());
        assert!(agent.socket().exists());
        agent.assert_no_failed_check();
        drop(agent);
        assert!(http::get(port, "/info").is_err());
    }
}
