use super::*;
use crate::config::{FLEET_FILE, FileState, LOCAL_FILE};
use std::vec::Vec;

/// The service that a file in the place of the fleet's gives to a certain program.
fn service(yaml: &str) -> Option<String> {
    let mut host = Host::new().file(FLEET_FILE, yaml).env("REGION", "eu");
    host.sources.language = Some("python".into());
    host.sources.program = ["python3", "app.py", "-Dmode=prod", "--level=1", "--level=2"].map(OsString::from).into();
    let resolution = host.resolve();
    assert_eq!(resolution.warnings, [], "{yaml}");
    resolution.config.service
}

#[test]
fn scalars_become_text() {
    let host = Host::new().file(
        LOCAL_FILE,
        "config_id: abc\napm_configuration_default:\n  DD_SERVICE: 17\n  DD_TRACE_REPORT_HOSTNAME: true\n  DD_TRACE_AGENT_PORT: 9126\n  DD_TRACE_AGENT_TIMEOUT_SECONDS: 0.5\n  DD_PROFILING_ENABLED: true\n",
    );
    let resolution = host.resolve();
    assert_eq!(resolution.warnings, []);
    assert_eq!(resolution.config.service.as_deref(), Some("17"));
    assert!(resolution.config.report_hostname);
    assert_eq!(resolution.config.agent.url.to_string(), "http://localhost:9126");
    assert_eq!(resolution.config.agent.timeout.as_millis(), 500);
    assert_eq!(origin(&resolution, Id::AgentUrl), Origin::StableFile(host.path(LOCAL_FILE)));
}

#[test]
fn selectors() {
    for (selector, matches) in [
        ("{origin: language, matches: [python], operator: equals}", true),
        ("{origin: language, matches: [java, python], operator: equals}", true),
        ("{origin: language, matches: [java], operator: equals}", false),
        ("{origin: language, matches: [py], operator: prefix_matches}", true),
        ("{origin: language, operator: exists}", true),
        ("{origin: process_arguments, matches: [app.py], operator: equals}", true),
        ("{origin: process_arguments, matches: [.py], operator: suffix_matches}", true),
        ("{origin: process_arguments, key: \"-Dmode\", matches: [prod], operator: equals}", true),
        ("{origin: process_arguments, key: \"-Dmode\", matches: [dev], operator: equals}", false),
        ("{origin: process_arguments, key: \"-Dmode\", operator: exists}", true),
        ("{origin: process_arguments, key: \"--level\", matches: [2], operator: equals}", true),
        ("{origin: process_arguments, key: app.py, operator: exists}", false),
        ("{origin: environment_variables, key: REGION, matches: [e], operator: prefix_matches}", true),
        ("{origin: environment_variables, key: OTHER, operator: exists}", false),
        ("{origin: environment_variables, matches: [REGION=eu], operator: equals}", true),
        ("{origin: tags, key: team, matches: [core], operator: equals}", true),
        ("{origin: tags, key: team, matches: [ore], operator: suffix_matches}", true),
        ("{origin: tags, matches: [core], operator: equals}", false),
    ] {
        let yaml = format!(
            "apm_configuration_default: {{DD_SERVICE: default}}\ntags: {{team: core}}\nrules:\n  - selectors: [{selector}]\n    configuration: {{DD_SERVICE: rule}}\n"
        );
        assert_eq!(service(&yaml).as_deref(), Some(if matches { "rule" } else { "default" }), "{selector}");
    }
}

#[test]
fn all_selectors_must_match_and_the_first_rule_wins() {
    let rule = |languages: &[&str], name: &str| {
        let selectors: Vec<String> = languages
            .iter()
            .map(|language| format!("{{origin: language, matches: [{language}], operator: equals}}"))
            .collect();
        format!("  - selectors: [{}]\n    configuration: {{DD_SERVICE: {name}}}\n", selectors.join(", "))
    };
    let rules = [rule(&["python", "java"], "both"), rule(&["python"], "first"), rule(&["python"], "second")].concat();
    assert_eq!(service(&format!("rules:\n{rules}")).as_deref(), Some("first"));
    assert_eq!(service(&format!("rules:\n{}", rule(&[], "everyone"))).as_deref(), Some("everyone"));
}

#[test]
fn templates_are_filled_in_where_rules_have_them() {
    for (template, expected) in [
        ("svc-{{environment_variables[REGION]}}", "svc-eu"),
        ("{{ language }}-{{tags[ team ]}}", "python-core"),
        ("{{process_arguments[-Dmode]}}!", "prod!"),
        ("{{environment_variables[NOPE]}}", "UNDEFINED"),
        ("{{environment_variables}}", "UNDEFINED"),
        ("{{nonsense[x]}}", "UNDEFINED"),
        ("plain }} text", "plain }} text"),
    ] {
        let yaml = format!(
            "tags: {{team: core}}\nrules:\n  - selectors: []\n    configuration: {{DD_SERVICE: \"{template}\"}}\n"
        );
        assert_eq!(service(&yaml).as_deref(), Some(expected), "{template}");
    }
    assert_eq!(service("apm_configuration_default: {DD_SERVICE: \"{{language}}\"}").as_deref(), Some("{{language}}"));
}

#[test]
fn a_broken_file_is_left_out_with_a_word() {
    for yaml in [
        "rules: [",
        "rules: 5",
        "rules:\n  - selectors: [{origin: moon, operator: exists}]\n    configuration: {}\n",
        "rules:\n  - selectors: [{origin: language, operator: like}]\n    configuration: {}\n",
        "apm_configuration_default: {DD_SERVICE: [hunter2]}",
        "rules:\n  - selectors: []\n    configuration: {DD_SERVICE: \"{{language\"}\n",
    ] {
        let host = Host::new().file(LOCAL_FILE, yaml).env("DD_SERVICE", "env");
        let resolution = host.resolve();
        assert_eq!(resolution.config.service.as_deref(), Some("env"));
        let said = warnings(&resolution, &host.sources.root);
        assert!(said.starts_with(LOCAL_FILE) && said.ends_with("going on without it"), "{said}");
        assert!(!said.contains('\n') && !said.contains("hunter2"), "{said}");
        assert!(matches!(resolution.files.last().unwrap().state, FileState::Failed(_)));
    }
    for empty in ["", "\n", "# only a comment\n"] {
        assert_eq!(Host::new().file(LOCAL_FILE, empty).resolve().warnings, [], "{empty:?}");
    }
}

#[test]
fn an_alias_bomb_does_not_go_off() {
    let mut yaml = String::from("a: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        yaml.push_str(&format!("b{level}: &a{level} [{}]\n", [before.as_str(); 10].join(", ")));
    }
    let host = Host::new().file(LOCAL_FILE, &yaml);
    assert!(host.resolve().warnings.len() <= 1);
}

#[test]
fn other_files_can_take_their_places() {
    let host = Host::new()
        .file("/local.yaml", "apm_configuration_default: {DD_SERVICE: local, DD_ENV: local}")
        .file("/managed.yaml", "apm_configuration_default: {DD_SERVICE: managed}");
    let (local, managed) = (host.path("/local.yaml"), host.path("/managed.yaml"));
    let host = host
        .env("_DD_SC_LOCAL_FILE_OVERRIDE", local.to_str().unwrap())
        .env("_DD_SC_MANAGED_FILE_OVERRIDE", managed.to_str().unwrap());
    let config = host.resolve().config;
    assert_eq!((config.service.as_deref(), config.env.as_deref()), (Some("managed"), Some("local")));
}
