//! From a span as it was exported to one that is shown.
//!
//! Which attributes a span may carry is said by OpenTelemetry's semantic conventions for CLI programs, processes,
//! HTTP and databases, and by [`semconv`] for our own.

use super::model::ViewSpan;
use super::otlp_json::{Attributes, Span};
use ddtrace::semconv;

/// What tells a span from others of its name, the most telling first.
const DETAILS: [&str; 5] = ["url.full", "url.path", "db.query.text", "db.query.summary", "server.address"];

/// Ends that somebody wanted: the terminal's user, or a reader that had seen enough.
const INTERRUPTIONS: [&str; 2] = ["SIGINT", "SIGPIPE"];

/// What is shown of a span. An end of zero means that it had not ended.
pub fn view_span(span: &Span, resource: &Attributes) -> ViewSpan {
    let attributes = &span.attributes;
    let args = attributes.texts(semconv::PROCESS_COMMAND_ARGS);
    let pid = attributes.integer(semconv::PROCESS_PID);
    let is_process = pid.is_some() || !args.is_empty() || attributes.has(semconv::PROCESS_EXECUTABLE_NAME);
    let exit_code = attributes.integer(semconv::PROCESS_EXIT_CODE);

    let status_error = span.status_error();
    // An exit code says more than the "_OTHER" or the number that the conventions put into `error.type` beside it.
    let error_type =
        attributes.text(semconv::ERROR_TYPE).filter(|kind| exit_code.is_none_or(|code| *kind != code.to_string()));
    let interrupted = error_type.as_ref().is_some_and(|kind| INTERRUPTIONS.contains(&kind.as_str()));
    let failed = status_error.is_some() || error_type.is_some() || exit_code.is_some_and(|code| code != 0);
    let error =
        error_type.filter(|kind| kind != "_OTHER").or_else(|| status_error.filter(|message| !message.is_empty()));

    let cpu_seconds =
        [semconv::PROCESS_CPU_TIME_USER, semconv::PROCESS_CPU_TIME_SYSTEM].map(|key| attributes.number(key));
    ViewSpan {
        trace_id: span.trace_id(),
        span_id: span.span_id(),
        parent_id: span.parent_id(),
        name: started_as(&args).unwrap_or_else(|| span.name()),
        args,
        detail: if is_process { None } else { DETAILS.into_iter().find_map(|key| attributes.text(key)) }
            .unwrap_or_default(),
        service: attributes.text("service.name").or_else(|| resource.text("service.name")).unwrap_or_default(),
        start_ns: span.start_ns(),
        end_ns: span.end_ns(),
        exit_code,
        error,
        failed: failed && !interrupted,
        interrupted,
        // A cast takes what is below zero for zero, and what is too large for the largest.
        cpu_ns: cpu_seconds.into_iter().flatten().reduce(|user, system| user + system).map(|sum| (sum * 1e9) as u64),
        max_rss_bytes: attributes.integer(semconv::PROCESS_MEMORY_PEAK).and_then(|bytes| u64::try_from(bytes).ok()),
        still_running: span.end_ns() == 0 || attributes.is_true(semconv::PROCESS_UNFINISHED),
        is_process,
        pid,
        working_directory: attributes.text(semconv::PROCESS_WORKING_DIRECTORY),
        untraceable: attributes.text(semconv::PROCESS_UNTRACEABLE),
        execs: attributes.integer(semconv::PROCESS_EXEC_COUNT).and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
    }
}

