//! `OTEL_*` variables that do not simply hold the value of a setting.

use super::{Dialect, Read, read};
use crate::config::table::{Reading, Setting};
use crate::config::value::Value;
use std::format;
use std::vec::Vec;

/// Reads a variable of OpenTelemetry in the way the table says.
pub(crate) fn read_otel(setting: &Setting, reading: Reading, text: &str) -> Read {
    if text.is_empty() {
        return Read::NOTHING;
    }
    match reading {
        Reading::Plain => read(setting, Dialect::Otel, text),
        Reading::Inverted => match super::scalar::boolean(Dialect::Otel, text) {
            Read { value: Some(Value::Bool(truth)), complaint } => Read { value: Some(Value::Bool(!truth)), complaint },
            other => other,
        },
        // Complaints about unknown names come with the choice of exporters.
        Reading::ExporterSwitch => match exporters(text) {
            (found, _) if !found.is_empty() => Read::good(Value::Bool(true)),
            _ if is_none(text) => Read::good(Value::Bool(false)),
            _ => Read::NOTHING,
        },
        Reading::ExporterChoice => choice(text),
        Reading::ExporterProtocol => items(text)
            .find_map(|item| EXPORTERS.iter().find(|known| known.name.eq_ignore_ascii_case(item))?.protocol)
            .map_or(Read::NOTHING, |protocol| Read::good(Value::Name(protocol))),
        Reading::DebugLevel if text.trim().eq_ignore_ascii_case("debug") => Read::good(Value::Bool(true)),
        Reading::DebugLevel => Read::NOTHING,
    }
}

/// An exporter by its name in `OTEL_TRACES_EXPORTER`.
struct Known {
    name: &'static str,
    means: &'static str,
    protocol: Option<&'static str>,
}

const fn known(name: &'static str, means: &'static str, protocol: Option<&'static str>) -> Known {
    Known { name, means, protocol }
}

// The specification's names, then those that opentelemetry-python registers.
const EXPORTERS: [Known; 8] = [
    known("otlp", "otlp", None),
    known("console", "console", None),
    known("logging", "console", None),
    known("otlp/stdout", "local", None),
    known("otlp_proto_grpc", "otlp", Some("grpc")),
    known("otlp_proto_http", "otlp", Some("http/protobuf")),
    known("otlp_json_http", "otlp", Some("http/json")),
    known("otlp_json_file", "local", None),
];

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn is_none(text: &str) -> bool {
    items(text).any(|item| item.eq_ignore_ascii_case("none"))
}

fn exporters(text: &str) -> (Vec<&'static str>, Vec<&str>) {
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for item in items(text).filter(|item| !item.eq_ignore_ascii_case("none")) {
        match EXPORTERS.iter().find(|known| known.name.eq_ignore_ascii_case(item)) {
            Some(known) if found.contains(&known.means) => {}
            Some(known) => found.push(known.means),
            None => unknown.push(item),
        }
    }
    (found, unknown)
}

fn choice(text: &str) -> Read {
    let (found, unknown) = exporters(text);
    let complaint = if !unknown.is_empty() {
        Some(format!("has {unknown:?}, an exporter that is not supported"))
    } else if items(text).any(|item| item.eq_ignore_ascii_case("otlp/stdout")) {
        Some(
            "would write to the program's standard output, which is the program's own; spans go to the local store"
                .into(),
        )
    } else {
        None
    };
    Read { value: (!found.is_empty()).then_some(Value::Names(found)), complaint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::by_key;
    use std::vec;

    #[test]
    fn exporters_of_opentelemetry() {
        let setting = by_key("exporter").unwrap();
        for (text, names, complains) in [
            ("otlp", vec!["otlp"], false),
            ("OTLP", vec!["otlp"], false),
            ("console", vec!["console"], false),
            ("logging", vec!["console"], false),
            ("otlp, console", vec!["otlp", "console"], false),
            ("otlp_proto_grpc", vec!["otlp"], false),
            ("otlp/stdout", vec!["local"], true),
            ("zipkin", vec![], true),
            ("zipkin,otlp", vec!["otlp"], true),
            ("none", vec![], false),
            ("", vec![], false),
        ] {
            let read = read_otel(setting, Reading::ExporterChoice, text);
            assert_eq!(read.value, (!names.is_empty()).then_some(Value::Names(names)), "{text}");
            assert_eq!(read.complaint.is_some(), complains, "{text}");
        }
    }

    #[test]
    fn exporters_switch_and_choose_the_protocol() {
        let enabled = by_key("enabled").unwrap();
        for (text, value) in [
            ("none", Some(false)),
            ("None", Some(false)),
            ("otlp", Some(true)),
            ("otlp,none", Some(true)),
            ("zipkin", None),
            ("", None),
        ] {
            let read = read_otel(enabled, Reading::ExporterSwitch, text);
            assert_eq!(read.value, value.map(Value::Bool), "{text}");
        }
        let protocol = by_key("otlp.protocol").unwrap();
        for (text, value) in [("otlp_proto_grpc", Some("grpc")), ("otlp_json_http", Some("http/json")), ("otlp", None)]
        {
            let read = read_otel(protocol, Reading::ExporterProtocol, text);
            assert_eq!(read, value.map_or(Read::NOTHING, |name| Read::good(Value::Name(name))), "{text}");
        }
    }

    #[test]
    fn the_disabled_switch_is_inverted() {
        let enabled = by_key("enabled").unwrap();
        for (text, value) in [("true", Some(false)), ("TRUE", Some(false)), ("false", Some(true)), ("", None)] {
            assert_eq!(read_otel(enabled, Reading::Inverted, text).value, value.map(Value::Bool), "{text}");
        }
        let doubtful = read_otel(enabled, Reading::Inverted, "1");
        assert_eq!(doubtful, Read::doubtful(Value::Bool(true), "is neither true nor false"));
    }

    #[test]
    fn only_debug_of_the_log_level_means_debugging() {
        let debug = by_key("debug").unwrap();
        assert_eq!(read_otel(debug, Reading::DebugLevel, "DEBUG"), Read::good(Value::Bool(true)));
        assert_eq!(read_otel(debug, Reading::DebugLevel, "info"), Read::NOTHING);
    }
}
