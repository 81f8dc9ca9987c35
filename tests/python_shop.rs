//! A shop of two services without a line of tracing code, Flask with requests and SQLite under gunicorn, and FastAPI with
//! httpx, PostgreSQL and redis under uvicorn: what is seen of an order that goes well and of one that fails, and that nothing
//! is missing which Datadog's tracer and `opentelemetry-instrument` show of the same.

#[path = "python_shop/compare.rs"]
mod compare;

use compare::{Others, assert_nothing_is_missing};
use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::http::get_with;
use ddtrace_test_support::python::python;
use ddtrace_test_support::servers::{Server, postgres_at};
use ddtrace_test_support::spans::{Span, from_datadog};
use ddtrace_test_support::{Agent, Sandbox, repository, target_dir, wait_for};
use serde_json::{Value, json};

/// Who traces it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Integrations,
    Instrumentations,
    DatadogsTracer,
    OpentelemetryInstrument,
}

use Who::{DatadogsTracer, Instrumentations, Integrations, OpentelemetryInstrument};

impl Who {
    fn venv(self) -> &'static str {
        match self {
            Integrations => "integrations-venv",
            DatadogsTracer => "shop-venv",
            Instrumentations | OpentelemetryInstrument => "instr-venv",
        }
    }

    fn command(self, sandbox: &Sandbox, argv: &[&str]) -> std::process::Command {
        let theirs = |name: &str| target_dir().join(self.venv()).join("bin").join(name).display().to_string();
        match self {
            Integrations | Instrumentations => sandbox.traced(argv),
            DatadogsTracer => sandbox.bare([&[theirs("ddtrace-run").as_str()], argv].concat()),
            OpentelemetryInstrument => sandbox.bare([&[theirs("opentelemetry-instrument").as_str()], argv].concat()),
        }
    }
}

/// To whom spans are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Output {
    Datadog,
    Otlp,
}

/// What the services use; ports are the same on all days.
struct Shop {
    _databases: [Server; 2],
    _theirs: Sandbox,
    sandbox: Sandbox,
    agent: Agent,
    front: u16,
    stock: u16,
}

impl Shop {
    fn new() -> Shop {
        let launcher = env!("CARGO_BIN_EXE_ddtrace-run");
        // What the services leave running is waited for, what the databases do is not.
        let (theirs, mut sandbox) = (Sandbox::new(launcher), Sandbox::new(launcher));
        let [front, stock, store, cache] = [(); 4].map(|()| free_port());
        let postgres = postgres_at(&theirs, store);
        let argv = ["redis-server", "--port", &cache.to_string(), "--save", "", "--bind", "127.0.0.1"];
        let redis = Server::start(theirs.bare(argv), cache);
        sandbox.set("PYTHONPATH", programs()).set("PYTHONDONTWRITEBYTECODE", "1");
        sandbox.set("POSTGRES", format!("host=127.0.0.1 port={store} user=me dbname=postgres"));
        sandbox.set("REDIS", cache.to_string());
        sandbox.set("CUSTOMERS", sandbox.work().join("customers.db"));
        sandbox.set("STOCK", format!("http://127.0.0.1:{stock}"));
        sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_PROCESS_SPANS", "false");
        let agent = Agent::start();
        for (name, value) in [
            ("DD_TRACE_AGENT_URL", agent.url()),
            ("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false".into()),
            ("DD_REMOTE_CONFIGURATION_ENABLED", "false".into()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".into()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", agent.otlp_http_url()),
            ("OTEL_METRICS_EXPORTER", "none".into()),
            ("OTEL_LOGS_EXPORTER", "none".into()),
        ] {
            sandbox.set(name, value);
        }
        Shop { _databases: [postgres, redis], _theirs: theirs, sandbox, agent, front, stock }
    }

