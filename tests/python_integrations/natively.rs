//! Programs whose connections are looked at as well: what both know is told once.

use super::*;

/// Servers that run the application in another thread, task or greenlet than the one that has read the request, also where what
/// they tell it of the peer is what a proxy says.
#[test]
fn a_request_is_one_span_with_each_server() {
    let tornado = "import plain, tornado.ioloop, tornado.httpserver; from tornado.wsgi import WSGIContainer; \
                   tornado.httpserver.HTTPServer(WSGIContainer(plain.wsgi), xheaders=True).listen({port}, '127.0.0.1'); \
                   tornado.ioloop.IOLoop.current().start()";
    for arguments in [
        &["-m", "waitress", "--listen=127.0.0.1:{port}", "plain:wsgi"][..],
        &["-m", "waitress", "--listen=127.0.0.1:{port}", "--trusted-proxy=127.0.0.1", "plain:wsgi"],
        &["-m", "hypercorn", "-b", "127.0.0.1:{port}", "plain:asgi"],
        &["-m", "hypercorn", "-b", "127.0.0.1:{port}", "wsgi:plain:wsgi"],
        &["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "plain:asgi"],
        &["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "--proxy-headers", "plain:asgi"],
        &["-m", "gunicorn", "-b", "127.0.0.1:{port}", "-k", "gevent", "plain:wsgi"],
        &["-m", "gunicorn", "-b", "127.0.0.1:{port}", "-k", "tornado", "plain:wsgi"],
        &["-c", tornado],
    ] {
        let mut sandbox = sandbox();
        sandbox.set("DD_TRACE_NATIVE_ENABLED", "true");
        let (server, port) = serve(&mut sandbox, arguments);
        for headers in [PARENT, "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"] {
            assert_eq!(ask(port, "/users/7", headers), (200, "ok".into()), "{arguments:?}");
        }
        drop(server);
        let expected = ["server GET".to_owned(), format!("server GET < {SPAN_ID}")];
        assert_eq!(trees(&sandbox.spans()), expected, "{arguments:?}");
    }
}
