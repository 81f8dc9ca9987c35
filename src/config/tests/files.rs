use super::*;
use crate::config::{FileRole, FileState, SYSTEM_FILE};
use std::time::Duration;
use std::vec::Vec;

#[test]
fn every_type_of_value() {
    let host = Host::new().file(
        USER,
        r#"
service = "shop"
report_hostname = true
exporter = ["otlp", "local"]
flush_interval = 0.25
process_spans = false
denylist = ["one", "with,comma"]
shutdown_timeout = "1m"
state_dir = "~/state"

[tags]
zebra = "z"
apple = 1
deep.er = true

[agent]
port = 9_126
max_payload = "1MiB"

[otlp]
endpoint = "https://collector"
headers = { Authorization = "Bearer a%20,b" }
certificate = "ca.pem"

[log]
file = "/var/log/x"
"#,
    );
    let resolution = host.resolve();
    assert_eq!(resolution.warnings, []);
    let config = resolution.config;
    assert_eq!(config.service.as_deref(), Some("shop"));
    assert!(config.report_hostname);
    assert_eq!(config.exporters.len(), 2);
    assert_eq!(config.flush_interval, Duration::from_millis(250));
    assert_eq!(config.process_spans, crate::config::ProcessSpans::Off);
    assert_eq!(config.denylist, ["one", "with,comma"]);
    assert_eq!(config.shutdown_timeout, Duration::from_secs(60));
    assert_eq!(config.state_dir, Some(host.path("/home/state")));
    // In the order of the file.
    let tags: Vec<_> = config.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(tags, [("zebra", "z"), ("apple", "1"), ("deep.er", "true")]);
    assert_eq!(config.agent.url.to_string(), "http://localhost:9126");
    assert_eq!(config.max_payload_bytes, 1 << 20);
    assert_eq!(config.otlp.endpoint, "https://collector/v1/traces");
    assert_eq!(config.otlp.headers, [("authorization".into(), "Bearer a%20,b".into())]);
    assert_eq!(config.otlp.certificate, Some(host.path("/home/.config/ddtrace/ca.pem")));
    assert_eq!(config.log_file, Some("/var/log/x".into()));
    assert_eq!(resolution.origins[Id::AgentPort as usize].origin, Origin::File(host.path(USER), 17));
}

/// Line, and what is said about it after the name of the file.
#[test]
fn what_is_wrong_is_named_with_file_line_and_key() {
    for (line, message) in [
        ("servce = \"x\"", ":1: unknown key \"servce\"; did you mean \"service\"?"),
        ("DD_ENV = \"x\"", ":1: unknown key \"DD_ENV\"; did you mean \"env\"?"),
        ("agent.prt = 1", ":1: unknown key \"agent.prt\"; did you mean \"agent.port\"?"),
        ("[agnet]\nurl = \"\"", ":1: unknown key \"agnet\"; did you mean \"agent\"?"),
        ("colour = true", ":1: unknown key \"colour\""),
        (
            "service = 1",
            ":1: service = \"1\" is of type integer, but must be text in quotes; using inferred from the program",
        ),
        ("version = 1.0", ":1: version = \"1.0\" is of type float, but must be text in quotes; using none"),
        ("enabled = \"no\"", ":1: enabled = \"no\" is of type string, but must be true or false; using true"),
        ("agent = \"x\"", ":1: agent is of type string, but must be a table; going on without it"),
        (
            "agent.port = \"8126\"",
            ":1: agent.port = \"8126\" is of type string, but must be a whole number without quotes; using 8126",
        ),
        ("agent.port = 70000", ":1: agent.port = \"70000\" is not a port from 1 to 65535; using 8126"),
        (
            "\n\nagent.url = \"x\"",
            ":3: agent.url = \"x\" has none of http://, https:// and unix:// before it; using http://localhost:8126",
        ),
        (
            "denylist = [1]",
            ":1: denylist is a list of something other than texts; using none besides the built-in ones",
        ),
        ("tags.a = [1]", ":1: tags has \"a\", which is neither text nor number nor truth value; using none"),
        (
            "otlp.headers.\"a b\" = \"hunter2\"",
            ":1: otlp.headers has the header \"a b\", which HTTP does not allow; using none",
        ),
        ("otlp.headers = 3", ":1: otlp.headers = \"****\" is of type integer, but must be a table; using none"),
        ("process_spans = \"some\"", ":1: process_spans = \"some\" is none of auto, true, false; using auto"),
        ("local.max_bytes = \"5 apples\"", ":1: local.max_bytes = \"5 apples\" is not a size in bytes; using 64MiB"),
        (
            "flush_interval = 1979-05-27",
            ":1: flush_interval is of type datetime, but must be a number of seconds or text such as \"500ms\"; using 1s",
        ),
    ] {
        let host = Host::new().file(USER, &format!("{line}\n"));
        let said = warnings(&host.resolve(), &host.sources.root);
        assert_eq!(said, format!("{USER}{message}"), "{line}");
    }
}

