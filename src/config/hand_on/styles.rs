//! The names of header formats that each dialect's tracers know.

use std::string::String;
use std::vec::Vec;

pub(super) const OF_DATADOG: [&str; 6] = ["datadog", "tracecontext", "baggage", "b3", "b3multi", "none"];
/// What every implementation of OpenTelemetry has built in. Of other names Python's API makes an error at its import, unless a
/// package is installed: a user who has written them for it knows of that, one who has written Datadog's variable does not.
pub(super) const BUILT_IN: [&str; 3] = ["tracecontext", "baggage", "none"];
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
