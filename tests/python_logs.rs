//! Log records of Python programs that say of which span they are.

use ddtrace_test_support::python::python;
use ddtrace_test_support::{Outcome, Sandbox, repository, target_dir};
use serde_json::Value;

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false").set("DD_ENV", "test").set("DD_VERSION", "1.0");
    sandbox.set("DD_SERVICE", "shop");
    sandbox
}

fn program(name: &str) -> String {
    repository().join("tests/python_instrumentations").join(name).display().to_string()
}

/// The ids of the span, and what was logged before it, within it and behind it.
fn logged(sandbox: &Sandbox, library: &str, api: &str) -> (u128, u64, [Value; 3]) {
    let outcome = sandbox.run_traced([&python("instr-venv"), &program("logs.py"), library, api]);
    assert_eq!(outcome.code, Some(0), "{library} {api}: {outcome:?}");
    let mut lines: Vec<Value> = serde_json::from_str(&outcome.out()).expect("JSON");
    let ids = lines.remove(0);
    let [trace_id, span_id] = [0, 1].map(|place| ids[place].as_str().expect("text").to_owned());
    (trace_id.parse().expect("a number"), span_id.parse().expect("one"), lines.try_into().expect("three lines"))
}

fn datadog(trace_id: &str, span_id: &str) -> Value {
    serde_json::json!({"dd.trace_id": trace_id, "dd.span_id": span_id, "dd.service": "shop", "dd.env": "test", "dd.version": "1.0"})
}

#[test]
fn each_library_with_each_api() {
    for setting in ["", "true"] {
        let mut sandbox = sandbox();
        if !setting.is_empty() {
            sandbox.set("DD_LOGS_INJECTION", setting);
        }
        for library in ["logging", "structlog", "loguru"] {
            for api in ["ddtrace", "otel", "sdk"] {
                let (trace_id, span_id, lines) = logged(&sandbox, library, api);
                let outside = datadog("0", "0");
                let within = datadog(&format!("{trace_id:032x}"), &span_id.to_string());
                assert_eq!(lines, [outside.clone(), within, outside], "{library} {api} {setting}");
            }
        }
    }
}

/// A format that names the fields has them in every line, in a program that traces nothing, too.
#[test]
fn formats_never_fail() {
    let mut sandbox = sandbox();
    let app = "import sys\n\
               from loguru import logger\n\
               import structlog\n\
               logger.remove()\n\
               logger.add(sys.stdout, format=sys.argv[1], catch=False)\n\
               logger.info('said')\n\
               structlog.configure(processors=[lambda _, __, event: print(event[sys.argv[2]]) or event, str])\n\
               structlog.get_logger().info('said')\n";
    let app = sandbox.write("app.py", app).display().to_string();
    let datadog = ["{extra[dd.trace_id]} {extra[dd.span_id]} {extra[dd.service]} {message}", "dd.trace_id"];
    let otel = ["{extra[otelTraceID]} {extra[otelSpanID]} {extra[otelServiceName]} {message}", "otelTraceID"];
    for (correlation, names) in [("false", datadog), ("true", datadog), ("true", otel)] {
        sandbox.set("OTEL_PYTHON_LOG_CORRELATION", correlation);
        let outcome =
            sandbox.run_traced([&[python("instr-venv"), app.clone()][..], &names.map(str::to_owned)].concat());
        assert!(outcome.out().starts_with("0 0 shop said\n0\n"), "{names:?}: {outcome:?}");
    }
}

