//! The names of header formats that each dialect's tracers know.

use std::string::String;
use std::vec::Vec;

pub(super) const OF_DATADOG: [&str; 6] = ["datadog", "tracecontext", "baggage", "b3", "b3multi", "none"];
/// An unknown name, such as `datadog`, makes OpenTelemetry's Python API unusable.
pub(super) const OF_OPENTELEMETRY: [&str; 8] =
    ["tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray", "ottrace", "none"];

/// The known names, `None` if there is none. `none` stands only where it is the only one: to some it voids all others, to
/// some it is nothing.
pub(super) fn written(names: &[&str], known: &[&str]) -> Option<String> {
    let is_only = names.iter().all(|name| *name == "none");
    let kept: Vec<&str> =
        names.iter().copied().filter(|name| known.contains(name) && (is_only || *name != "none")).collect();
    (!kept.is_empty()).then(|| kept.join(","))
}
