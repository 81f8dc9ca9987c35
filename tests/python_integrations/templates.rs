//! Templates: a span below what they are rendered for.

use super::*;

const SCRIPT: &str = r#"
import sqlite3, sys
from flask import Flask, render_template, render_template_string
import jinja2

app = Flask(__name__, template_folder=".")
rows = lambda: sqlite3.connect(":memory:").execute("SELECT 1").fetchall()
# For nothing else: no span.
assert jinja2.Template("{{ 1 }}").render() == "1"

@app.route("/file")
def file():
    return render_template("page.html", rows=rows)

@app.route("/text")
def text():
    return render_template_string("{{ 1 }}")

@app.route("/fails")
def fails():
    return render_template_string("{{ nothing.at.all }}")

app.run(port=int(sys.argv[1]))
"#;

fn asked(sandbox: &mut Sandbox) {
    let script = sandbox.write("shop.py", SCRIPT).display().to_string();
    sandbox.write("page.html", "{% for row in rows() %}row{% endfor %}");
    let (server, port) = serve(sandbox, &[&script, "{port}"]);
    assert_eq!(ask(port, "/file", ""), (200, "row".to_owned()));
    assert_eq!(ask(port, "/text", ""), (200, "1".to_owned()));
    assert_eq!(ask(port, "/fails", "").0, 500);
    drop(server);
    sandbox.settle();
}

#[test]
fn of_flask() {
    let mut sandbox = sandbox();
    asked(&mut sandbox);
    let spans = sandbox.spans();
    assert_eq!(
        trees(&spans),
        [
            "client SELECT < internal jinja2.render < server GET /file",
            "internal jinja2.render ! < server GET /fails !",
            "internal jinja2.render < server GET /file",
            "internal jinja2.render < server GET /text",
            "server GET /fails !",
            "server GET /file",
            "server GET /text",
        ]
    );
    let failed = spans.iter().filter(|span| span.failed);
    assert!(failed.map(|span| span.error_type()).all(|kind| kind.is_some_and(|kind| kind.ends_with("UndefinedError"))));
    sandbox.set("DD_TRACE_JINJA2_ENABLED", "false");
    std::fs::remove_file(sandbox.local_store()).expect("it was there");
    asked(&mut sandbox);
    assert!(sandbox.spans().iter().all(|span| span.name != "jinja2.render"));
}

#[test]
fn at_an_agent() {
    let agent = ddtrace_test_support::Agent::start();
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER");
    asked(&mut sandbox);
    agent.assert_no_failed_check();
    let traces = agent.datadog_traces();
    let spans = traces.as_array().unwrap().iter().flat_map(|chunk| chunk.as_array().unwrap());
    let tags = ["component", "span.kind", "jinja2.template_name"];
    let mut seen: Vec<String> =
        spans.map(|span| told(span, &tags)).filter(|told| told.starts_with("jinja2.render")).collect();
    seen.sort();
    let text = "jinja2.render | <memory> | template component=jinja2 span.kind=internal jinja2.template_name=<memory>";
    let file =
        "jinja2.render | page.html | template component=jinja2 span.kind=internal jinja2.template_name=page.html";
    assert_eq!(seen, [text, text, file]);
}
