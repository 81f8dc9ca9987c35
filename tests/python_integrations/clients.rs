//! Clients of HTTP: one span for each request, and its context in the headers.

use super::*;
use ddtrace_test_support::servers::{files, only, python_server};
use std::net::TcpListener;

const LIBRARIES: [&str; 7] = ["requests", "urllib3", "httpx", "httpx_async", "aiohttp", "urllib", "http_client"];

/// Answers one request, and gives its head.
fn answer_one(listener: &TcpListener) -> String {
    let (mut connection, _) = listener.accept().expect("somebody asks");
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(connection.read(&mut byte).expect("a head"), 1);
        head.push(byte[0]);
    }
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").expect("an answer");
    String::from_utf8(head).expect("a head is text")
}

#[test]
fn a_request_is_one_span_whose_context_goes_along() {
    for library in LIBRARIES {
        let sandbox = sandbox();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let url = format!("http://127.0.0.1:{port}/path?a=b&token=x");
        let answered = std::thread::spawn(move || answer_one(&listener));
        let outcome = sandbox.run_traced([&python(), &program("asks.py"), library, &url]);
        assert_eq!(outcome.out(), "200\n", "{library}: {outcome:?}");
        let head = answered.join().expect("a head").to_lowercase();
        let spans = sandbox.spans();
        let span = only(&spans, |_| true);
        let names = ["http.request.method", "url.full", "server.address", "http.response.status_code", "error.type"];
        assert_eq!((span.kind.as_str(), span.name.as_str(), span.failed), ("client", "GET", false), "{library}");
        let mut seen = attributes(span, &names);
        assert_eq!(span.number("server.port"), Some(port.into()), "{library}");
        seen[1] = seen[1].replace(&port.to_string(), "PORT");
        assert_eq!(
            seen,
            [
                "http.request.method=GET",
                "url.full=http://127.0.0.1:PORT/path?a=b&<redacted>",
                "server.address=127.0.0.1",
                "http.response.status_code=200"
            ],
            "{library}"
        );
        let parent = format!("traceparent: 00-{}-{}-01\r\n", span.trace_id, span.span_id);
        assert_eq!(head.matches("traceparent").count(), 1, "{library}: {head}");
        assert!(head.contains(&parent), "{library}: {head}");
        assert!(library != "urllib3" || head.contains("x-own: 1\r\n"), "{head}");
    }
}

#[test]
fn what_fails_says_how() {
    for library in LIBRARIES {
        let mut sandbox = sandbox();
        let root = files(&sandbox);
        let port = free_port();
        let server = python_server(&mut sandbox, false, port, &root);
        let nobody = free_port();
        let [missing, refused] = [format!("http://127.0.0.1:{port}/none"), format!("http://127.0.0.1:{nobody}/")];
        let outcome = sandbox.run_traced([&python(), &program("asks.py"), library, &missing, &refused]);
        drop(server);
        let out = outcome.out();
        let (first, second) = out.split_once('\n').expect("two lines");
        assert_eq!(first, "404", "{library}: {outcome:?}");
        let spans = sandbox.spans();
        assert_eq!(trees(&spans), ["client GET !", "client GET !"], "{library}");
        let of = |port: u16| only(&spans, |span| span.number("server.port") == Some(port.into())).error_type();
        assert_eq!(of(port), Some("404"), "{library}");
        // Libraries may raise another one of what they have caught.
        let kind = of(nobody).expect("an error");
        assert!(kind.ends_with(second.trim()) || kind.contains("Error"), "{library}: {kind} {second}");
        assert!(!outcome.err().contains("ddtrace"), "{library}: {outcome:?}");
    }
}