#[test]
fn a_broken_file_is_left_out_and_the_others_count() {
    for (text, message) in [
        ("service = \"a\"\nenv = oops\n", ":2: env: "),
        ("service = \"a\"\n[tags\n", ":2: "),
        ("service = \"a\"\nservice = \"b\"\n", ":2: service: "),
    ] {
        let host = Host::new().file(USER, text).file(SYSTEM_FILE, "service = \"system\"");
        let resolution = host.resolve();
        assert_eq!(resolution.config.service.as_deref(), Some("system"));
        let said = warnings(&resolution, &host.sources.root);
        assert!(
            said.starts_with(&format!("{USER}{message}")) && said.ends_with("; nothing in this file is used"),
            "{said}"
        );
        assert!(!said.contains('\n'), "{said}");
        assert!(resolution.files.iter().any(|file| matches!(file.state, FileState::Failed(_))));
    }
}

/// Found by fuzzing: the parser quotes what it does not understand, as it is.
#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let host = Host::new().file(USER, "service\0\u{1b}]0;owned\u{7} = 1\n");
    let resolution = host.resolve();
    let said = warnings(&resolution, &host.sources.root);
    assert!(said.starts_with(&format!("{USER}:1: service\\u{{0}}\\u{{1b}}]0;owned\\u{{7}}: ")), "{said}");
    let Some(FileState::Failed(why)) =
        resolution.files.iter().map(|file| &file.state).find(|state| **state != FileState::Missing)
    else {
        panic!("the file cannot be used: {:?}", resolution.files)
    };
    assert!(!why.contains(char::is_control), "{why}");
}

#[test]
fn files_that_cannot_be_read() {
    let host = Host::new();
    fs::create_dir_all(host.path(USER)).unwrap();
    let said = warnings(&host.resolve(), &host.sources.root);
    assert_eq!(said, format!("{USER} is not a regular file; going on without it"));

    let mut host = Host::new().file(SYSTEM_FILE, "service = \"system\"");
    host.sources.config_file = Some(host.path("/nowhere.toml"));
    let resolution = host.resolve();
    assert_eq!(warnings(&resolution, &host.sources.root), "/nowhere.toml does not exist; going on without it");
    assert_eq!(resolution.config.service.as_deref(), Some("system"));

    let host = Host::new();
    fs::create_dir_all(host.path("/home/.config/ddtrace")).unwrap();
    fs::write(host.path(USER), b"# fine\nservice = \"\xff\"\n").unwrap();
    let said = warnings(&host.resolve(), &host.sources.root);
    assert_eq!(said, format!("{USER} is not UTF-8 in line 2; going on without it"));

    let host = Host::new().file(USER, &"#".repeat((1 << 20) + 1));
    let said = warnings(&host.resolve(), &host.sources.root);
    assert_eq!(said, format!("{USER} is larger than 1 MiB; going on without it"));
}

#[test]
fn a_pipe_is_not_waited_for() {
    let mut host = Host::new();
    let pipe = host.path("/pipe");
    let status = process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(status.success());
    host.sources.config_file = Some(pipe);
    assert_eq!(warnings(&host.resolve(), &host.sources.root), "/pipe is not a regular file; going on without it");
}

#[test]
fn which_files_are_looked_for() {
    let roles = |resolution: &Resolution| resolution.files.iter().map(|file| file.role).collect::<Vec<_>>();
    let host = Host::new();
    let resolution = host.resolve();
    assert_eq!(roles(&resolution), [FileRole::Fleet, FileRole::User, FileRole::System, FileRole::Stable]);
    assert!(resolution.files.iter().all(|file| file.state == FileState::Missing));

    let named = host.path("/by-variable.toml");
    let host = host.file("/by-variable.toml", "env = \"v\"").env("DD_TRACE_CONFIG_FILE", named.to_str().unwrap());
    assert_eq!(host.resolve().config.env.as_deref(), Some("v"));
    // The option goes before the variable.
    let host = host.named("/by-option.toml", "env = \"o\"");
    assert_eq!(host.resolve().config.env.as_deref(), Some("o"));

    let xdg = host.path("/xdg");
    let host = host.env("XDG_CONFIG_HOME", xdg.to_str().unwrap()).file("/xdg/ddtrace/ddtrace.toml", "version = \"9\"");
    assert_eq!(host.resolve().config.version.as_deref(), Some("9"));

    let host = Host::new().env("XDG_CONFIG_HOME", "relative").file(USER, "version = \"8\"");
    assert_eq!(host.resolve().config.version.as_deref(), Some("8"));

    let mut host = Host::new();
    host.sources.env.clear();
    assert_eq!(roles(&host.resolve()), [FileRole::Fleet, FileRole::System, FileRole::Stable]);
}

#[test]
fn nothing_is_taken_from_the_current_directory() {
    let host = Host::new();
    assert!(host.resolve().files.iter().all(|file| file.path.is_absolute()));
}
