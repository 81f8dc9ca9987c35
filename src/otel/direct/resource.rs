//! What this program is, by the resource conventions.

use crate::config::{Config, Sources};
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use std::boxed::Box;
use std::ffi::OsString;
use std::path::Path;
use std::string::{String, ToString};
use std::vec;

/// The resource of a program that is configured by `config`.
pub(super) fn of(config: &Config, sources: &Sources) -> Resource {
    let service = config.service.clone().unwrap_or_else(|| inferred(sources.program.first()));
    let mut attributes = vec![
        KeyValue::new("service.name", service),
        // The SDK is OpenTelemetry's own and named so by its detector; this is who set it up.
        KeyValue::new("telemetry.distro.name", "ddtrace-run"),
        KeyValue::new("telemetry.distro.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("process.pid", i64::from(std::process::id())),
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
    use opentelemetry::Key;

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
