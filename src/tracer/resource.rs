//! What records in a process: told once, before its first span.

use super::settings::Settings;
use crate::record::{Name, RecordWriter, SpanFields};
use crate::recorder::Process;
use crate::semconv;
use crate::span::Value;
use std::format;
use std::string::String;

/// Writes what distinguishes this process's spans from those of the rest of the run; the sidecar knows the rest.
pub(super) fn write(record: &mut RecordWriter, process: &Process, settings: &Settings) {
    record.resource(process.span_id());
    let mut put = |name: &str, value: &str| record.attribute_text(Name(name.as_bytes()), value.as_bytes());
    put("telemetry.sdk.language", settings.language);
    put("process.runtime.name", settings.language);
    put("runtime-id", &runtime_id(process));
    for (name, value) in &settings.resource.attributes {
        if let Value::String(value) = value {
            put(name, value);
        }
    }
    record.attribute_integer(Name(semconv::PROCESS_PID.as_bytes()), process.pid().into());
}

/// A random UUID (RFC 9562, version 4) without dashes, as Datadog's `runtime-id` is.
fn runtime_id(process: &Process) -> String {
    let (high, low) = (process.random.next(), process.random.next());
    format!("{:016x}{:016x}", (high & !0xf000) | 0x4000, (low & !(0b11 << 62)) | (0b10 << 62))
}
