//! Which tags a span is sent with beside those that it says itself. Once for what rules see and for the mapping that sends
//! them.

use super::{Sampled, TagValue};

/// Whether an attribute of what makes spans is a tag of all of them, as the user's own are. What is found out about the
/// process, its host and the tracer has fields of its own or is known to the Agent; `_dd.*` is the tracer's and goes on the
/// first span of a chunk only.
pub(crate) fn is_users_own(name: &[u8]) -> bool {
    const DESCRIBED_ELSEWHERE: [&[u8]; 13] = [
        b"deployment.environment",
        b"deployment.environment.name",
        b"host.arch",
        b"host.name",
        b"os.type",
        b"process.pid",
        b"process.runtime.name",
        b"service.instance.id",
        b"service.name",
        b"service.version",
        b"telemetry.sdk.language",
        b"telemetry.sdk.name",
        b"telemetry.sdk.version",
    ];
    !DESCRIBED_ELSEWHERE.contains(&name) && !name.starts_with(b"_dd.")
}

/// Whether a span has the version of its process: it is that of a service, and a span that is sent as another's, be it by a
/// new name for it, has a version of its own or none.
pub(crate) fn has_version(service: &[u8], main_service: &[u8]) -> bool {
    service == main_service
}

/// The tag of that name: what the span says itself, else what its process says of all its spans.
pub(crate) fn tag<'a>(span: &'a dyn Sampled, name: &[u8]) -> Option<TagValue<'a>> {
    span.tag(name).or_else(|| {
        let is_sent = match name {
            b"version" => has_version(span.service(), span.main_service()),
            _ => is_users_own(name),
        };
        if is_sent { span.shared_tag(name) } else { None }
    })
}
