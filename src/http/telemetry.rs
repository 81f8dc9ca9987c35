//! Requests that deliver what a tracer, a profiler or another such library has recorded: nobody wants spans of those.

use super::{HeaderFields, Target};

/// Where a Datadog Agent takes in what libraries have, and gives them their settings.
const OF_AGENTS: [&[u8]; 6] =
    [b"/telemetry/proxy/", b"/evp_proxy/", b"/profiling/v1/", b"/debugger/v", b"/symdb/v", b"/v0.7/config"];
/// The ends of the paths of OTLP over HTTP, behind whatever a collector has before them.
const OF_OTLP: [&[u8]; 4] = [b"/v1/traces", b"/v1/metrics", b"/v1/logs", b"/v1development/profiles"];

/// Whether a request is one of those, by its path and what such libraries say of themselves.
#[must_use]
pub fn is_telemetry(method: &[u8], target: &[u8], headers: &impl HeaderFields) -> bool {
    let path = Target::of(target).path;
    if OF_AGENTS.iter().any(|start| path.starts_with(start)) {
        return true;
    }
    let delivers = matches!(method, b"POST" | b"PUT");
    if delivers && OF_OTLP.iter().any(|end| path.ends_with(end)) {
        let [kind, agent] = headers.first_of([b"content-type", b"user-agent"]).map(Option::unwrap_or_default);
        let is_sdk = agent.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"otel"));
        return is_sdk || kind.starts_with(b"application/x-protobuf");
    }
    // `/v0.4/traces`, `/v0.6/stats` and the like, with what they are sent by.
    path.starts_with(b"/v0.") && headers.header(b"datadog-meta-lang").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fields<'a>(&'a [(&'a str, &'a str)]);

    impl HeaderFields for Fields<'_> {
        fn header(&self, name: &[u8]) -> Option<&[u8]> {
            self.0.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, value)| value.as_bytes())
        }
    }

    #[test]
    fn what_libraries_deliver_is_told_from_what_programs_ask_for() {
        let protobuf = [("content-type", "application/x-protobuf")];
        let json = [("content-type", "application/json"), ("user-agent", "OTel-OTLP-Exporter-JavaScript/0.57.0")];
        let datadog = [("datadog-meta-lang", "nodejs")];
        for (method, target, headers, expected) in [
            ("PUT", "/v0.4/traces", &datadog[..], true),
            ("PUT", "http://agent:8126/v0.5/traces", &datadog[..], true),
            ("POST", "/v0.7/config", &[], true),
            ("POST", "/telemetry/proxy/api/v2/apmtelemetry", &[], true),
            ("POST", "/v1/traces", &protobuf[..], true),
            ("POST", "/collector/v1/logs?x=y", &json[..], true),
            ("GET", "/v1/traces", &[], false),
            ("POST", "/v1/traces", &[("content-type", "application/json")], false),
            ("PUT", "/v0.4/traces", &[], false),
            ("POST", "/orders", &datadog[..], false),
        ] {
            assert_eq!(is_telemetry(method.as_bytes(), target.as_bytes(), &Fields(headers)), expected, "{method} {target}");
        }
    }
}