#[test]
fn styles_and_lengths() {
    let mut sandbox = sandbox();
    for value in ["false", "0"] {
        sandbox.set("DD_LOGS_INJECTION", value);
        for library in ["logging", "structlog", "loguru"] {
            assert_eq!(logged(&sandbox, library, "otel").2, [const { Value::Null }; 3].map(|_| serde_json::json!({})));
        }
    }
    let otel = |trace_id: &str, span_id: &str, sampled: bool| serde_json::json!({"otelTraceID": trace_id, "otelSpanID": span_id, "otelTraceSampled": sampled, "otelServiceName": "shop"});
    sandbox.set("OTEL_PYTHON_LOG_CORRELATION", "true");
    for api in ["ddtrace", "otel", "sdk"] {
        let (trace_id, span_id, lines) = logged(&sandbox, "logging", api);
        let outside = otel("0", "0", false);
        let within = otel(&format!("{trace_id:032x}"), &format!("{span_id:016x}"), true);
        assert_eq!(lines, [outside.clone(), within, outside], "{api}");
    }
    // Both, and ids of 64 bits.
    sandbox.unset("DD_LOGS_INJECTION").set("DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED", "false");
    sandbox.set("DD_TRACE_SAMPLE_RATE", "0");
    let (trace_id, span_id, [_, within, _]) = logged(&sandbox, "logging", "ddtrace");
    let mut expected = datadog(&trace_id.to_string(), &span_id.to_string());
    let styled = otel(&format!("{trace_id:032x}"), &format!("{span_id:016x}"), false);
    for (name, value) in styled.as_object().expect("an object") {
        expected[name] = value.clone();
    }
    assert_eq!(within, expected);
}

/// Handlers, factories, pickles, formats: nothing is otherwise than without.
#[test]
fn logging_is_what_it_was() {
    let mut sandbox = sandbox();
    let argv = [python("instr-venv"), program("logging_as_ever.py")];
    let outcome = sandbox.assert_same(&argv);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    sandbox.set("DD_LOGS_INJECTION", "true");
    sandbox.assert_same(&argv);
    let outcome = sandbox.run_traced([&argv[0], &argv[1], "dd"]);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{outcome:?}");
    assert!(outcome.out().ends_with("0 0 shop five\n0 test five\nmine test six\n\n"), "{outcome:?}");
    // The lines that the program logs in, with what its own patchers and processors add.
    let outcome = sandbox.run_traced([python("instr-venv"), program("callsites.py")]);
    let lines: Vec<String> = outcome.out().lines().map(str::to_owned).collect();
    assert_eq!(
        [&lines[0], &lines[2], &lines[3]],
        ["within 18 callsites me", "within 22 me said", "<module> 27 me said"]
    );
    assert!(lines[1].contains(" dd.trace_id='") && lines[1].contains("callsites.py"), "{outcome:?}");
}

