//! The resource: what makes the spans of a run.

use std::borrow::Cow;
use std::collections::HashSet;

use ddtrace::config::Config;
use ddtrace::random::Random;
use ddtrace::span::{Attribute, Resource, Value};

/// The resource of a run of `service`.
///
/// `process_tags`: what [`super::process_tags`] says of its first process, if that is wanted.
pub fn of(config: &Config, service: String, process_tags: Option<String>, random: &Random) -> Resource {
    let mut attributes: Vec<Attribute> = Vec::new();
    let mut put = |key: &'static str, value: String| attributes.push((Cow::Borrowed(key), value.into()));
    let host = config.hostname.clone().or_else(host_name);
    put("service.name", service);
    if let Some(version) = &config.version {
        put("service.version", version.clone());
    }
    if let Some(env) = &config.env {
        put("deployment.environment.name", env.clone());
    }
    put("service.instance.id", uuid(random));
    put("telemetry.sdk.name", "ddtrace-run".to_owned());
    // The language of the tracer; the traced programs may be of any.
    put("telemetry.sdk.language", "rust".to_owned());
    put("telemetry.sdk.version", env!("CARGO_PKG_VERSION").to_owned());
    if let Some(host) = host {
        if config.report_hostname {
            put("_dd.hostname", host.clone());
        }
        put("host.name", host);
    }
    for (key, value) in [
        ("_dd.git.repository_url", &config.git.repository_url),
        ("_dd.git.commit.sha", &config.git.commit_sha),
        ("_dd.python_main_package", &config.git.main_package),
    ] {
        if let Some(value) = value {
            put(key, value.clone());
        }
    }
    if let Some(tags) = process_tags {
        put("_dd.tags.process", tags);
    }
    put("host.arch", "amd64".to_owned());
    put("os.type", "linux".to_owned());
    // The user's own attributes win over what was found.
    for (key, value) in &config.tags {
        let value = Value::String(Cow::Owned(value.clone()));
        match attributes.iter_mut().find(|(present, _)| present == key) {
            Some(present) => present.1 = value,
            None => attributes.push((Cow::Owned(key.clone()), value)),
        }
    }
    debug_assert_eq!(attributes.iter().map(|(key, _)| key).collect::<HashSet<_>>().len(), attributes.len());
    Resource { attributes }
}

fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok().map(|name| name.to_string_lossy().into_owned()).filter(|name| !name.is_empty())
}

/// A random UUID (RFC 9562, version 4).
fn uuid(random: &Random) -> String {
    let (high, low) = (random.next(), random.next());
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}
