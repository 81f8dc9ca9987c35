//! Whose address is told of as the client's, by what proxies say.

use super::*;
use ddtrace_test_support::Agent;
use ddtrace_test_support::servers::{files, only, python_server};

const HEADERS: &str = "X-Forwarded-For: 10.0.0.7, 8.8.8.8\r\nForwarded: for=192.0.2.1\r\nX-Own: 9.9.9.9\r\n";

type Settings = &'static [(&'static str, &'static str)];

/// Settings, and what is told then.
const RULES: [(Settings, Option<&str>); 4] = [
    (&[], Some("192.0.2.1")),
    (&[("DD_TRACE_CLIENT_IP_ENABLED", "true")], Some("8.8.8.8")),
    (&[("DD_TRACE_CLIENT_IP_ENABLED", "true"), ("DD_TRACE_CLIENT_IP_HEADER", "X-Own")], Some("9.9.9.9")),
    (&[("DD_TRACE_CLIENT_IP_ENABLED", "false")], None),
];

#[test]
fn of_what_libraries_and_connections_tell() {
    for (settings, expected) in RULES {
        for is_native in [false, true] {
            let mut sandbox = sandbox();
            for (name, value) in settings {
                sandbox.set(name, value);
            }
            let (server, port) = if is_native {
                sandbox.set("DD_TRACE_NATIVE_ENABLED", "true").set("DD_TRACE_PYTHON_PROVIDER", "none");
                let (root, port) = (files(&sandbox), free_port());
                (python_server(&mut sandbox, true, port, &root), port)
            } else {
                serve(&mut sandbox, &[&program("plain.py"), "{port}"])
            };
            assert_eq!(ask(port, "/", HEADERS).0, 200);
            drop(server);
            let spans = sandbox.spans();
            let span = only(&spans, |_| true);
            assert_eq!(span.text("client.address"), expected, "{settings:?}, native: {is_native}");
            let peer = settings.iter().any(|setting| setting.1 == "true").then_some("127.0.0.1");
            assert_eq!(span.text("network.client.ip"), peer, "{settings:?}, native: {is_native}");
        }
    }
}

#[test]
fn at_an_agent() {
    for (settings, expected) in RULES {
        let agent = Agent::start();
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER");
        for (name, value) in settings {
            sandbox.set(name, value);
        }
        let (server, port) = serve(&mut sandbox, &[&program("plain.py"), "{port}"]);
        assert_eq!(ask(port, "/", HEADERS).0, 200);
        drop(server);
        sandbox.settle();
        let traces = agent.datadog_traces();
        let tags = &traces[0][0]["meta"];
        assert_eq!(tags["http.client_ip"].as_str(), expected, "{settings:?}: {tags:#}");
        let peer = settings.iter().any(|setting| setting.1 == "true").then_some("127.0.0.1");
        assert_eq!(tags["network.client.ip"].as_str(), peer, "{settings:?}: {tags:#}");
    }
}
