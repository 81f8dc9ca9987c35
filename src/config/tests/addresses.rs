use super::*;
use crate::config::AGENT_SOCKET;

#[test]
fn the_agents_address_is_put_together() {
    for (pairs, url, from) in [
        (&[("DD_TRACE_AGENT_URL", "https://a:1/x")][..], "https://a:1/x", Origin::Env("DD_TRACE_AGENT_URL")),
        (&[("DD_AGENT_HOST", "a")], "http://a:8126", Origin::Env("DD_AGENT_HOST")),
        (
            &[("DD_TRACE_AGENT_HOSTNAME", "a"), ("DD_AGENT_HOST", "b")],
            "http://a:8126",
            Origin::Env("DD_TRACE_AGENT_HOSTNAME"),
        ),
        (&[("DD_AGENT_PORT", "9")], "http://localhost:9", Origin::Env("DD_AGENT_PORT")),
        (
            &[("DD_TRACE_AGENT_PORT", "8"), ("DD_AGENT_PORT", "9")],
            "http://localhost:8",
            Origin::Env("DD_TRACE_AGENT_PORT"),
        ),
        (&[("DD_AGENT_HOST", "::1"), ("DD_AGENT_PORT", "9")], "http://[::1]:9", Origin::Env("DD_AGENT_HOST")),
        (
            &[("DD_TRACE_AGENT_URL", "unix:///x.sock"), ("DD_AGENT_HOST", "a")],
            "unix:///x.sock",
            Origin::Env("DD_TRACE_AGENT_URL"),
        ),
        (&[("DD_TRACE_AGENT_URL", "garbage"), ("DD_AGENT_HOST", "a")], "http://a:8126", Origin::Env("DD_AGENT_HOST")),
        (&[("DD_TRACE_AGENT_URL", "garbage")], "http://localhost:8126", Origin::Default),
    ] {
        let resolution = resolved(pairs);
        assert_eq!(resolution.config.agent.url.to_string(), url, "{pairs:?}");
        assert_eq!(resolution.of(Id::AgentUrl).value, url, "{pairs:?}");
        assert_eq!(origin(&resolution, Id::AgentUrl), from, "{pairs:?}");
        assert_eq!(resolution.config.agent.explicit, from != Origin::Default, "{pairs:?}");
    }
}

#[test]
fn a_bad_agent_address_is_named_with_what_is_used_instead() {
    let resolution = resolved(&[("DD_TRACE_AGENT_URL", "garbage"), ("DD_AGENT_HOST", "a")]);
    assert_eq!(
        resolution.warnings[0].message,
        "DD_TRACE_AGENT_URL=\"garbage\" has none of http://, https:// and unix:// before it; using http://a:8126"
    );
}

#[test]
fn the_stronger_source_of_an_address_decides() {
    let host = Host::new().env("DD_AGENT_HOST", "env").file(USER, "[agent]\nurl = \"http://file:1\"");
    assert_eq!(host.resolve().config.agent.url.to_string(), "http://env:8126");
    let host = Host::new().env("DD_AGENT_HOST", "env").cli("agent.url", "http://cli:1");
    assert_eq!(host.resolve().config.agent.url.to_string(), "http://cli:1");
    let host = Host::new().env("DD_AGENT_HOST", "env").file(USER, "agent.port = 9");
    assert_eq!(host.resolve().config.agent.url.to_string(), "http://env:9");
}

#[test]
fn the_agents_socket_is_the_default_where_it_exists() {
    let host = Host::new().file(AGENT_SOCKET, "");
    let resolution = host.resolve();
    assert_eq!(resolution.config.agent.url, crate::config::AgentUrl::Unix(host.path(AGENT_SOCKET)));
    assert!(!resolution.config.agent.explicit);
    let host = Host::new().file(AGENT_SOCKET, "").env("DD_AGENT_HOST", "a");
    assert_eq!(host.resolve().config.agent.url.to_string(), "http://a:8126");
}

