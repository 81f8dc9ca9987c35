//! Python programs of common libraries, without a line of tracing code and with nothing installed but those: what is seen of
//! them, at an OTLP receiver and at a Datadog Agent.

mod addresses;
mod afterwards;
mod answers;
mod arriving;
mod behind;
mod beside;
mod bodies;
mod clients;
mod databases;
mod ends;
mod frameworks;
mod garbage;
mod harmless;
mod mounts;
mod natively;
mod prefork;
mod switches;
mod templates;
mod websockets;

use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::servers::Server;
use ddtrace_test_support::spans::Span;
use ddtrace_test_support::{PATIENCE, Sandbox, python, repository};
use std::io::{Read, Write};
use std::net::TcpStream;

const PARENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN_ID: &str = "b7ad6b7169203331";

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false");
    sandbox.set("PYTHONPATH", directory()).set("PYTHONDONTWRITEBYTECODE", "1");
    sandbox
}

fn directory() -> String {
    repository().join("tests/python_integrations/programs").display().to_string()
}

fn program(name: &str) -> String {
    format!("{}/{name}", directory())
}

fn python() -> String {
    python::python("integrations-venv")
}

/// Starts Python; `{port}` is where it is to listen.
fn serve(sandbox: &mut Sandbox, arguments: &[&str]) -> (Server, u16) {
    let (python, port) = (python(), free_port());
    let arguments: Vec<String> = arguments.iter().map(|word| word.replace("{port}", &port.to_string())).collect();
    let argv: Vec<&str> = [python.as_str()].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    (Server::of(sandbox, true, "web", port, &argv), port)
}

/// Asks over a connection of its own, and gives the status and the body as far as it comes.
fn ask(port: u16, path: &str, headers: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    write!(connection, "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{headers}\r\n")
        .expect("it is sent");
    let mut answer = Vec::new();
    // A server that breaks off resets the connection.
    let _ = connection.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{path}: {answer:?}")), body.to_owned())
}

fn label(span: &Span) -> String {
    let failed = if span.failed { " !" } else { "" };
    format!("{} {}{failed}", span.kind, span.name)
}

/// Each span with those above it, from itself up; sorted. A parent that is elsewhere is its id.
fn trees(spans: &[Span]) -> Vec<String> {
    let way = |span: &Span| {
        let mut way = label(span);
        let mut above = (span.trace_id.clone(), span.parent_id.clone());
        while let (trace, Some(id)) = above {
            let parent = spans.iter().find(|other| other.span_id == id && other.trace_id == trace);
            let name = parent.map_or_else(|| id.clone(), label);
            way.push_str(&format!(" < {name}"));
            above = (trace, parent.and_then(|parent| parent.parent_id.clone()));
        }
        way
    };
    let mut trees: Vec<String> = spans.iter().map(way).collect();
    trees.sort();
    trees
}

/// Some attributes of a span, as `name=value`.
fn attributes(span: &Span, names: &[&str]) -> Vec<String> {
    let shown = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), String::from);
    names.iter().filter_map(|name| Some(format!("{name}={}", shown(span.attributes.get(*name)?)))).collect()
}

/// What an Agent is told of a span: name, resource, type, and some tags.
fn told(span: &serde_json::Value, tags: &[&str]) -> String {
    let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
    let mut told = format!("{} | {} | {}", text("name"), text("resource"), text("type"));
    for tag in tags {
        let value = span["meta"].get(tag).or_else(|| span["metrics"].get(tag));
        if let Some(value) = value {
            let value = value.as_str().map_or_else(|| value.to_string(), String::from);
            told.push_str(&format!(" {tag}={value}"));
        }
    }
    told
}
