//! What FastAPI and Starlette do behind an answer.

use super::*;
use ddtrace_test_support::Agent;
use ddtrace_test_support::servers::only;

/// Asks for each path, and waits until what is done behind the answer of the last one has run.
pub(super) fn asked(sandbox: &mut Sandbox, app: &str, paths: &[&str]) {
    let (server, port) = serve(sandbox, &["-m", "uvicorn", "--port", "{port}", app]);
    for path in paths {
        assert_eq!(ask(port, path, "").0, 200, "{app} {path}");
    }
    assert_eq!(ask(port, "/ran", "").0, 200, "{app}");
    drop(server);
}

/// The trees, without the question whether it has run.
fn seen(sandbox: &Sandbox) -> Vec<String> {
    let mut seen = trees(&sandbox.spans());
    seen.retain(|tree| tree != "server GET /ran");
    seen
}

#[test]
fn each_task_behind_an_answer_is_a_span() {
    for (app, fails) in [("behind:app", false), ("behind:around", false), ("behind:app", true), ("behind:around", true)]
    {
        let mut sandbox = sandbox();
        let paths: &[&str] = if fails { &["/fails"] } else { &["/starlette/one", "/several"] };
        asked(&mut sandbox, app, paths);
        let expected: &[&str] = match fails {
            true => &["internal BackgroundTask breaks ! < server GET /fails", "server GET /fails"],
            false => &[
                "client SELECT < internal BackgroundTask counts < server GET /several",
                "client SELECT < internal BackgroundTask partial < server GET /several",
                "client SELECT < internal BackgroundTask waits < server GET /several",
                "client SELECT < internal BackgroundTask waits < server GET /starlette/one",
                "internal BackgroundTask Sends < server GET /several",
                "internal BackgroundTask counts < server GET /several",
                "internal BackgroundTask partial < server GET /several",
                "internal BackgroundTask waits < server GET /several",
                "internal BackgroundTask waits < server GET /starlette/one",
                "server GET /several",
                "server GET /starlette/one",
            ],
        };
        assert_eq!(seen(&sandbox), expected, "{app}");
        let spans = sandbox.spans();
        if fails {
            let failed = only(&spans, |span| span.failed);
            let seen = (failed.error_type(), failed.text("code.function.name"), failed.events.as_slice());
            assert_eq!(seen, (Some("ValueError"), Some("behind.breaks"), &["exception".to_owned()][..]));
        }
    }
}

/// Each by what its framework is called, which the switches are about.
#[test]
fn tasks_behind_answers_at_an_agent() {
    for (modules, expected) in [
        (
            "",
            &[
                "fastapi.background_task | breaks | custom component=fastapi error.type=ValueError",
                "starlette.background_task | waits | custom component=starlette",
            ][..],
        ),
        ("fastapi:false", &["starlette.background_task | waits | custom component=starlette"]),
        // What is mounted in an application of FastAPI is a part of that.
        (
            "starlette:false",
            &[
                "fastapi.background_task | breaks | custom component=fastapi error.type=ValueError",
                "fastapi.background_task | waits | custom component=fastapi",
            ],
        ),
        ("fastapi:false,starlette:false", &[]),
    ] {
        let agent = Agent::start();
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER").set("DD_PATCH_MODULES", modules);
        asked(&mut sandbox, "behind:app", &["/starlette/one", "/fails"]);
        sandbox.settle();
        agent.assert_no_failed_check();
        let traces = agent.datadog_traces();
        let spans = traces.as_array().unwrap().iter().flat_map(|chunk| chunk.as_array().unwrap());
        let mut seen: Vec<String> = spans.map(|span| told(span, &["component", "error.type"])).collect();
        seen.retain(|span| span.contains("background_task"));
        seen.sort();
        assert_eq!(seen, expected, "{modules}");
    }
}

#[test]
fn a_task_of_starlette_by_itself() {
    let mut sandbox = sandbox();
    asked(&mut sandbox, "behind:starlette", &["/one", "/fails"]);
    assert_eq!(
        seen(&sandbox),
        [
            "client SELECT < internal BackgroundTask waits < server GET /one",
            "internal BackgroundTask breaks ! < server GET /fails",
            "internal BackgroundTask waits < server GET /one",
            "server GET /fails",
            "server GET /one",
        ]
    );
}
