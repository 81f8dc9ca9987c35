//! `include/ddtrace_run.h` itself: it says what the library has, suits every compiler, and does nothing where there is no
//! tracer.

use ddtrace_test_support::programs::{compile_strictly, has_program, spans_program};
use ddtrace_test_support::{Sandbox, repository};
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::mem::{offset_of, size_of};
use std::process::Stdio;

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    sandbox
}

#[test]
fn the_header_says_what_the_library_has() {
    use ddtrace::interface::{
        CURRENT_IS_CONTEXT, CURRENT_IS_LENT, CurrentSpan, DecidedInfo, ErrorInfo, Header, Interface, LentSpan,
        NO_PARENT, Place, ProcessInfo, RequestInfo, StartOptions, Tag, TagValue, Text, UNDECIDED, VERSION,
    };
    let mut source = String::from("#include \"ddtrace_run.h\"\n#define IS(a, b) _Static_assert((a) == (b), #a)\n");
    macro_rules! layout {
        ($($rust:ident = $c:literal { $($field:ident $c_field:literal)* })*) => {$(
            writeln!(source, "IS(sizeof(struct {}), {});", $c, size_of::<$rust>()).unwrap();
            $(writeln!(source, "IS(offsetof(struct {}, {}), {});", $c, $c_field, offset_of!($rust, $field)).unwrap();)*
        )*};
    }
    layout! {
        Text = "ddtrace_bytes" { bytes "bytes" length "length" }
        StartOptions = "ddtrace_start_options" {
            size "size" kind "kind" parent "parent" context "context" start_unix_ns "start_unix_ns" service "service"
            resource "resource" kind_of_work "type"
        }
        TagValue = "ddtrace_value" { kind "type" reserved "reserved" payload "as" }
        Tag = "ddtrace_named_value" { name "name" value "value" }
        Header = "ddtrace_header" { name "name" value "value" }
        ErrorInfo = "ddtrace_error_info" { kind "type" message "message" stack "stack" }
        ProcessInfo = "ddtrace_process" {
            size "size" pid "pid" trace_id_high "trace_id_high" trace_id_low "trace_id_low" span_id "span_id"
            trace_flags "trace_flags" flags "flags"
        }
        CurrentSpan = "ddtrace_ids" {
            size "size" trace_flags "trace_flags" trace_id_high "trace_id_high" trace_id_low "trace_id_low"
            span_id "span_id" priority "priority" flags "flags"
        }
        RequestInfo = "ddtrace_request" {
            size "size" flags "flags" span "span" trace_id_high "trace_id_high" trace_id_low "trace_id_low"
            span_id "span_id" parent_id "parent_id"
        }
        LentSpan = "ddtrace_lent" {
            size "size" kind "kind" of "of" trace_id_high "trace_id_high" trace_id_low "trace_id_low" span_id "span_id"
            local_root "local_root" headers "headers" count "count" priority "priority" reserved "reserved"
        }
        DecidedInfo = "ddtrace_decided" {
            size "size" priority "priority" mechanism "mechanism" is_final "is_final" rate "rate"
        }
        Place = "ddtrace_place" {
            entered "entered" span "span"
        }
        Interface = "ddtrace_interface" {
            size "size" version "version" record "record" process "process" current "current" start "start"
            finish "finish" set "set" tag "tag" event "event" error "error" activate "activate" active "active"
            inject "inject" extract "extract" release "release" keep "keep" describe "describe"
            rate "rate" hand_over "hand_over" extract_all "extract_all"
            surroundings "surroundings" request "request" take_over "take_over" lend "lend" give_back "give_back"
            decide "decide" request_from "request_from" places "places" leave "leave"
        }
    }
    let part = |part: ddtrace::interface::Part| part as u32;
    let kind = |kind: ddtrace::interface::TagType| kind as u32;
    use ddtrace::interface::{Part, TagType};
    for (name, value) in [
        ("DDTRACE_NAME", part(Part::Name)),
        ("DDTRACE_RESOURCE", part(Part::Resource)),
        ("DDTRACE_SERVICE", part(Part::Service)),
        ("DDTRACE_TYPE", part(Part::Type)),
        ("DDTRACE_KIND", part(Part::Kind)),
        ("DDTRACE_TEXT", kind(TagType::Text)),
        ("DDTRACE_INTEGER", kind(TagType::Integer)),
        ("DDTRACE_DOUBLE", kind(TagType::Double)),
        ("DDTRACE_BOOL", kind(TagType::Bool)),
        ("DDTRACE_REMOVED", kind(TagType::Removed)),
        ("DDTRACE_VERSION", VERSION),
        ("DDTRACE_IS_CONTEXT", CURRENT_IS_CONTEXT),
        ("DDTRACE_IS_LENT", CURRENT_IS_LENT),
    ] {
        writeln!(source, "IS({name}, {value});").unwrap();
    }
    writeln!(source, "IS(DDTRACE_NO_PARENT, {NO_PARENT}u); IS(DDTRACE_UNDECIDED, {}L);", i64::from(UNDECIDED)).unwrap();
    source.push_str("int main(void) { return 0; }\n");
    let sandbox = sandbox();
    let path = sandbox.write("layout.c", source);
    compile_strictly(&sandbox, &path, "cc", &["-std=c11"]);
}