    /// Opens, takes an order that goes well and one that fails, and closes; what has been received of it.
    fn day(&mut self, who: Who, output: Output, spans: usize) -> Vec<Seen> {
        self.agent.clear();
        let python = python(who.venv());
        let opened = self.sandbox.run_bare([python.as_str(), &format!("{}/opens.py", programs())]);
        assert_eq!(opened.code, Some(0), "{opened:?}");
        if output == Output::Otlp {
            self.sandbox.set("OTEL_TRACES_EXPORTER", "otlp");
        } else {
            self.sandbox.unset("OTEL_TRACES_EXPORTER");
        }
        let (bind, port) = (format!("127.0.0.1:{}", self.front), self.stock.to_string());
        let stock = self.serve(who, output, "stock", &["uvicorn", "stock:app", "--port", &port]);
        let front = self.serve(who, output, "front", &["gunicorn", "-b", &bind, "--threads", "2", "front:app"]);
        for (path, status) in [("/customers/7/orders/lamp?gift=1", 200), ("/customers/7/orders/cursed", 500)] {
            let answer = get_with(self.front, path, &[("User-Agent", "shopper")]).expect("it answers");
            assert_eq!(answer.status, status, "{who:?}: {path}: {}", String::from_utf8_lossy(&answer.body));
        }
        wait_for("all spans", || Some(()).filter(|()| self.seen(output).len() >= spans));
        drop((front, stock));
        self.sandbox.settle();
        let mut seen = self.seen(output);
        seen.sort_by_key(|seen| seen.span.start);
        seen
    }

    fn serve(&mut self, who: Who, output: Output, service: &str, argv: &[&str]) -> Server {
        let (set, unset) = if output == Output::Otlp {
            ("OTEL_SERVICE_NAME", "DD_SERVICE")
        } else {
            ("DD_SERVICE", "OTEL_SERVICE_NAME")
        };
        self.sandbox.set(set, service).unset(unset);
        let python = python(who.venv());
        let command = who.command(&self.sandbox, &[&[python.as_str(), "-m"], argv].concat());
        Server::start(command, if service == "front" { self.front } else { self.stock })
    }

    fn seen(&self, output: Output) -> Vec<Seen> {
        if output == Output::Otlp {
            return self.agent.otlp_spans().into_iter().map(Seen::otlp).collect();
        }
        let traces = self.agent.datadog_traces();
        traces.as_array().into_iter().flatten().flat_map(Seen::datadog).collect()
    }
}

fn programs() -> String {
    repository().join("tests/python_shop").display().to_string()
}

/// A span, and how it is called at its receiver.
struct Seen {
    span: Span,
    operation: String,
    text: String,
}

impl Seen {
    fn otlp(span: Span) -> Seen {
        let service = span.resource["service.name"].as_str().expect("a text");
        let text = format!("{service} {} {}", span.kind, span.name);
        Seen { operation: span.name.clone(), text, span }
    }

    fn datadog(chunk: &Value) -> Vec<Seen> {
        let raw = chunk.as_array().expect("a list of spans");
        let seen = |(raw, span): (&Value, Span)| {
            let text = |key: &str| raw[key].as_str().unwrap_or_default();
            let [service, operation, kind] = [text("service"), text("name"), text("type")];
            let told = format!("{service} {operation} | {} | {kind} {}", span.name, span.kind);
            Seen { span, operation: operation.into(), text: told }
        };
        raw.iter().zip(from_datadog(&json!([raw]))).map(seen).collect()
    }

    fn has_parent(&self, other: &Seen) -> bool {
        self.span.trace_id == other.span.trace_id && self.span.parent_id.as_ref() == Some(&other.span.span_id)
    }
}

/// One trace for each order: each span below its parent, a failed one with `!`.
fn trees(seen: &[Seen]) -> String {
    fn draw(seen: &[Seen], this: &Seen, depth: usize, drawn: &mut String) {
        let failed = if this.span.failed { " !" } else { "" };
        drawn.push_str(&format!("{}{}{failed}\n", "  ".repeat(depth), this.text));
        seen.iter().filter(|below| below.has_parent(this)).for_each(|below| draw(seen, below, depth + 1, drawn));
    }
    let mut drawn = String::from("\n");
    for root in seen.iter().filter(|one| !seen.iter().any(|other| one.has_parent(other))) {
        assert_eq!(root.span.parent_id, None, "the parent is missing: {:#?}", root.span);
        draw(seen, root, 0, &mut drawn);
    }
    drawn
}