/// The name under which a process was started: `cc`, though the executable behind it is another one. A login shell's
/// begins with a dash.
fn started_as(args: &[String]) -> Option<String> {
    let name = args.first()?.trim_start_matches('-').trim_end_matches('/').rsplit('/').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::otlp_json::read_line;
    use super::*;

    /// The span with these attributes and this status, both as JSON.
    fn convert(attributes: &[(&str, &str)], status: &str) -> ViewSpan {
        let pairs: Vec<_> =
            attributes.iter().map(|(key, value)| format!(r#"{{"key":"{key}","value":{value}}}"#)).collect();
        let line = format!(
            r#"{{"resourceSpans":[{{
                "resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"zlib"}}}}]}},
                "scopeSpans":[{{"spans":[{{"name":"x86_64-linux-gnu-gcc-14","startTimeUnixNano":"5","endTimeUnixNano":"9",
                    "attributes":[{}],"status":{status}}}]}}]}}]}}"#,
            pairs.join(",")
        );
        let read = read_line(line.as_bytes()).expect("valid").remove(0);
        let span = read.spans().next().expect("a span");
        view_span(span, read.resource())
    }

    const FAILED: &str = r#"{"code":2}"#;

    #[test]
    fn a_process_shows_its_arguments_and_what_it_used() {
        let span = convert(
            &[
                ("process.pid", r#"{"intValue":"41"}"#),
                (
                    "process.command_args",
                    r#"{"arrayValue":{"values":[{"stringValue":"/usr/bin/gcc"},{"stringValue":"a.c"}]}}"#,
                ),
                ("process.exit.code", r#"{"intValue":"0"}"#),
                ("process.cpu.time.user", r#"{"doubleValue":1.25}"#),
                ("process.cpu.time.system", r#"{"doubleValue":0.25}"#),
                ("process.memory.peak", r#"{"intValue":"4096"}"#),
            ],
            "{}",
        );
        assert_eq!(span.args, ["/usr/bin/gcc", "a.c"]);
        assert_eq!(span.name, "gcc", "what it was started as, not what its executable is called");
        assert_eq!((span.cpu_ns, span.max_rss_bytes, span.pid), (Some(1_500_000_000), Some(4096), Some(41)));
        assert!(span.is_process && !span.failed && !span.still_running);
        assert_eq!(span.service, "zlib");
    }

    #[test]
    fn names_without_arguments_are_those_of_the_span() {
        assert_eq!(convert(&[], "{}").name, "x86_64-linux-gnu-gcc-14");
        for (first, expected) in [("-bash", Some("bash")), ("/opt/tool/", Some("tool")), ("", None), ("/", None)] {
            assert_eq!(started_as(&[first.to_owned()]).as_deref(), expected, "{first:?}");
        }
    }

    #[test]
    fn an_exit_code_or_a_signal_or_a_status_is_a_failure() {
        let exited =
            convert(&[("process.exit.code", r#"{"intValue":"2"}"#), ("error.type", r#"{"stringValue":"2"}"#)], FAILED);
        assert_eq!((exited.failed, exited.exit_code, exited.error), (true, Some(2), None));
        let killed = convert(&[("error.type", r#"{"stringValue":"SIGSEGV"}"#)], FAILED);
        assert_eq!((killed.failed, killed.interrupted, killed.error.as_deref()), (true, false, Some("SIGSEGV")));
        let refused = convert(&[("url.full", r#"{"stringValue":"http://a/b"}"#)], r#"{"code":2,"message":"no route"}"#);
        assert_eq!((refused.error.as_deref(), refused.detail.as_str()), (Some("no route"), "http://a/b"));
        assert!(!convert(&[], r#"{"code":1}"#).failed);
    }

    #[test]
    fn an_end_that_somebody_wanted_is_no_failure() {
        for signal in INTERRUPTIONS {
            let signal = format!(r#"{{"stringValue":"{signal}"}}"#);
            let span = convert(&[("error.type", &signal), ("process.exit.code", r#"{"intValue":"141"}"#)], FAILED);
            assert!(span.interrupted && !span.failed, "{signal}");
        }
    }

    #[test]
    fn what_had_not_ended_is_running() {
        let span = convert(&[("ddtrace_run.unfinished", r#"{"boolValue":true}"#)], "{}");
        assert!(span.still_running && !span.failed);
        assert_eq!(span.end_ns, 9, "until when it was seen to run");
    }

    #[test]
    fn numbers_that_are_none_are_left_out() {
        let nan = r#"{"doubleValue":"NaN"}"#;
        let span = convert(&[("process.cpu.time.user", nan), ("process.memory.peak", nan)], "{}");
        assert_eq!((span.cpu_ns, span.max_rss_bytes), (None, None));
        let half =
            convert(&[("process.cpu.time.user", nan), ("process.cpu.time.system", r#"{"doubleValue":0.5}"#)], "{}");
        assert_eq!(half.cpu_ns, Some(500_000_000));
    }

    #[test]
    fn our_own_attributes_are_read() {
        let span = convert(
            &[
                ("ddtrace_run.untraceable", r#"{"stringValue":"static"}"#),
                ("ddtrace_run.exec_count", r#"{"intValue":"2"}"#),
            ],
            "{}",
        );
        assert_eq!((span.untraceable.as_deref(), span.execs), (Some("static"), 2));
    }
}
