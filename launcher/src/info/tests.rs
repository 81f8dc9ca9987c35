use super::*;
use ddtrace::config::{Sources, resolve};
use std::net::TcpListener;

/// What `--info` says under an environment, with a directory of its own; nothing listens on the ports unless told.
fn report_of(env: &[(&str, &str)], change: impl FnOnce(&mut Facts)) -> Report {
    let directory = tempfile::tempdir().unwrap();
    let preload = directory.path().join("libddtrace_preload.so");
    std::fs::write(&preload, "").unwrap();
    let mut facts = Facts {
        version: "1.2.3".into(),
        preload,
        python: directory.path().to_owned(),
        state_dir: directory.path().join("state/ddtrace"),
        log_file: directory.path().join("state/ddtrace/log"),
        process_spans: (true, "CI is set".into()),
        probe_limit: Duration::from_millis(300),
    };
    change(&mut facts);
    let mut env: Vec<_> = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    if !env.iter().any(|(name, _): &(std::ffi::OsString, _)| name == "DD_TRACE_AGENT_PORT") {
        env.push(("DD_TRACE_AGENT_PORT".into(), closed.into()));
    }
    let sources = Sources { env, root: directory.path().join("root"), ..Sources::default() };
    report(&resolve(&sources), &facts)
}

fn used(report: &Report) -> Vec<&str> {
    report.destinations.iter().filter(|destination| destination.used).map(|destination| destination.exporter).collect()
}

#[test]
fn an_unreachable_agent_is_an_error_only_if_it_is_used() {
    let report = report_of(&[], |_| ());
    assert_eq!(used(&report), ["datadog"]);
    assert_eq!(report.errors.len(), 1);
    assert!(report.errors[0].starts_with("Datadog Agent not reachable at http://localhost:"), "{:?}", report.errors);

    let report = report_of(&[("DD_TRACE_EXPORTER", "local")], |_| ());
    assert_eq!(used(&report), ["local"]);
    assert_eq!(report.errors, [""; 0]);
    assert_eq!(report.destinations[0].reachable, Some(false));
}

#[test]
fn a_listening_receiver_is_reachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let report = report_of(&[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)], |_| ());
    assert_eq!(used(&report), ["otlp"]);
    let otlp = &report.destinations[1];
    assert_eq!((otlp.reachable, otlp.origin.as_str()), (Some(true), "OTEL_EXPORTER_OTLP_ENDPOINT"));
    assert_eq!(otlp.address, format!("{endpoint}/v1/traces"));
    assert_eq!(report.errors, [""; 0]);
}

#[test]
fn nothing_is_used_where_tracing_is_off() {
    let report = report_of(&[("DD_TRACE_ENABLED", "false")], |_| ());
    assert_eq!(used(&report), [""; 0]);
    assert!(report.text(false).contains("Writing traces to  nowhere"));
}

#[test]
fn what_is_missing_is_hinted_at() {
    let words = |report: &Report| -> Vec<String> {
        report.hints.iter().filter_map(|hint| hint.split(':').next().map(ToString::to_string)).collect()
    };
    assert_eq!(words(&report_of(&[], |_| ())), ["SERVICE NOT SET", "ENV NOT SET", "VERSION NOT SET"]);
    assert_eq!(words(&report_of(&[("DD_SERVICE", ""), ("DD_TAGS", "env:e,version:1")], |_| ())), ["SERVICE NOT SET"]);
}

#[test]
fn places_that_cannot_be_used_are_errors() {
    let report = report_of(&[("DD_TRACE_EXPORTER", "local")], |facts| {
        facts.preload = "/nonexistent/lib.so".into();
        facts.state_dir = "/dev/null/ddtrace".into();
        facts.log_file = "/dev/null/log".into();
    });
    assert_eq!(report.errors.len(), 3, "{:?}", report.errors);
    assert!(report.errors[0].starts_with("preload library: /nonexistent/lib.so cannot be read"));
    assert!(report.errors[1].starts_with("state directory: /dev/null is not a directory"));
    assert!(report.errors[2].starts_with("sidecar's log: /dev/null is not a directory"));
    let report = report_of(&[("DD_TRACE_EXPORTER", "local"), ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nope.pem")], |_| ());
    assert_eq!(report.errors, ["OTLP certificate: /nope.pem cannot be read (No such file or directory)"]);
}

#[test]
fn no_secret_is_told() {
    let report = report_of(
        &[
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:hunter2@127.0.0.1:1/?k=hunter2"),
            ("DD_GIT_REPOSITORY_URL", "https://u:hunter2@h/r"),
        ],
        |_| (),
    );
    for shown in [report.text(true), report.json(), format!("{report:?}")] {
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(shown.contains("api-key=****"), "{shown}");
    }
}

/// How wide the column of names is depends on the longest of them.
fn one_blank_between_columns(text: &str) -> String {
    let line = |line: &str| format!("  {}\n", line.split_whitespace().collect::<Vec<_>>().join(" "));
    text.lines().map(line).collect()
}

#[test]
fn the_text_tells_values_and_origins() {
    let report =
        report_of(&[("DD_SERVICE", "shop\u{1b}[31m"), ("OTEL_SERVICE_NAME", "x"), ("DD_TRACE_DEBUG", "si")], |_| ());
    let text = report.text(false);
    assert!(!text.contains('\u{1b}'), "no colours, and none from outside");
    let settings = one_blank_between_columns(&text);
    for line in [
        "ddtrace-run 1.2.3\n",
        "  Process spans      yes: CI is set\n",
        "  service shop\\u{1b}[31m [DD_SERVICE]\n",
        "  flush_interval 1s [default]\n",
        "  WARNING: DD_TRACE_DEBUG=\"si\" is neither true, 1, false nor 0; using false\n",
        "  HINT: ENV NOT SET",
        "ddtrace.toml: not there\n",
    ] {
        assert!(text.contains(line) || settings.contains(line), "{line:?} in {text}");
    }
    assert!(report.text(true).contains("\u{1b}[31mERROR\u{1b}[0m"));
}

#[test]
fn the_json_tells_the_same() {
    let report = report_of(&[("DD_SERVICE", "shop"), ("OTEL_BSP_SCHEDULE_DELAY", "100")], |_| ());
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["settings"][0]["key"], "service");
    assert_eq!(json["settings"][0]["source"], "env");
    assert_eq!(json["settings"][1]["value"], serde_json::Value::Null);
    assert_eq!(json["settings"][1]["otherwise"], "none");
    let flush = json["settings"].as_array().unwrap().iter().find(|it| it["key"] == "flush_interval").unwrap();
    assert_eq!((&flush["value"], &flush["source"]), (&"100ms".into(), &"otel_env".into()));
    assert_eq!(json["handed_on"]["OTEL_SERVICE_NAME"], "shop");
    assert_eq!(json["process_spans"]["on"], true);
    assert_eq!(json["files"][0]["role"], "Datadog fleet");
    assert_eq!(json["destinations"][0]["exporter"], "datadog");
}
