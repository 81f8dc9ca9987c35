//! Requests that deliver what a tracer, a profiler or another such library has recorded: nobody wants spans of those.

use super::{HeaderFields, Target};

/// Where a Datadog Agent takes in what libraries have, and gives them their settings.
const OF_AGENTS: [&[u8]; 6] =
    [b"/telemetry/proxy/", b"/evp_proxy/", b"/profiling/v1/", b"/debugger/v", b"/symdb/v", b"/v0.7/config"];
/// The ends of the paths of OTLP over HTTP, behind whatever a collector has before them.
const OF_OTLP: [&[u8]; 4] = [b"/v1/traces", b"/v1/metrics", b"/v1/logs", b"/v1development/profiles"];

/// What the path of a request says.
#[derive(Clone, Copy, PartialEq)]
enum Path {
    /// Only such libraries ask for it.
    OfAgent,
    /// Programs may have one that is called so, too.
    OfOtlp,
    OfTraces,
    Other,
}

fn path(method: &[u8], target: &[u8]) -> Path {
    let path = Target::of(target).path;
    if OF_AGENTS.iter().any(|start| path.starts_with(start)) {
        return Path::OfAgent;
    }
    if matches!(method, b"POST" | b"PUT") && OF_OTLP.iter().any(|end| path.ends_with(end)) {
        return Path::OfOtlp;
    }
    // `/v0.4/traces`, `/v0.6/stats` and the like.
    if path.starts_with(b"/v0.") { Path::OfTraces } else { Path::Other }
}

/// Whether a request may be one of those, as far as its path tells: only then its headers need to be looked at.
#[must_use]
pub fn may_be_telemetry(method: &[u8], target: &[u8]) -> bool {
    path(method, target) != Path::Other
}

/// Whether a request is one of those, by its path and what such libraries say of themselves.
#[must_use]
pub fn is_telemetry(method: &[u8], target: &[u8], headers: &impl HeaderFields) -> bool {
    match path(method, target) {
        Path::OfAgent => true,
        Path::OfOtlp => {
            let [kind, agent] = headers.first_of([b"content-type", b"user-agent"]).map(Option::unwrap_or_default);
            let is_sdk = agent.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"otel"));
            is_sdk || kind.starts_with(b"application/x-protobuf")
        }
        Path::OfTraces => headers.header(b"datadog-meta-lang").is_some(),
        Path::Other => false,
    }
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
            let (method, target) = (method.as_bytes(), target.as_bytes());
            assert_eq!(is_telemetry(method, target, &Fields(headers)), expected, "{method:?} {target:?}");
            assert!(may_be_telemetry(method, target) || !expected);
        }
        assert!(!may_be_telemetry(b"GET", b"/v1/traces") && !may_be_telemetry(b"POST", b"/orders"));
    }
}