/// With the format that OpenTelemetry's variable asks for, a line is what it is under `opentelemetry-instrument`.
#[test]
fn lines_in_opentelemetrys_format() {
    let mut sandbox = sandbox();
    let source = "import logging, sqlite3\nlogging.getLogger('shop').info('before')\n\
                  from opentelemetry import trace\n\
                  with trace.get_tracer('here').start_as_current_span('all'):\n\
                  \x20   logging.getLogger('shop').info('within')\n";
    let app = sandbox.write("app.py", source).display().to_string();
    for (name, value) in [
        ("OTEL_PYTHON_LOG_CORRELATION", "true"),
        ("OTEL_SERVICE_NAME", "shop"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_PYTHON_LOG_FORMAT", ""),
    ] {
        sandbox.set(name, value);
    }
    for (format, level) in [("", ""), ("%(otelTraceID)s %(otelTraceSampled)s|%(message)s", "debug"), ("", "error")] {
        sandbox.set("OTEL_PYTHON_LOG_FORMAT", format).set("OTEL_PYTHON_LOG_LEVEL", level);
        // Digits differ.
        let shape = |outcome: &Outcome| {
            let text = outcome.err();
            let lines = text.lines().filter(|line| line.ends_with("before") || line.ends_with("within"));
            let lines = lines.map(|line| line.replace(|c: char| c.is_ascii_hexdigit(), "x"));
            lines.collect::<Vec<_>>()
        };
        let instrument = target_dir().join("instr-venv/bin/opentelemetry-instrument").display().to_string();
        // Nobody is there that its SDK could send to.
        let mut theirs = sandbox.bare([&instrument, &python("instr-venv"), &app]);
        let theirs = Outcome::of(theirs.env("OTEL_TRACES_EXPORTER", "none"));
        let ours = sandbox.run_traced([&python("instr-venv"), &app]);
        assert_eq!(shape(&ours), shape(&theirs), "{ours:?} {theirs:?}");
        assert_eq!(shape(&ours).len(), if level == "error" { 0 } else { 2 }, "{ours:?}");
    }
}

/// A span that has ended, and which the program has not left, is the current one of OpenTelemetry's API: instrumentations end
/// that of a request so, and the application goes on.
#[test]
fn lines_behind_the_end_of_what_is_current() {
    let app = "import logging\n\
        from ddtrace import tracer\n\
        from opentelemetry import trace\n\
        def say(active=None):\n\
        \x20   current = trace.get_current_span().get_span_context()\n\
        \x20   ids = [current.trace_id, active.span_id if active else current.span_id]\n\
        \x20   otel = ['%032x' % current.trace_id, '%016x' % current.span_id] if current.is_valid else [0, 0]\n\
        \x20   shown = ['%032x' % ids[0] if ids[0] else 0, ids[1], *otel, bool(current.trace_flags.sampled)]\n\
        \x20   logging.getLogger('shop').info(' '.join(map(str, shown)))\n\
        def ends(active=None):\n\
        \x20   with trace.get_tracer('here').start_as_current_span('all', end_on_exit=False) as span:\n\
        \x20       say()\n\
        \x20       span.end()\n\
        \x20       say(active)\n\
        \x20       with trace.get_tracer('here').start_as_current_span('below'): say()\n\
        \x20       say(active)\n\
        ends()\n\
        say()\n\
        with tracer.trace('around') as around: ends(around)\n\
        say()\n";
    for (rate, is_sampled) in [("1", "True"), ("0", "False")] {
        let mut sandbox = sandbox();
        sandbox.set("OTEL_PYTHON_LOG_CORRELATION", "true").set("DD_TRACE_SAMPLE_RATE", rate);
        let format = "%(dd.trace_id)s %(dd.span_id)s %(otelTraceID)s %(otelSpanID)s %(otelTraceSampled)s|%(message)s";
        sandbox.set("OTEL_PYTHON_LOG_FORMAT", format);
        let outcome = sandbox.run_traced([&python("instr-venv"), "-c", app]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let lines = outcome.err();
        let lines: Vec<(&str, &str)> = lines.lines().filter_map(|line| line.split_once('|')).collect();
        assert!(lines.iter().all(|(shown, expected)| shown == expected), "{rate}: {lines:#?}");
        let ends: Vec<&str> = lines.iter().filter_map(|(shown, _)| shown.rsplit(' ').next()).collect();
        let expected = [[is_sampled; 4].as_slice(), &["False"], &[is_sampled; 4], &["False"]].concat();
        assert_eq!(ends, expected, "{rate}: {lines:#?}");
    }
}

/// What a line says of its trace is what becomes of that, in a request of Flask as well.
#[test]
fn whether_a_trace_is_kept() {
    let app = "import io, logging, re\n\
        out = io.StringIO()\n\
        logging.getLogger().handlers[0].setStream(out)\n\
        from flask import Flask\n\
        app = Flask(__name__)\n\
        @app.route('/<int:n>')\n\
        def number(n):\n\
        \x20   logging.getLogger('shop').warning('asked')\n\
        \x20   return ''\n\
        for n in range(60): app.test_client().get('/%d' % n)\n\
        from ddtrace import tracer\n\
        for n in range(60):\n\
        \x20   with tracer.trace('all'): logging.getLogger('shop').warning('said')\n\
        print(*re.findall('trace_id=([0-9a-f]{32}).*trace_sampled=True', out.getvalue()), sep='\\n')\n\
        print(len(out.getvalue().splitlines()))\n";
    for (name, value) in [
        ("DD_TRACE_SAMPLE_RATE", "0.5"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("DD_TRACE_SAMPLING_RULES", r#"[{"resource":"*number*","sample_rate":0},{"sample_rate":0.4}]"#),
    ] {
        let mut sandbox = sandbox();
        sandbox.set(name, value).set("OTEL_TRACES_SAMPLER_ARG", "0.5").set("OTEL_PYTHON_LOG_CORRELATION", "true");
        let app = sandbox.write("app.py", app).display().to_string();
        let outcome = sandbox.run_traced([python("integrations-venv"), app]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let mut kept: Vec<String> = outcome.out().lines().map(str::to_owned).collect();
        assert_eq!(kept.pop().as_deref(), Some("120"), "{outcome:?}");
        let mut recorded: Vec<String> = sandbox.spans().into_iter().map(|span| span.trace_id).collect();
        kept.sort();
        recorded.sort();
        assert_eq!(kept, recorded, "{name}={value}");
        assert!((1..119).contains(&kept.len()), "{name}={value}: {}", kept.len());
    }
}

/// A record that no logger has made is formatted like those that one has, and no formatter leaves anything in it.
#[test]
fn records_of_other_processes() {
    let app = "import logging, logging.handlers, sys\n\
        made = lambda **named: logging.makeLogRecord(dict(msg='made', name='x', levelno=30, levelname='WARNING', **named))\n\
        here = logging.getLogger('x')\n\
        here.handle(made())\n\
        here.handle(logging.LogRecord('x', 30, 'here.py', 1, 'by hand', (), None))\n\
        record = made(otelServiceName='theirs', **{'dd.service': 'theirs'})\n\
        before = dict(vars(record))\n\
        for style, text in zip('%%{{$', ('%(name).0s%(dd.service)s %(dd.trace_id)s|', '%(otelServiceName)s %(otelTraceID)s|',\n\
        \x20       '{dd.service} {dd.trace_id}|', '{otelServiceName} {otelTraceID}|', '$otelServiceName $otelTraceID|')):\n\
        \x20   print(logging.Formatter(text, style=style).format(record), end='')\n\
        before['message'] = 'made'\n\
        assert vars(record) == before, vars(record)\n\
        try: logging.Formatter('%(otelTraceID)s %(none)s').format(record)\n\
        except ValueError as error: print(error)\n";
    let mut sandbox = sandbox();
    sandbox.set("OTEL_PYTHON_LOG_CORRELATION", "true");
    let outcome = sandbox.run_traced([&python("instr-venv"), "-c", app]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.out(), format!("{}Formatting field not found in record: 'none'\n", "theirs 0|".repeat(5)));
    let lines = outcome.err();
    let lines: Vec<&str> = lines.lines().collect();
    let fields = "[trace_id=0 span_id=0 resource.service.name=shop trace_sampled=False]";
    assert!(matches!(&lines[..], [one, two] if one.contains(fields) && two.contains(fields)), "{lines:?}");
}

/// Events that are kept for a test, or that nothing renders, are as they are without.
#[test]
fn events_that_are_not_rendered() {
    let sandbox = sandbox();
    let script = "
import structlog
from structlog.testing import CapturingLogger, LogCapture, capture_logs
with capture_logs() as captured:
    structlog.get_logger().bind(x='y').info('hello')
print(captured)
for processors in [], [structlog.processors.add_log_level], [LogCapture()]:
    logger = CapturingLogger()
    structlog.wrap_logger(logger, processors=processors).info('hello', a=1)
    print(logger.calls, [each.entries for each in processors if hasattr(each, 'entries')])
";
    let command = [python("instr-venv"), String::from("-c"), String::from(script)];
    let (bare, traced) = (sandbox.run_bare(&command), sandbox.run_traced(&command));
    assert_eq!((traced.code, traced.out(), traced.err()), (bare.code, bare.out(), bare.err()));
    assert_eq!(bare.code, Some(0), "{bare:?}");
}
