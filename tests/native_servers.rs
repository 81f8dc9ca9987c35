//! Chains of servers that nobody prepared, each by other means: one trace, and answers as without.

use ddtrace_test_support::Sandbox;
use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::python::python;
use ddtrace_test_support::repository;
use ddtrace_test_support::servers::{self, Server, chain, curl, files, nginx, only, postgres, python_server};
use ddtrace_test_support::spans::Span;

/// What Python's own instrumentations would tell is not asked for.
fn sandbox() -> Sandbox {
    let mut sandbox = servers::sandbox(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*");
    sandbox
}

/// curl asks nginx, which asks gunicorn, whose worker asks PostgreSQL.
#[test]
fn a_trace_goes_from_curl_to_the_database() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let (database, directory) = postgres(&sandbox);
    sandbox.set("PGHOST", directory).set("HOW", "nothing");
    let [front, back] = [free_port(), free_port()];
    let (python, programs) = (python("native-venv"), repository().join("tests/python_native").display().to_string());
    let mut answers = Vec::new();
    for traced in [false, true] {
        let bind = format!("127.0.0.1:{back}");
        let argv = [&*python, "-m", "gunicorn", "--workers", "2", "--chdir", &programs, "-b", &bind, "web:app"];
        let _back = Server::of(&mut sandbox, traced, "gunicorn", back, &argv);
        let _front = nginx(&mut sandbox, traced, "nginx", front, &format!("http://127.0.0.1:{back}/"), &root);
        let url = format!("http://127.0.0.1:{front}/up/stored");
        answers.push([(); 3].map(|()| curl(&mut sandbox, traced, &["-A", "tester", &url]).out()));
    }
    assert_eq!(answers[0], answers[1]);
    drop(database);
    let spans = sandbox.spans();
    let statements = Vec::from_iter(spans.iter().filter(|span| span.attributes.contains_key("db.query.text")));
    assert_eq!(statements.len(), 3, "{spans:#?}");
    for statement in statements {
        assert_eq!(statement.text("db.query.text"), Some("SELECT ? AS answer"));
        let expected = ["gunicorn serves", "gunicorn serves", "nginx asks", "nginx serves", "curl asks"];
        assert_eq!(chain(&spans, statement), expected);
    }
    assert_eq!(spans.len(), 3 * 5, "{spans:#?}");
}

/// Rust: axum, which is hyper, and reqwest. Which task works for which request is not to be seen: what is asked for is a trace
/// of its own, or below the right request, but never below another one.
#[test]
fn servers_and_clients_in_rust() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [front, back] = [free_port(), free_port()];
    let program = env!("CARGO_BIN_EXE_ddtrace-run").replace("ddtrace-run", "plain_web");
    let mut answers = Vec::new();
    for traced in [false, true] {
        let _back = python_server(&mut sandbox, traced, back, &root);
        let argv = [&program, &front.to_string(), &format!("http://127.0.0.1:{back}")];
        let _front = Server::of(&mut sandbox, traced, "axum", front, &argv.map(String::as_str));
        let url = |path: &str| format!("http://127.0.0.1:{front}/{path}");
        answers.push([
            curl(&mut sandbox, traced, &[&url("own"), &url("up/long")]).stdout,
            curl(
                &mut sandbox,
                traced,
                &["--parallel", "--no-progress-meter", &url("up/short"), &url("own"), &url("up/short")],
            )
            .stdout,
            curl(&mut sandbox, traced, &["-o", "/dev/null", "-w", "%{http_code}", &url("none")]).stdout,
        ]);
    }
    assert!(answers[0].iter().zip(&answers[1]).all(|(bare, traced)| bare.len() == traced.len()), "the answers differ");
    assert!(answers[0][0] == answers[1][0] && answers[0][2] == answers[1][2], "the answers differ");
    let spans = sandbox.spans();
    let of = |service: &str, kind: &str| {
        let is_it = |span: &&Span| span.resource["service.name"] == service && span.kind == kind;
        spans.iter().filter(is_it).collect::<Vec<_>>()
    };
    let (asks, serves) = (of("curl", "client"), of("axum", "server"));
    assert_eq!((asks.len(), serves.len()), (6, 6), "{spans:#?}");
    for served in serves {
        assert_eq!(chain(&spans, served), ["axum serves", "curl asks"]);
    }
    let (asks, serves) = (of("axum", "client"), of("python", "server"));
    assert_eq!((asks.len(), serves.len()), (3, 3), "{spans:#?}");
    for served in serves {
        let asked = only(&spans, |span| Some(&span.span_id) == served.parent_id.as_ref());
        let path = served.text("url.path").expect("a path");
        assert!(asked.text("url.full").is_some_and(|url| url.ends_with(path)), "{asked:#?} {served:#?}");
        if let Some(parent) = &asked.parent_id {
            let request = only(&spans, |span| span.span_id == *parent);
            assert_eq!(request.text("url.path"), Some(&*format!("/up{path}")));
        }
    }
}
