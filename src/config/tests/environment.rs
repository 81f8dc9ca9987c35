use super::*;
use crate::config::{Exporter, LogLevel, OtlpProtocol, ProcessSpans};
use std::vec;
use std::vec::Vec;

fn tags(resolution: &Resolution) -> Vec<(&str, &str)> {
    resolution.config.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[test]
fn special_keys_of_dd_tags_become_settings_and_leave_the_tags() {
    let resolution = resolved(&[(
        "DD_TAGS",
        "service:shop,version:2,env:prod,git.commit.sha:abc,git.repository_url:https://u:p@h/r,python_main_package:shop,a:b:c,d:e f",
    )]);
    let config = &resolution.config;
    assert_eq!(config.service.as_deref(), Some("shop"));
    assert_eq!(config.version.as_deref(), Some("2"));
    assert_eq!(config.env.as_deref(), Some("prod"));
    assert_eq!(config.git.commit_sha.as_deref(), Some("abc"));
    assert_eq!(config.git.repository_url.as_deref(), Some("https://h/r"));
    assert_eq!(config.git.main_package.as_deref(), Some("shop"));
    assert_eq!(tags(&resolution), [("a", "b:c"), ("d", "e f")]);
    assert_eq!(origin(&resolution, Id::Env), Origin::Env("DD_TAGS"));
}

#[test]
fn resource_attributes_become_settings_and_tags() {
    for (text, env) in [
        ("deployment.environment=old,x=1", "old"),
        ("deployment.environment.name=new,x=1", "new"),
        ("deployment.environment=old,deployment.environment.name=new,x=1", "new"),
    ] {
        let resolution =
            resolved(&[("OTEL_RESOURCE_ATTRIBUTES", &format!("service.name=s,service.version=1%2C5,{text}"))]);
        let config = &resolution.config;
        assert_eq!(config.service.as_deref(), Some("s"));
        assert_eq!(config.version.as_deref(), Some("1,5"));
        assert_eq!(config.env.as_deref(), Some(env));
        assert_eq!(tags(&resolution), [("x", "1")]);
    }
}

#[test]
fn an_error_discards_all_resource_attributes() {
    let host = Host::new().env("OTEL_RESOURCE_ATTRIBUTES", "service.name=s,oops,x=1");
    let resolution = host.resolve();
    assert_eq!((resolution.config.service.as_deref(), tags(&resolution)), (None, vec![]));
    assert_eq!(
        warnings(&resolution, &host.sources.root),
        "OTEL_RESOURCE_ATTRIBUTES=\"service.name=s,oops,x=1\" has \"oops\" without a \"=\", so that none of it counts; using none"
    );
}

#[test]
fn set_dd_tags_hide_all_resource_attributes() {
    for dd_tags in ["a:1", ""] {
        let resolution = resolved(&[("DD_TAGS", dd_tags), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=s,x=1")]);
        assert_eq!(resolution.config.service, None, "{dd_tags:?}");
        assert!(!tags(&resolution).contains(&("x", "1")), "{dd_tags:?}");
    }
}

#[test]
fn tracing_is_switched_off_by_either_dialect() {
    for (pairs, enabled, from) in [
        (&[][..], true, Origin::Default),
        (&[("DD_TRACE_ENABLED", "false")], false, Origin::Env("DD_TRACE_ENABLED")),
        (&[("DD_TRACE_ENABLED", "no")], false, Origin::Env("DD_TRACE_ENABLED")),
        (&[("DD_TRACE_ENABLED", "1")], true, Origin::Env("DD_TRACE_ENABLED")),
        (&[("OTEL_SDK_DISABLED", "true")], false, Origin::OtelEnv("OTEL_SDK_DISABLED")),
        (&[("OTEL_SDK_DISABLED", "TRUE")], false, Origin::OtelEnv("OTEL_SDK_DISABLED")),
        (&[("OTEL_SDK_DISABLED", "1")], true, Origin::OtelEnv("OTEL_SDK_DISABLED")),
        (&[("OTEL_SDK_DISABLED", "")], true, Origin::Default),
        (&[("OTEL_TRACES_EXPORTER", "none")], false, Origin::OtelEnv("OTEL_TRACES_EXPORTER")),
        (
            &[("OTEL_SDK_DISABLED", "false"), ("OTEL_TRACES_EXPORTER", "none")],
            false,
            Origin::OtelEnv("OTEL_TRACES_EXPORTER"),
        ),
        (
            &[("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "otlp")],
            false,
            Origin::OtelEnv("OTEL_SDK_DISABLED"),
        ),
        (&[("DD_TRACE_ENABLED", "true"), ("OTEL_SDK_DISABLED", "true")], true, Origin::Env("DD_TRACE_ENABLED")),
    ] {
        let resolution = resolved(pairs);
        assert_eq!(resolution.config.enabled, enabled, "{pairs:?}");
        assert_eq!(origin(&resolution, Id::Enabled), from, "{pairs:?}");
    }
}

#[test]
fn exporters() {
    for (pairs, expected) in [
        (&[("DD_TRACE_EXPORTER", "datadog")][..], vec![Exporter::Datadog]),
        (&[("DD_TRACE_EXPORTER", "OTLP, local")], vec![Exporter::Otlp, Exporter::Local]),
        (&[("DD_TRACE_EXPORTER", "console"), ("OTEL_TRACES_EXPORTER", "otlp")], vec![Exporter::Console]),
        (&[("OTEL_TRACES_EXPORTER", "otlp")], vec![Exporter::Otlp]),
        (&[("OTEL_TRACES_EXPORTER", "otlp,console")], vec![Exporter::Otlp, Exporter::Console]),
        (&[("OTEL_TRACES_EXPORTER", "zipkin")], vec![]),
        (&[("OTEL_TRACES_EXPORTER", "none")], vec![]),
    ] {
        assert_eq!(resolved(pairs).config.exporters, expected, "{pairs:?}");
    }
}

#[test]
fn an_empty_variable_is_a_value_for_datadog_and_none_for_opentelemetry() {
    let resolution = resolved(&[("DD_SERVICE", ""), ("OTEL_SERVICE_NAME", "otel")]);
    assert_eq!(resolution.config.service.as_deref(), Some(""));
    let resolution = resolved(&[("OTEL_SERVICE_NAME", "")]);
    assert_eq!(resolution.config.service, None);
    // An empty address is none in Datadog's tracers, too.
    let resolution = resolved(&[("DD_TRACE_AGENT_URL", ""), ("DD_AGENT_HOST", "")]);
    assert!(!resolution.config.agent.explicit);
    assert_eq!(resolution.warnings, []);
    let resolution = resolved(&[("DD_TRACE_REPORT_HOSTNAME", "")]);
    assert_eq!(resolution.warnings.len(), 1);
}

/// Variable, value, what the setting then shows, and whether there is a warning.
#[test]
fn single_variables() {
    for (name, value, id, shown, warns) in [
        ("DD_TRACE_AGENT_TIMEOUT_SECONDS", "0.5", Id::AgentTimeout, "500ms", false),
        ("DD_TRACE_AGENT_TIMEOUT_SECONDS", "x", Id::AgentTimeout, "2s", true),
        ("DD_TRACE_WRITER_INTERVAL_SECONDS", "3", Id::FlushInterval, "3s", false),
        ("OTEL_BSP_SCHEDULE_DELAY", "250", Id::FlushInterval, "250ms", false),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", Id::FlushInterval, "1s", true),
        ("DD_TRACE_WRITER_MAX_PAYLOAD_SIZE_BYTES", "1048576", Id::AgentMaxPayload, "1MiB", false),
        ("DD_TRACE_WRITER_MAX_PAYLOAD_SIZE_BYTES", "999999999", Id::AgentMaxPayload, "25MiB", true),
        ("DD_TRACE_PARTIAL_FLUSH_ENABLED", "0", Id::PartialFlush, "false", false),
        ("DD_TRACE_PARTIAL_FLUSH_MIN_SPANS", "0", Id::PartialFlushMinSpans, "1", true),
        ("DD_TRACE_PARTIAL_FLUSH_MIN_SPANS", "x", Id::PartialFlushMinSpans, "300", true),
        ("DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED", "false", Id::TraceId128Bit, "false", false),
        ("DD_TRACE_REPORT_HOSTNAME", "yes", Id::ReportHostname, "false", true),
        ("DD_HOSTNAME", "web-1", Id::Hostname, "web-1", false),
        ("DD_TRACE_PROCESS_SPANS", "1", Id::ProcessSpans, "true", false),
        ("DD_TRACE_PROCESS_SPANS", "maybe", Id::ProcessSpans, "auto", true),
        ("DD_TRACE_DENYLIST", " a, /opt/b ,", Id::Denylist, "a,/opt/b", false),
        ("DD_TRACE_INJECT_CLEARED_ENV", "true", Id::InjectClearedEnv, "true", false),
        ("DD_TRACE_LOG_LEVEL", "WARNING", Id::LogLevel, "warn", false),
        ("DD_TRACE_LOG_LEVEL", "loud", Id::LogLevel, "warn", true),
        ("OTEL_LOG_LEVEL", "info", Id::LogLevel, "info", false),
        ("OTEL_LOG_LEVEL", "debug", Id::Debug, "true", false),
        ("DD_TRACE_LOG_FILE", "/tmp/x.log", Id::LogFile, "/tmp/x.log", false),
        ("DD_TRACE_STATE_DIR", "/var/lib/x", Id::StateDir, "/var/lib/x", false),
        ("DD_TRACE_LOCAL_MAX_BYTES", "1048576", Id::LocalMaxBytes, "1MiB", false),
        ("DD_TRACE_SPOOL_MAX_BYTES", "much", Id::SpoolMaxBytes, "512MiB", true),
        ("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "0", Id::ShutdownTimeout, "0s", false),
        ("DD_EXTERNAL_ENV", "it-false", Id::ExternalEnv, "it-false", false),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", Id::OtlpTimeout, "0s", false),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1", Id::OtlpTimeout, "10s", true),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "HTTP/JSON", Id::OtlpProtocol, "http/json", false),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "thrift", Id::OtlpProtocol, "http/protobuf", true),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", Id::OtlpCompression, "gzip", false),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", Id::OtlpCompression, "none", true),
        ("OTEL_EXPORTER_OTLP_INSECURE", "true", Id::OtlpInsecure, "true", false),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem", Id::OtlpCertificate, "/ca.pem", false),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b=2", Id::OtlpHeaders, "a=****,b=****", false),
    ] {
        let resolution = resolved(&[(name, value)]);
        assert_eq!(resolution.of(id).value, shown, "{name}={value}");
        assert_eq!(resolution.warnings.len(), usize::from(warns), "{name}={value}: {:?}", resolution.warnings);
        for warning in &resolution.warnings {
            assert!(warning.message.starts_with(name) && warning.message.contains("using"), "{warning}");
        }
    }
}

#[test]
fn the_variable_of_the_signal_is_stronger() {
    for (what, general, signal, id) in [
        ("PROTOCOL", "grpc", "http/json", Id::OtlpProtocol),
        ("COMPRESSION", "none", "gzip", Id::OtlpCompression),
        ("CERTIFICATE", "/a", "/b", Id::OtlpCertificate),
        ("TIMEOUT", "1000", "2000", Id::OtlpTimeout),
        ("HEADERS", "a=1", "b=2", Id::OtlpHeaders),
        ("INSECURE", "false", "true", Id::OtlpInsecure),
    ] {
        let of_signal = format!("OTEL_EXPORTER_OTLP_TRACES_{what}");
        let both = resolved(&[(&format!("OTEL_EXPORTER_OTLP_{what}"), general), (&of_signal, signal)]);
        let alone = resolved(&[(&of_signal, signal)]);
        assert_eq!(both.of(id), alone.of(id), "{what}");
        assert_ne!(both.of(id).origin, Origin::Default, "{what}");
    }
}

#[test]
fn typed_values_arrive() {
    let config = resolved(&[
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=a%20b"),
        ("OTEL_TRACES_EXPORTER", "otlp_proto_grpc"),
        ("DD_TRACE_PROCESS_SPANS", "false"),
        ("DD_TRACE_DEBUG", "true"),
        ("DD_TRACE_LOG_LEVEL", "error"),
    ])
    .config;
    assert_eq!(config.otlp.timeout, None);
    assert!(config.otlp.gzip);
    assert_eq!(config.otlp.headers, [("api-key".into(), "a b".into())]);
    assert_eq!(config.otlp.protocol, OtlpProtocol::Grpc);
    assert_eq!(config.process_spans, ProcessSpans::Off);
    // Debugging wins over the level.
    assert_eq!(config.log_level, LogLevel::Debug);
}

#[test]
fn a_client_certificate_needs_its_key() {
    let resolution = resolved(&[("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c.pem")]);
    assert_eq!(resolution.config.otlp.client_certificate, None);
    assert_eq!(
        resolution.warnings[0].message,
        "the OTLP client's certificate is set (OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE) without its key; mutual TLS needs both, using neither"
    );
}

#[test]
fn a_configuration_file_of_opentelemetry_is_commented_on() {
    let resolution = resolved(&[("OTEL_CONFIG_FILE", "/otel.yaml")]);
    assert_eq!(resolution.warnings.len(), 1);
    assert!(resolution.warnings[0].message.starts_with("OTEL_CONFIG_FILE=\"/otel.yaml\" is for OpenTelemetry SDKs"));
    assert_eq!(resolved(&[("OTEL_CONFIG_FILE", "")]).warnings, []);
}

#[cfg(unix)]
#[test]
fn bytes_that_are_not_text() {
    use std::os::unix::ffi::OsStringExt;
    let mut host = Host::new();
    let odd = OsString::from_vec(vec![b'/', 0xff]);
    host.sources.env.push(("DD_SERVICE".into(), odd.clone()));
    host.sources.env.push(("DD_TRACE_STATE_DIR".into(), odd.clone()));
    host.sources.env.push((odd.clone(), "x".into()));
    let resolution = host.resolve();
    assert_eq!(resolution.config.service, None);
    assert_eq!(resolution.config.state_dir, Some(PathBuf::from(odd)));
    assert_eq!(resolution.warnings.len(), 1);
    assert!(resolution.warnings[0].message.contains("is not UTF-8; using inferred from the program"));
}

#[test]
fn the_first_of_equal_variables_counts() {
    assert_eq!(resolved(&[("DD_SERVICE", "a"), ("DD_SERVICE", "b")]).config.service.as_deref(), Some("a"));
}