/// Each request of a redirect is a span of its own, none below the other, and each has its own context.
#[test]
fn redirects_are_requests() {
    for library in ["requests", "httpx", "urllib"] {
        let mut sandbox = sandbox();
        let root = files(&sandbox);
        std::fs::create_dir(root.join("directory")).expect("a directory");
        let port = free_port();
        let server = python_server(&mut sandbox, false, port, &root);
        let url = format!("http://127.0.0.1:{port}/directory");
        let outcome = sandbox.run_traced([&python(), &program("asks.py"), library, &url]);
        drop(server);
        assert_eq!(outcome.out(), "200\n", "{library}: {outcome:?}");
        let spans = sandbox.spans();
        assert_eq!(trees(&spans), ["client GET", "client GET"], "{library}");
        let mut statuses: Vec<_> = spans.iter().map(|span| span.number("http.response.status_code")).collect();
        statuses.sort();
        assert_eq!(statuses, [Some(200), Some(301)], "{library}");
    }
}

/// A context of another trace that the program has put there itself stays the only one.
#[test]
fn what_the_program_has_put_into_the_headers_stays() {
    let own = PARENT.trim_end();
    for script in [
        "import sys, urllib.request as u\nu.urlopen(u.Request(sys.argv[1], headers=dict([sys.argv[2].split(': ')]))).read()",
        "import sys, http.client as h\nc = h.HTTPConnection(sys.argv[1][7:-1])\nc.putrequest('GET', '/')\n\
         c.putheader(*sys.argv[2].split(': '))\nc.endheaders()\nc.getresponse().read()",
    ] {
        let sandbox = sandbox();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let answered = std::thread::spawn(move || answer_one(&listener));
        assert_eq!(sandbox.run_traced([&python(), "-c", script, &url, own]).code, Some(0));
        let head = answered.join().expect("a head").to_lowercase();
        assert_eq!((head.matches("traceparent").count(), head.contains(own)), (1, true), "{head}");
        assert_eq!(trees(&sandbox.spans()), ["client GET"]);
    }
}

/// What an SDK of the program's own delivers is no request of the program's, as where connections tell of it.
#[test]
fn deliveries_of_tracers_are_no_spans() {
    let script = r#"
import asyncio, sys, urllib.request
import aiohttp, httpx, requests, urllib3

url = sys.argv[1]

async def by_aiohttp(url, headers):
    async with aiohttp.ClientSession() as session:
        await session.post(url, data=b"x", headers=headers)

async def by_httpx(url, headers):
    async with httpx.AsyncClient() as client:
        await client.post(url, content=b"x", headers=headers)

def by_urllib(url, headers):
    try:
        urllib.request.urlopen(urllib.request.Request(url, b"x", headers))
    except OSError:
        pass

for ask in (
    lambda url, headers: requests.post(url, data=b"x", headers=headers),
    lambda url, headers: urllib3.PoolManager().request("POST", url, body=b"x", headers=headers),
    lambda url, headers: httpx.post(url, content=b"x", headers=headers),
    lambda url, headers: asyncio.run(by_httpx(url, headers)),
    lambda url, headers: asyncio.run(by_aiohttp(url, headers)),
    by_urllib,
):
    ask(url + "/v1/traces", {"Content-Type": "application/json", "User-Agent": "OTel-OTLP-Exporter-Python/1.45.1"})
    ask(url + "/up/v1/logs", {"Content-Type": "application/x-protobuf"})
    ask(url + "/v0.4/traces", {"Datadog-Meta-Lang": "python"})
    ask(url + "/v1/traces", {"Content-Type": "application/json", "User-Agent": "shop"})
"#;
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let port = free_port();
    let server = python_server(&mut sandbox, false, port, &root);
    let outcome = sandbox.run_traced([&python(), "-c", script, &format!("http://127.0.0.1:{port}")]);
    drop(server);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{outcome:?}");
    let spans = sandbox.spans();
    assert_eq!(trees(&spans), ["client POST !"; 6]);
    let asked = format!("url.full=http://127.0.0.1:{port}/v1/traces");
    assert!(spans.iter().all(|span| attributes(span, &["url.full"]) == [asked.as_str()]), "{spans:#?}");
}
