//! Servers that fork or spawn: no request is lost, none is told of twice.

use super::*;

const REQUESTS: usize = 24;

#[track_caller]
fn assert_each_request_is_a_span(arguments: &[&str], route: &str) {
    let mut sandbox = sandbox();
    let (server, port) = serve(&mut sandbox, arguments);
    for number in 0..REQUESTS {
        assert_eq!(ask(port, &format!("/users/{number}"), "").0, 200, "{arguments:?}");
    }
    drop(server);
    let spans = sandbox.spans();
    let mut seen: Vec<_> = spans.iter().filter_map(|span| span.text("url.path")).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((spans.len(), seen.len()), (REQUESTS, REQUESTS), "{arguments:?}: {:#?}", trees(&spans));
    assert!(spans.iter().all(|span| span.name == format!("GET {route}")), "{arguments:?}: {:?}", trees(&spans));
}

#[test]
fn gunicorn() {
    let common = ["-m", "gunicorn", "-b", "127.0.0.1:{port}", "--workers", "2"];
    for options in [
        &["flask_app:app"][..],
        &["--preload", "flask_app:app"],
        &["--max-requests", "5", "flask_app:app"],
        &["-k", "gthread", "--threads", "3", "flask_app:app"],
        &["-k", "gevent", "flask_app:app"],
    ] {
        assert_each_request_is_a_span(&[&common[..], options].concat(), "/users/<int:number>");
    }
    for class in ["asgi", "uvicorn.workers.UvicornWorker"] {
        assert_each_request_is_a_span(&[&common[..], &["-k", class, "fastapi_app:app"]].concat(), "/users/{number}");
    }
}

#[test]
fn uvicorn() {
    let common = ["-m", "uvicorn", "--port", "{port}", "fastapi_app:app"];
    for options in [&[][..], &["--workers", "2"], &["--reload"]] {
        assert_each_request_is_a_span(&[&common[..], options].concat(), "/users/{number}");
    }
}
