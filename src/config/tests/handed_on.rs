use super::*;
use crate::config::FLEET_FILE;
use std::vec::Vec;

fn handed_on(host: &Host) -> Vec<(String, String)> {
    let mut variables = host.resolve().hand_on;
    variables.sort();
    variables
}

fn check(host: &Host, expected: &[(&str, &str)]) {
    let variables = handed_on(host);
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(variables, expected, "{:?}", host.sources);
}

#[test]
fn what_datadog_is_told_opentelemetry_hears() {
    let host =
        Host::new().envs(&[("DD_SERVICE", "s"), ("DD_ENV", "e"), ("DD_VERSION", "1"), ("DD_TAGS", "a:x y,b:c=d")]);
    check(
        &host,
        &[
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=e,service.version=1,a=x y,b=c%3Dd"),
            ("OTEL_SERVICE_NAME", "s"),
        ],
    );
}

#[test]
fn what_opentelemetry_is_told_datadog_hears() {
    let host = Host::new().envs(&[
        ("OTEL_SERVICE_NAME", "s"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=e,service.version=1,a=x y,b=c%2Cd"),
    ]);
    check(&host, &[("DD_ENV", "e"), ("DD_SERVICE", "s"), ("DD_TAGS", "a:x y,"), ("DD_VERSION", "1")]);
}

#[test]
fn files_and_command_line_are_heard_by_both() {
    let host = Host::new()
        .file(
            USER,
            "env = \"e\"\n[agent]\nhost = \"a\"\n[otlp]\nendpoint = \"http://c:4318\"\nprotocol = \"http/json\"\n",
        )
        .cli("service", "s")
        .cli("debug", "true");
    check(
        &host,
        &[
            ("DD_ENV", "e"),
            ("DD_SERVICE", "s"),
            ("DD_TRACE_AGENT_URL", "http://a:8126"),
            ("DD_TRACE_DEBUG", "true"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=e"),
            ("OTEL_SERVICE_NAME", "s"),
        ],
    );
}

#[test]
fn what_is_there_stays_unless_something_stronger_spoke() {
    let both = [("DD_SERVICE", "d"), ("OTEL_SERVICE_NAME", "o")];
    check(&Host::new().envs(&both), &[]);
    check(&Host::new().envs(&both).cli("service", "c"), &[("DD_SERVICE", "c"), ("OTEL_SERVICE_NAME", "c")]);
    check(&Host::new().envs(&both).file(USER, "service = \"f\""), &[]);
    // Datadog's tracers read the fleet's file themselves.
    let fleet = "apm_configuration_default: {DD_SERVICE: fleet}";
    check(&Host::new().envs(&both).file(FLEET_FILE, fleet), &[("OTEL_SERVICE_NAME", "fleet")]);
    // An empty variable of OpenTelemetry's is none.
    check(&Host::new().env("DD_SERVICE", "d").env("OTEL_SERVICE_NAME", ""), &[("OTEL_SERVICE_NAME", "d")]);
    // The user has named the service among the attributes.
    check(&Host::new().env("DD_SERVICE", "d").env("OTEL_RESOURCE_ATTRIBUTES", "service.name=o"), &[]);
}

#[test]
fn resource_attributes_keep_their_items() {
    let name = "OTEL_RESOURCE_ATTRIBUTES";
    let host = Host::new().env(name, "a=%41, deployment.environment=old").env("DD_ENV", "new").env("DD_VERSION", "2");
    let expected = (name, "a=%41,deployment.environment=old,service.version=2");
    assert!(handed_on(&host).contains(&(expected.0.into(), expected.1.into())), "{:?}", handed_on(&host));

    let host = Host::new().env(name, "a=%41,deployment.environment=old").cli("env", "new");
    assert!(handed_on(&host).contains(&(name.into(), "a=%41,deployment.environment.name=new".into())));

    let host = Host::new().env(name, "broken").env("DD_ENV", "new");
    check(&host, &[]);
}

#[test]
fn the_variable_that_counts_is_the_one_that_is_changed() {
    let host = Host::new().env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc").cli("otlp.protocol", "http/json");
    check(&host, &[("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json")]);
    let host = Host::new().env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://env/x").cli("otlp.endpoint", "http://cli");
    check(
        &host,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://cli"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://cli/v1/traces"),
        ],
    );
    let host = Host::new().env("DD_AGENT_HOST", "env").cli("agent.url", "http://cli:1");
    check(&host, &[("DD_TRACE_AGENT_URL", "http://cli:1")]);
    check(&Host::new().env("DD_AGENT_HOST", "env"), &[]);
}

#[test]
fn tags_that_are_replaced_do_not_take_the_service_with_them() {
    let host = Host::new().env("DD_TAGS", "service:s,a:1").cli("tags", "b:2");
    check(
        &host,
        &[("DD_SERVICE", "s"), ("DD_TAGS", "b:2"), ("OTEL_RESOURCE_ATTRIBUTES", "b=2"), ("OTEL_SERVICE_NAME", "s")],
    );
}

#[test]
fn secrets_stay_in_their_files() {
    let host = Host::new().file(
        USER,
        "[otlp]\nendpoint = \"http://u:hunter2@h\"\ntraces_endpoint = \"http://h/?token=hunter2\"\nheaders = { a = \"hunter2\" }\n",
    );
    check(&host, &[]);
}

#[test]
fn exporters_are_named_to_opentelemetry_only_if_they_print_nothing() {
    check(&Host::new().cli("exporter", "otlp"), &[("OTEL_TRACES_EXPORTER", "otlp")]);
    check(&Host::new().cli("exporter", "console,local"), &[]);
}

#[test]
fn styles_are_named_only_to_those_who_know_them() {
    let style = "DD_TRACE_PROPAGATION_STYLE";
    for (given, expected) in [
        ((style, "datadog,tracecontext"), &[("OTEL_PROPAGATORS", "tracecontext")][..]),
        // Python's API knows these with a package alone, and cannot be imported without.
        ((style, "B3 single header, jaeger ,none"), &[]),
        ((style, "b3,tracecontext"), &[("OTEL_PROPAGATORS", "tracecontext")]),
        ((style, "datadog"), &[]),
        ((style, "none"), &[("OTEL_PROPAGATORS", "none")]),
        ((style, ""), &[("OTEL_PROPAGATORS", "none")]),
        (("OTEL_PROPAGATORS", "tracecontext,baggage,xray"), &[(style, "tracecontext,baggage")]),
        (("OTEL_PROPAGATORS", "b3,none"), &[(style, "none")]),
        (("OTEL_PROPAGATORS", "jaeger"), &[]),
        (("OTEL_PROPAGATORS", ""), &[]),
        (("DD_TRACE_PROPAGATION_STYLE_INJECT", "b3"), &[]),
    ] {
        check(&Host::new().envs(&[given]), expected);
    }
    let host = Host::new().cli("propagation.styles", "datadog,ottrace,b3").cli("propagation.inject", "b3multi,xray");
    check(&host, &[("DD_TRACE_PROPAGATION_STYLE", "datadog,b3"), ("DD_TRACE_PROPAGATION_STYLE_INJECT", "b3multi")]);
    // What overrules the environment is not hidden by one side in it.
    let host = Host::new().env("DD_TRACE_PROPAGATION_STYLE_EXTRACT", "datadog").cli("propagation.styles", "b3");
    check(&host, &[("DD_TRACE_PROPAGATION_STYLE", "b3"), ("DD_TRACE_PROPAGATION_STYLE_EXTRACT", "b3")]);
}

#[test]
fn how_context_travels_is_handed_on_to_datadogs_tracers() {
    let host = Host::new().file(
        USER,
        "[propagation]\nextract_first = true\nbehaviour = \"restart\"\ntags_max_length = 100\n\
         [baggage]\ntag_keys = [\"a\", \"b\"]\nmax_items = 3\nmax_bytes = \"1KiB\"\n",
    );
    check(
        &host,
        &[
            ("DD_TRACE_BAGGAGE_MAX_BYTES", "1024"),
            ("DD_TRACE_BAGGAGE_MAX_ITEMS", "3"),
            ("DD_TRACE_BAGGAGE_TAG_KEYS", "a,b"),
            ("DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT", "restart"),
            ("DD_TRACE_PROPAGATION_EXTRACT_FIRST", "true"),
            ("DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH", "100"),
        ],
    );
}

#[test]
fn the_switches_of_the_tracer_itself_reach_its_children() {
    let host = Host::new().file(USER, "process_spans = true\ninject_cleared_env = true\ndenylist = [\"a\", \"b\"]\n");
    check(
        &host,
        &[("DD_TRACE_DENYLIST", "a,b"), ("DD_TRACE_INJECT_CLEARED_ENV", "true"), ("DD_TRACE_PROCESS_SPANS", "true")],
    );
}

#[test]
fn nothing_is_handed_on_where_nothing_is_traced() {
    check(&Host::new().cli("service", "s").env("DD_TRACE_ENABLED", "false"), &[]);
}

/// Found by fuzzing.
#[test]
fn what_no_environment_can_carry_is_not_handed_on() {
    let host = Host::new().file(USER, "service = \"a\\u0000b\"\nenv = \"e\"\n[tags]\nzero = \"\\u0000\"\n");
    assert_eq!(host.resolve().config.service.as_deref(), Some("a\0b"));
    check(&host, &[("DD_ENV", "e"), ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=e,zero=%00")]);
}