#[test]
fn the_otlp_endpoint_is_put_together() {
    const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const SIGNAL: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    const INSECURE: &str = "OTEL_EXPORTER_OTLP_INSECURE";
    for (pairs, endpoint, warns) in [
        (&[(BASE, "http://h:4318")][..], "http://h:4318/v1/traces", false),
        (&[(BASE, "http://h:4318/my/")], "http://h:4318/my/v1/traces", false),
        (&[(BASE, "https://h")], "https://h/v1/traces", false),
        (&[(BASE, "http://b"), (SIGNAL, "http://h:4318/x")], "http://h:4318/x", false),
        (&[(SIGNAL, "http://h:4318")], "http://h:4318/", false),
        (&[(BASE, "h:4318")], "http://h:4318/v1/traces", true),
        (&[(BASE, "http://h:4317")], "http://h:4317/v1/traces", true),
        (&[(BASE, "ftp://h")], "http://localhost:4318/v1/traces", true),
        (&[(BASE, "dns:///h:1")], "http://localhost:4318/v1/traces", true),
        (&[(PROTOCOL, "grpc")], "http://localhost:4317", false),
        (&[(PROTOCOL, "grpc"), (BASE, "http://h:4317/x")], "http://h:4317", false),
        (&[(PROTOCOL, "grpc"), (BASE, "https://h")], "https://h:443", false),
        (&[(PROTOCOL, "grpc"), (BASE, "h:4317")], "https://h:4317", false),
        (&[(PROTOCOL, "grpc"), (BASE, "h:4317"), (INSECURE, "true")], "http://h:4317", false),
        (&[(PROTOCOL, "grpc"), (BASE, "https://h:4317"), (INSECURE, "true")], "https://h:4317", false),
        (&[(PROTOCOL, "grpc"), (BASE, "dns:///h:1"), (INSECURE, "true")], "http://h:1", false),
        (&[("DD_AGENT_HOST", "agent")], "http://agent:4318/v1/traces", false),
        (&[("DD_AGENT_HOST", "::1"), (PROTOCOL, "grpc")], "http://[::1]:4317", false),
    ] {
        let resolution = resolved(pairs);
        assert_eq!(resolution.config.otlp.endpoint, endpoint, "{pairs:?}");
        assert_eq!(!resolution.warnings.is_empty(), warns, "{pairs:?} {:?}", resolution.warnings);
    }
}

#[test]
fn a_stronger_base_goes_before_the_endpoint_of_the_signal() {
    let host = Host::new().env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://env/x").cli("otlp.endpoint", "http://cli");
    let resolution = host.resolve();
    assert_eq!(resolution.config.otlp.endpoint, "http://cli/v1/traces");
    assert_eq!(resolution.otlp_origin, Origin::CommandLine);
}

#[test]
fn credentials_in_addresses_are_never_shown() {
    let resolution = resolved(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://user:hunter2@h?token=hunter3"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://user:hunter2@h:4317?token=hunter3"),
        ("DD_TRACE_AGENT_URL", "http://user:hunter2@h:1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2,a=hunter3"),
    ]);
    let values: std::vec::Vec<&str> = resolution.origins.iter().map(|resolved| resolved.value.as_str()).collect();
    let shown = format!("{values:?} {:?} {:?} {:?}", resolution.warnings, resolution.hand_on, resolution.config);
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(resolution.warnings.len() >= 4, "{shown}");
}

#[test]
fn configured_addresses_choose_the_exporter() {
    use crate::config::Exporter::{Console, Datadog, Otlp};
    for (pairs, exporters) in [
        (&[][..], &[][..]),
        (&[("DD_AGENT_HOST", "a")], &[Datadog]),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h")], &[Otlp]),
        (&[("DD_AGENT_HOST", "a"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h")], &[Datadog, Otlp]),
        (&[("DD_AGENT_HOST", "a"), ("DD_TRACE_EXPORTER", "console")], &[Console]),
    ] {
        assert_eq!(resolved(pairs).config.configured_exporters(), exporters, "{pairs:?}");
    }
}

#[test]
fn the_endpoint_knows_its_host_and_port() {
    for (endpoint, host, port) in
        [("http://h:4318", "h", 4318), ("https://u:p@h/x", "h", 443), ("http://[::1]", "::1", 80)]
    {
        let config = resolved(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]).config;
        assert_eq!(config.otlp.host_and_port(), Some((host.into(), port)), "{endpoint}");
    }
}
