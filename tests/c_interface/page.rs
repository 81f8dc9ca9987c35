//! The examples of `docs/c-interface.md`: each is compiled and run as it stands there.

use super::{only, run_program, sandbox, spans_of};
use ddtrace_test_support::programs::compile_strictly;
use ddtrace_test_support::{Agent, repository};

/// The blocks of the page that are in a language.
fn blocks(language: &str) -> Vec<String> {
    let page = std::fs::read_to_string(repository().join("docs/c-interface.md")).expect("the page is there");
    let fence = format!("\n```{language}\n");
    let rest = page.split(&fence).skip(1);
    rest.map(|rest| rest.split("\n```").next().unwrap_or_default().to_owned()).collect()
}

/// A program with all blocks of C in it, and between them what a reader has to think of.
fn program() -> String {
    let [first, options, callbacks, list, logs] = &blocks("c")[..] else { panic!("five blocks: {:?}", blocks("c")) };
    let first = first.strip_prefix("#include \"ddtrace_run.h\"\n").expect("the first one has all that is needed");
    format!(
        r#"
#include <inttypes.h>
#include <stdio.h>
#include "ddtrace_run.h"

{callbacks}

static void set(void *argument, const char *name, const char *value, size_t value_length) {{
    if (strcmp(name, "x-datadog-trace-id") == 0) fprintf(argument, "set %.*s\n", (int)value_length, value);
}}

static int32_t get(void *argument, const char *name, size_t index, struct ddtrace_bytes *value) {{
    if (index > 0 || strcmp(name, argument) != 0) return 0;
    *value = ddtrace_text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    return 1;
}}

static void first(void) {{
{first}
}}

static void with_options(void) {{
    ddtrace_span other = ddtrace_start("other", NULL);
    const uint64_t earlier = UINT64_C(1700000000000000000);
    char headers[] = "traceparent";
{options}
    ddtrace_inject(span, set, stdout);
    ddtrace_finish(span);
    ddtrace_finish(other);
}}

static void from_list(void) {{
    struct ddtrace_start_options options = ddtrace_options();
{list}
    ddtrace_span span = ddtrace_start("from.list", &options);
    ddtrace_activate(span);
    FILE *log = stdout;
{logs}
    ddtrace_finish(span);
}}

int main(void) {{
    first();
    with_options();
    from_list();
    return 0;
}}
"#
    )
}

#[test]
fn the_examples_do_what_the_page_says() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    sandbox.set("DD_TRACE_PROPAGATION_STYLE", "datadog,tracecontext,jaeger");
    let source = sandbox.write("page.c", program());
    let program = compile_strictly(&sandbox, &source, "cc", &["-std=c99", "-pedantic"]);
    let (out, spans) = run_program(&mut sandbox, &agent, &program, &[]);
    let with_options = spans.iter().find(|span| span["service"] == "billing").expect("it has a service of its own");
    let from_list = only(&spans, "from.list", "from.list");
    let id = from_list["span_id"].as_u64().unwrap_or(0);
    let trace_id = 0x00ab_cdef_1234_5678_u64;
    assert_eq!(out, format!("set 11803532876627986230\ndd.trace_id={trace_id} dd.span_id={id}\n"));
    assert_eq!(spans.len(), 4, "{spans:#?}");
    let first = spans
        .iter()
        .find(|span| span["metrics"]["http.status_code"] == 200.0 || span["meta"]["http.status_code"] == "200");
    let first = first.unwrap_or_else(|| panic!("the first block: {spans:#?}"));
    assert_eq!((&first["name"], &first["resource"]), (&"http.request".into(), &"GET /users/{id}".into()));
    assert_eq!(with_options["parent_id"].as_u64(), Some(0x00f0_67aa_0ba9_02b7), "{with_options:#?}");
    assert_eq!(
        (&with_options["type"], with_options["start"].as_u64()),
        (&"web".into(), Some(1_700_000_000_000_000_000))
    );
    assert_eq!(with_options["meta"]["span.kind"], "server");
    assert_eq!(from_list["parent_id"].as_u64(), Some(0x1234), "{from_list:#?}");
}

#[test]
fn the_example_in_python_needs_nothing_but_the_symbol() {
    let [source] = &blocks("python")[..] else { panic!("one block: {:?}", blocks("python")) };
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER");
    let script = sandbox.write("page.py", source);
    let argv = ["python3", script.to_str().expect("a path of plain letters")];
    assert_eq!(sandbox.run_bare(argv).out(), "", "without the launcher there is no tracer");
    let outcome = sandbox.run_traced(argv);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{outcome:?}");
    assert!(outcome.out().trim().parse::<u64>().is_ok_and(|span| span != 0), "{outcome:?}");
    sandbox.settle();
    only(&spans_of(&agent), "job", "job");
}
