//! From a span as it is exported to one that is shown.
//!
//! Which attributes a span may carry is said by OpenTelemetry's semantic conventions for CLI programs, processes,
//! HTTP and databases.

use super::model::ViewSpan;
use ddtrace::span::{Resource, Span, Status, Value};

/// CPU seconds in user mode, by the process itself.
const CPU_USER: &str = "process.cpu.time.user";
/// CPU seconds in the kernel, by the process itself.
const CPU_SYSTEM: &str = "process.cpu.time.system";
/// Bytes.
const MEMORY_PEAK: &str = "process.memory.peak";

/// What is shown of a span. An end of zero means that it had not ended.
pub fn view_span(span: &Span, resource: &Resource) -> ViewSpan {
    let text = |key: &str| match span.attribute(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.to_string()),
        Some(Value::I64(number)) => Some(number.to_string()),
        _ => None,
    };
    let integer = |key: &str| match span.attribute(key) {
        Some(Value::I64(number)) => Some(*number),
        Some(Value::F64(number)) => Some(*number as i64),
        _ => None,
    };
    let seconds = |key: &str| match span.attribute(key) {
        Some(Value::F64(number)) => Some(*number),
        Some(Value::I64(number)) => Some(*number as f64),
        _ => None,
    };
    let args: Vec<String> = match span.attribute("process.command_args") {
        Some(Value::Array(items)) => items.iter().map(argument).collect(),
        Some(Value::String(line)) => vec![line.to_string()],
        _ => Vec::new(),
    };
    let pid = integer("process.pid");
    let is_process = pid.is_some() || !args.is_empty() || span.attribute("process.executable.name").is_some();
    let exit_code = integer("process.exit.code");
    let detail = ["url.full", "url.path", "db.query.text", "db.query.summary", "server.address"];

    let status_error = match &span.status {
        Status::Error(message) => Some(message.to_string()),
        Status::Unset | Status::Ok => None,
    };
    // An exit code says more than the "_OTHER" or the number that the conventions put into `error.type` beside it.
    let error_type = text("error.type").filter(|kind| exit_code.is_none_or(|code| *kind != code.to_string()));
    let failed = status_error.is_some() || error_type.is_some() || exit_code.is_some_and(|code| code != 0);
    let error =
        error_type.filter(|kind| kind != "_OTHER").or_else(|| status_error.filter(|message| !message.is_empty()));

    ViewSpan {
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent_id: span.parent_id,
        name: span.name.to_string(),
        args,
        detail: if is_process { None } else { detail.into_iter().find_map(text) }.unwrap_or_default(),
        service: span.service.clone().or_else(|| resource.text("service.name").map(str::to_owned)).unwrap_or_default(),
        start_ns: span.start_unix_nano,
        end_ns: span.end_unix_nano,
        exit_code,
        error,
        failed,
        cpu_ns: match (seconds(CPU_USER), seconds(CPU_SYSTEM)) {
            (None, None) => None,
            // A cast saturates, and takes what is not a number for zero.
            (user, system) => Some(((user.unwrap_or(0.0) + system.unwrap_or(0.0)) * 1e9) as u64),
        },
        max_rss_bytes: integer(MEMORY_PEAK).and_then(|bytes| u64::try_from(bytes).ok()),
        still_running: span.end_unix_nano == 0,
        is_process,
        pid,
        working_directory: text("process.working_directory"),
    }
}

fn argument(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::I64(number) => number.to_string(),
        Value::F64(number) => number.to_string(),
        Value::Array(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace::ids::{SpanId, TraceId};
    use ddtrace::span::SpanKind;
    use std::borrow::Cow;

    fn convert(attributes: Vec<(&'static str, Value)>, status: Status) -> ViewSpan {
        let span = Span {
            trace_id: TraceId(1),
            span_id: SpanId(2),
            parent_id: SpanId(0),
            parent_is_remote: false,
            trace_state: String::new(),
            flags: 1,
            name: "cc1".into(),
            operation_name: None,
            span_type: None,
            service: None,
            kind: SpanKind::Internal,
            start_unix_nano: 5,
            end_unix_nano: 9,
            attributes: attributes.into_iter().map(|(key, value)| (Cow::Borrowed(key), value)).collect(),
            events: Vec::new(),
            links: Vec::new(),
            status,
        };
        view_span(&span, &Resource { attributes: vec![("service.name".into(), "zlib".into())] })
    }

    #[test]
    fn a_process_shows_its_arguments_and_what_it_used() {
        let span = convert(
            vec![
                ("process.pid", 41.into()),
                ("process.command_args", Value::Array(vec!["/usr/bin/cc1".into(), "a.c".into()])),
                ("process.exit.code", 0.into()),
                (CPU_USER, 1.25.into()),
                (CPU_SYSTEM, 0.25.into()),
                (MEMORY_PEAK, 4096.into()),
            ],
            Status::Unset,
        );
        assert_eq!(span.args, ["/usr/bin/cc1", "a.c"]);
        assert_eq!((span.cpu_ns, span.max_rss_bytes, span.pid), (Some(1_500_000_000), Some(4096), Some(41)));
        assert!(span.is_process && !span.failed && !span.still_running);
        assert_eq!(span.service, "zlib");
    }

    #[test]
    fn an_exit_code_or_a_signal_or_a_status_is_a_failure() {
        let exited =
            convert(vec![("process.exit.code", 2.into()), ("error.type", "2".into())], Status::Error("".into()));
        assert_eq!((exited.failed, exited.exit_code, exited.error), (true, Some(2), None));
        let killed = convert(vec![("error.type", "SIGSEGV".into())], Status::Error("".into()));
        assert_eq!((killed.failed, killed.error.as_deref()), (true, Some("SIGSEGV")));
        let refused = convert(vec![("url.full", "http://a/b".into())], Status::Error("no route".into()));
        assert_eq!((refused.error.as_deref(), refused.detail.as_str()), (Some("no route"), "http://a/b"));
        assert!(!convert(vec![], Status::Ok).failed);
    }
}
