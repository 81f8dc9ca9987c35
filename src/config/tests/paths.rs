use super::*;
use crate::config::table::{Kind, settings};
use std::vec::Vec;

/// A host on which somebody started the program in this directory.
fn started_in(directory: &str) -> Host {
    let mut host = Host::new();
    host.sources.directory = host.path(directory);
    host
}

#[test]
fn relative_paths_begin_where_the_program_was_started() {
    let paths: Vec<_> = settings().filter(|setting| setting.kind == Kind::Path).collect();
    assert!(paths.len() >= 6);
    for setting in paths {
        let otel = setting.otel.iter().map(|otel| otel.name);
        let variables = setting.dd.iter().copied().chain(otel).map(|name| started_in("/srv").env(name, "./a/b.x"));
        for host in variables.chain([started_in("/srv").cli(setting.key, "./a/b.x")]) {
            let shown = host.resolve().of(setting.id).value.clone();
            assert_eq!(Path::new(&shown), host.path("/srv/a/b.x"), "{:?}", host.sources);
        }
    }
}

#[test]
fn a_relative_file_begins_there_too_and_what_it_names_begins_with_the_file() {
    let mut host = started_in("/srv").file("/srv/conf/d.toml", "state_dir = \"state\"\n");
    host.sources.config_file = Some("conf/d.toml".into());
    let by_variable = started_in("/srv").env("DD_TRACE_CONFIG_FILE", "d.toml").file("/srv/d.toml", "env = \"e\"\n");
    let resolution = host.resolve();
    assert_eq!(resolution.config.state_dir, Some(host.path("/srv/conf/state")));
    assert_eq!(origin(&resolution, Id::StateDir), Origin::File(host.path("/srv/conf/d.toml"), 1));
    assert_eq!(by_variable.resolve().config.env.as_deref(), Some("e"));
}

#[test]
fn what_is_handed_on_means_the_same_from_everywhere() {
    let host = started_in("/srv").cli("otlp.certificate", "ca.pem");
    let certificate = host.path("/srv/ca.pem").to_str().unwrap().to_string();
    assert_eq!(host.resolve().hand_on, [("OTEL_EXPORTER_OTLP_CERTIFICATE".into(), certificate)]);
}

#[test]
fn where_nobody_knows_the_directory_a_path_stays_as_it_is() {
    let host = Host::new().cli("state_dir", "state");
    assert_eq!(host.resolve().config.state_dir, Some("state".into()));
}