#[test]
fn the_header_is_clean_in_every_dialect() {
    let sandbox = sandbox();
    let text = "#include \"ddtrace_run.h\"\n#include <dlfcn.h>\n#include \"ddtrace_run.h\"\n\
                int main(void) { ddtrace_span s = ddtrace_start(\"a\", NULL); ddtrace_finish(s);\n\
                return ddtrace_is_traced() + (dlsym(NULL, \"no such symbol\") != NULL); }\n";
    let c = sandbox.write("dialect.c", text);
    let cpp = sandbox.write("dialect.cpp", text);
    for standard in ["-std=c99", "-std=c11", "-std=c17", "-std=gnu99"] {
        compile_strictly(&sandbox, &c, "cc", &["-pedantic", standard]);
    }
    for standard in ["-std=c++11", "-std=c++20"] {
        let program = compile_strictly(&sandbox, &cpp, "c++", &["-pedantic", standard]);
        assert_eq!(sandbox.run_bare([&program]).code, Some(0));
        assert_eq!(sandbox.run_traced([&program]).code, Some(1), "there is a tracer");
    }
}

#[test]
fn without_the_launcher_nothing_happens() {
    let sandbox = sandbox();
    let program = spans_program(&sandbox);
    for (mode, out) in [
        ("threads", "done\n"),
        ("exhaust", "spans 1\ntraces 0\nagain 0\n"),
        ("signals", "done\n"),
        ("sample", "before decided\ntoo late -1\n"),
        ("propagate", "context 0\nused up -1\n"),
    ] {
        let outcome = sandbox.run_bare([program.as_str(), mode]);
        assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), out), "{mode}: {outcome:?}");
    }
}

/// A static program has no preload in it, and no `dlsym`; it must link and run all the same.
#[test]
fn static_programs_have_no_tracer_and_work() {
    let sandbox = sandbox();
    for compiler in ["cc", "musl-gcc"].into_iter().filter(|compiler| has_program(compiler)) {
        let program = compile_strictly(&sandbox, &repository().join("tests/apps/spans.c"), compiler, &["-static"]);
        let outcome = sandbox.assert_same(&[program.as_str(), "sample"]);
        assert_eq!(outcome.out(), "before decided\ntoo late -1\n", "{compiler}");
    }
}

#[test]
fn the_example_behaves_the_same_without_the_launcher() {
    let sandbox = sandbox();
    let program = compile_strictly(&sandbox, &repository().join("examples/c-service.c"), "cc", &["-pedantic"]);
    let mut server = sandbox.bare([program.as_str(), "serve", "0", "2"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let outcome = sandbox.run_bare([program.as_str(), "get", port.trim(), "/users/7"]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "200 user 7\n"));
    let outcome = sandbox.run_bare([program.as_str(), "get", port.trim(), "/nothing"]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(1), "404 not found\n"));
    assert!(server.wait().unwrap().success());
}

#[test]
fn handles_that_lead_nowhere_do_nothing() {
    let sandbox = sandbox();
    let outcome = sandbox.run_traced([&spans_program(&sandbox), "stale"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.out(), format!("{}done\n", "0 -1 -1 -1\n".repeat(7)));
}
