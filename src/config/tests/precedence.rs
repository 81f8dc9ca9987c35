use super::*;
use crate::config::{FLEET_FILE, LOCAL_FILE, SYSTEM_FILE};

/// Takes one source after the other away, from the strongest, and looks who is next.
#[test]
fn sources_count_in_the_documented_order() {
    let stable = |name: &str| format!("apm_configuration_default:\n  DD_SERVICE: {name}\n");
    let toml = |name: &str| format!("service = \"{name}\"\n");
    let expected = ["cli", "fleet", "dd", "otel", "named", "user", "system", "local"];
    for skip in 0..expected.len() {
        let mut host = Host::new();
        for source in expected.iter().skip(skip) {
            host = match *source {
                "cli" => host.cli("service", "cli"),
                "fleet" => host.file(FLEET_FILE, &stable("fleet")),
                "dd" => host.env("DD_SERVICE", "dd"),
                "otel" => host.env("OTEL_SERVICE_NAME", "otel"),
                "named" => host.named("/named.toml", &toml("named")),
                "user" => host.file(USER, &toml("user")),
                "system" => host.file(SYSTEM_FILE, &toml("system")),
                _ => host.file(LOCAL_FILE, &stable("local")),
            };
        }
        let resolution = host.resolve();
        let origin = match expected[skip] {
            "cli" => Origin::CommandLine,
            "fleet" => Origin::FleetFile(host.path(FLEET_FILE)),
            "dd" => Origin::Env("DD_SERVICE"),
            "otel" => Origin::OtelEnv("OTEL_SERVICE_NAME"),
            "named" => Origin::File(host.path("/named.toml"), 1),
            "user" => Origin::File(host.path(USER), 1),
            "system" => Origin::File(host.path(SYSTEM_FILE), 1),
            _ => Origin::StableFile(host.path(LOCAL_FILE)),
        };
        assert_eq!(resolution.config.service.as_deref(), Some(expected[skip]));
        assert_eq!(resolution.of(Id::Service).origin, origin);
        assert_eq!(resolution.of(Id::Service).value, expected[skip]);
        assert_eq!(resolution.warnings, [], "{}", expected[skip]);
    }
}

#[test]
fn nothing_given_is_all_defaults_and_no_words() {
    let resolution = Host::new().resolve();
    assert_eq!(resolution.warnings, []);
    assert_eq!(resolution.hand_on, []);
    assert!(resolution.origins.iter().all(|resolved| resolved.origin == Origin::Default));
    let config = resolution.config;
    assert!(config.enabled && config.partial_flush && config.trace_id_128_bit && !config.debug);
    assert_eq!((config.service, config.env, config.version), (None, None, None));
    assert!(config.exporters.is_empty() && config.tags.is_empty() && config.denylist.is_empty());
    assert_eq!(config.agent.url.to_string(), "http://localhost:8126");
    assert!(!config.agent.explicit && !config.otlp.explicit);
    assert_eq!(config.otlp.endpoint, "http://localhost:4318/v1/traces");
    assert_eq!(config.agent.timeout.as_secs(), 2);
    assert_eq!(config.flush_interval.as_secs(), 1);
    assert_eq!(config.max_payload_bytes, 20 << 20);
    assert_eq!(config.partial_flush_min_spans, 300);
    assert_eq!(config.shutdown_timeout.as_secs(), 2);
}

#[test]
fn a_value_that_cannot_be_used_gives_way_to_the_next() {
    let host = Host::new().env("DD_TRACE_AGENT_PORT", "abc").env("DD_AGENT_PORT", "9126");
    let resolution = host.resolve();
    assert_eq!(resolution.config.agent.url.to_string(), "http://localhost:9126");
    assert_eq!(
        warnings(&resolution, &host.sources.root),
        "DD_TRACE_AGENT_PORT=\"abc\" is not a port from 1 to 65535; using 9126 (DD_AGENT_PORT)"
    );
}

#[test]
fn names_within_tags_count_after_names_of_their_own() {
    for (pairs, service) in [
        (&[("DD_TAGS", "service:tags")][..], "tags"),
        (&[("DD_TAGS", "service:tags"), ("DD_SERVICE", "own")], "own"),
        (&[("DD_TAGS", "service:tags"), ("OTEL_SERVICE_NAME", "own")], "own"),
        (&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=attributes")], "attributes"),
        (&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=attributes"), ("OTEL_SERVICE_NAME", "own")], "own"),
        (&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=attributes"), ("DD_TAGS", "service:tags")], "tags"),
    ] {
        assert_eq!(resolved(pairs).config.service.as_deref(), Some(service), "{pairs:?}");
    }
    // The environment as a whole goes before the files.
    let host = Host::new().env("OTEL_RESOURCE_ATTRIBUTES", "service.name=attributes").file(USER, "service = \"file\"");
    assert_eq!(host.resolve().config.service.as_deref(), Some("attributes"));
    let host = Host::new().file(USER, "service = \"own\"\n[tags]\nservice = \"tags\"\nversion = \"3\"");
    let config = host.resolve().config;
    assert_eq!((config.service.as_deref(), config.version.as_deref()), (Some("own"), Some("3")));
    assert_eq!(config.tags, []);
}

#[test]
fn lists_and_tags_of_the_command_line_add_up_and_the_rest_is_replaced() {
    let host = Host::new()
        .cli("tags", "a:1")
        .cli("tags", "b:two words")
        .cli("service", "first")
        .cli("service", "second")
        .cli("denylist", "x")
        .cli("denylist", "y,z");
    let config = host.resolve().config;
    assert_eq!(config.tags, [("a".into(), "1".into()), ("b".into(), "two words".into())]);
    assert_eq!(config.service.as_deref(), Some("second"));
    assert_eq!(config.denylist, ["x", "y", "z"]);
}

#[test]
fn an_unknown_setting_of_the_command_line_is_named() {
    let host = Host::new().cli("agent.prt", "1");
    let text = warnings(&host.resolve(), &host.sources.root);
    assert_eq!(text, "command line: unknown setting \"agent.prt\"; did you mean \"agent.port\"?");
}

/// The example in the documents.
#[test]
fn the_documented_example_holds() {
    let host = Host::new()
        .file(USER, "service = \"from-file\"\nenv = \"staging\"\n")
        .envs(&[("DD_SERVICE", "from-dd"), ("OTEL_SERVICE_NAME", "from-otel")])
        .env("OTEL_RESOURCE_ATTRIBUTES", "service.version=1.4");
    let config = host.resolve().config;
    assert_eq!(config.service.as_deref(), Some("from-dd"));
    assert_eq!((config.version.as_deref(), config.env.as_deref()), (Some("1.4"), Some("staging")));
    let mut host = host.cli("service", "web");
    assert_eq!(host.resolve().config.service.as_deref(), Some("web"));
    host.sources.cli.clear();
    host.sources.env.retain(|(name, _)| name != "DD_SERVICE");
    assert_eq!(host.resolve().config.service.as_deref(), Some("from-otel"));
}