#[test]
fn with_instrumentations_of_opentelemetry_at_datadog() {
    let mut shop = Shop::new();
    let seen = shop.day(Instrumentations, Output::Datadog, 28);
    let expected = "
front http.server.request | GET /customers/<int:number>/orders/<item> | web server
  front sqlite.query | SELECT name FROM customers WHERE number = ? | sql client
  front http.client.request | GET | http client
    stock http.server.request | GET /items/{item} | web server
      stock redis.query | GET ? | redis client
      stock postgresql.query | SELECT pieces FROM items WHERE name = %s | sql client
      stock redis.query | SET ? ? | redis client
      stock http.client.request | GET | http client
        stock http.server.request | GET /prices/{item} | web server
          stock postgresql.query | SELECT price FROM prices WHERE name = ? | sql client
          stock internal | GET /prices/{item} http send | custom internal
          stock internal | GET /prices/{item} http send | custom internal
      stock internal | GET /items/{item} http send | custom internal
      stock internal | GET /items/{item} http send | custom internal
front http.server.request | GET /customers/<int:number>/orders/<item> | web server !
  front sqlite.query | SELECT name FROM customers WHERE number = ? | sql client
  front http.client.request | GET | http client !
    stock http.server.request | GET /items/{item} | web server !
      stock redis.query | GET ? | redis client
      stock postgresql.query | SELECT pieces FROM items WHERE name = %s | sql client
      stock redis.query | SET ? ? | redis client
      stock http.client.request | GET | http client !
        stock http.server.request | GET /prices/{item} | web server !
          stock postgresql.query | SELECT price FROM nowhere WHERE name = ? | sql client !
          stock internal | GET /prices/{item} http send | custom internal !
          stock internal | GET /prices/{item} http send | custom internal
      stock internal | GET /items/{item} http send | custom internal !
      stock internal | GET /items/{item} http send | custom internal
";
    assert_eq!(trees(&seen), expected);
    shop.agent.assert_no_failed_check();
}

#[test]
fn with_our_integrations_by_otlp() {
    let seen = Shop::new().day(Integrations, Output::Otlp, 26);
    let expected = "
front server GET /customers/<int:number>/orders/<item>
  front client SELECT customers
  front client GET
    stock server GET /items/{item}
      stock client GET
      stock client SELECT items
      stock client COMMIT
      stock client SET
      stock client GET
        stock server GET /prices/{item}
          stock client SELECT prices
          stock client COMMIT
  front client INSERT orders
  front client COMMIT
front server GET /customers/<int:number>/orders/<item> !
  front client SELECT customers
  front client GET !
    stock server GET /items/{item} !
      stock client GET
      stock client SELECT items
      stock client COMMIT
      stock client SET
      stock client GET !
        stock server GET /prices/{item} !
          stock client SELECT nowhere !
          stock client ROLLBACK
";
    assert_eq!(trees(&seen), expected);
}

#[test]
fn nothing_is_missing_that_opentelemetry_instrument_shows() {
    let mut shop = Shop::new();
    let theirs = shop.day(OpentelemetryInstrument, Output::Otlp, 28);
    let ours = shop.day(Integrations, Output::Otlp, 26);
    assert_nothing_is_missing(&theirs, &ours, &Others::listed("Beside `opentelemetry-instrument`"));
}

#[test]
fn nothing_is_missing_that_datadogs_tracer_shows() {
    let mut shop = Shop::new();
    let theirs = shop.day(DatadogsTracer, Output::Datadog, 43);
    let ours = shop.day(Integrations, Output::Datadog, 26);
    assert_nothing_is_missing(&theirs, &ours, &Others::listed("Beside Datadog's tracer"));
    shop.agent.assert_no_failed_check();
}
