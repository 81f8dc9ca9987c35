//! What this program is, by the resource conventions.

use crate::config::{Config, Sources};
use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use std::boxed::Box;
use std::ffi::OsString;
use std::path::Path;
use std::string::{String, ToString};
use std::vec;

const PID: &str = "process.pid";

/// The resource of a program that is configured by `config`.
pub(super) fn of(config: &Config, sources: &Sources) -> Resource {
    let service = config.service.clone().unwrap_or_else(|| inferred(sources.program.first()));
    let mut attributes = vec![
        KeyValue::new("service.name", service),
        // The SDK is OpenTelemetry's own and named so by its detector; this is who set it up.
        KeyValue::new("telemetry.distro.name", "ddtrace-run"),
        KeyValue::new("telemetry.distro.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new(PID, i64::from(std::process::id())),
        KeyValue::new("host.arch", "amd64"),
        KeyValue::new("os.type", "linux"),
    ];
    let optional = [("service.version", &config.version), ("deployment.environment.name", &config.env)];
    for (key, value) in optional {
        attributes.extend(value.clone().map(|value| KeyValue::new(key, value)));
    }
    if let Some(host) = config.hostname.clone().or_else(host_name) {
        if config.report_hostname {
            attributes.push(KeyValue::new("_dd.hostname", host.clone()));
        }
        attributes.push(KeyValue::new("host.name", host));
    }
    // Last, as the later wins: the user's own attributes go over what was found.
    attributes.extend(config.tags.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    Resource::builder_empty().with_detector(Box::new(TelemetryResourceDetector)).with_attributes(attributes).build()
}

/// The resource of a forked child, from that of its parent.
pub(super) fn of_child(parent: &Resource, parents_pid: u32) -> Resource {
    let of_child = |(key, value): (&Key, &Value)| {
        let is_pid = key.as_str() == PID && *value == Value::I64(i64::from(parents_pid));
        let value = if is_pid { i64::from(std::process::id()).into() } else { value.clone() };
        KeyValue::new(key.clone(), value)
    };
    Resource::builder_empty().with_attributes(parent.iter().map(of_child)).build()
}

/// The program's name, as the launcher would infer it, too.
fn inferred(program: Option<&OsString>) -> String {
    let name = program.and_then(|path| Path::new(path).file_name());
    name.map_or_else(|| String::from("unknown_service"), |name| name.to_string_lossy().into_owned())
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_string()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(env: &[(&str, &str)], program: &str) -> Resource {
        let sources = Sources {
            env: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            program: vec![program.into()],
            root: "/nonexistent".into(),
            ..Sources::default()
        };
        of(&crate::config::resolve(&sources).config, &sources)
    }

    fn text(resource: &Resource, key: &'static str) -> Option<String> {
        resource.get(&Key::new(key)).map(|value| value.to_string())
    }

    #[test]
    fn both_dialects_give_the_same_attributes() {
        let datadog = [("DD_SERVICE", "shop"), ("DD_ENV", "prod"), ("DD_VERSION", "2"), ("DD_TAGS", "team:core")];
        let opentelemetry = [
            ("OTEL_SERVICE_NAME", "shop"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,service.version=2,team=core"),
        ];
        for env in [&datadog[..], &opentelemetry[..]] {
            let resource = resource(env, "/usr/bin/thing");
            for (key, expected) in [
                ("service.name", "shop"),
                ("deployment.environment.name", "prod"),
                ("service.version", "2"),
                ("team", "core"),
                ("telemetry.sdk.name", "opentelemetry"),
                ("telemetry.sdk.language", "rust"),
            ] {
                assert_eq!(text(&resource, key).as_deref(), Some(expected), "{key} of {env:?}");
            }
        }
    }

    #[test]
    fn a_forked_child_has_its_own_pid_and_all_else_of_its_parent() {
        let parent = resource(&[("DD_TAGS", "team:core")], "x");
        let child = of_child(&parent, std::process::id());
        assert_eq!((child.len(), text(&child, "team").as_deref()), (parent.len(), Some("core")));
        // As if this were the child of process 1.
        let parent = Resource::builder_empty().with_attribute(KeyValue::new(PID, 1)).build();
        assert_eq!(text(&of_child(&parent, 1), PID), Some(std::process::id().to_string()));
        let users = resource(&[("DD_TAGS", "process.pid:mine")], "x");
        assert_eq!(text(&of_child(&users, 1), PID).as_deref(), Some("mine"));
    }

    #[test]
    fn without_a_name_the_programs_own_is_taken() {
        assert_eq!(text(&resource(&[], "/usr/bin/thing"), "service.name").as_deref(), Some("thing"));
        assert_eq!(text(&resource(&[], ""), "service.name").as_deref(), Some("unknown_service"));
    }

    #[test]
    fn the_users_attributes_win() {
        let resource = resource(&[("OTEL_RESOURCE_ATTRIBUTES", "host.name=mine,os.type=plan9")], "x");
        assert_eq!(text(&resource, "host.name").as_deref(), Some("mine"));
        assert_eq!(text(&resource, "os.type").as_deref(), Some("plan9"));
    }
}
