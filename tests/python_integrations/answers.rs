//! Answers of applications of WSGI that fail as they are read, or that nobody reads to the end, closes, or lets go of; and what
//! requests have of their spans when somebody keeps a copy of them.

use super::harmless::assert_same;
use super::*;
use ddtrace_test_support::servers::only;

/// What a program prints, which is the same as without the launcher, and its spans.
#[track_caller]
fn spans_of(script: &str) -> Vec<Span> {
    let sandbox = sandbox();
    let command = [&python(), "-c", script];
    let (bare, traced) = (sandbox.run_bare(command), sandbox.run_traced(command));
    assert_eq!((traced.code, traced.out(), traced.err()), (bare.code, bare.out(), bare.err()));
    assert_eq!(bare.code, Some(0), "{bare:?}");
    sandbox.spans()
}

#[track_caller]
fn assert_trees(script: &str, expected: &[&str]) {
    assert_eq!(trees(&spans_of(script)), expected);
}

/// A server that is given what Flask has inside, with something around it, serves Flask.
#[test]
fn flask_without_its_outside_is_flask() {
    let script = "
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client
flask = Flask(__name__)
@flask.get('/users/<int:number>')
def user(number):
    return str(1 // number)
flask.logger.disabled = True
inside = Client(ProxyFix(flask.wsgi_app))
flask.wsgi_app = ProxyFix(flask.wsgi_app)
outside = Client(flask)
for client in [inside, outside]:
    for number in [1, 0]:
        print(client.get(f'/users/{number}').status_code)
";
    let spans = spans_of(script);
    let mut seen: Vec<String> = spans.iter().map(|span| format!("{} {}", span.name, span.events.len())).collect();
    seen.sort_unstable();
    let each = ["GET /users/<int:number> 0", "GET /users/<int:number> 1"];
    assert_eq!(seen, [each[0], each[0], each[1], each[1]]);
}

#[test]
fn an_answer_that_cannot_be_read_fails_in_the_server() {
    let script = "
import http.client, threading
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.handlers import SimpleHandler
class Report:
    def __iter__(self):
        raise ValueError('cannot be made')
    def close(self):
        print('closed', flush=True)
def app(environ, start_response):
    start_response('200 OK', [])
    return {'/report': Report(), '/none': None}.get(environ['PATH_INFO'], [b'x'])
def server(environ, start_response):
    response = app(environ, start_response)
    print(environ['PATH_INFO'], response is None, flush=True)
    return response
class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass
SimpleHandler.log_exception = lambda self, failure: print(failure[1], failure[2].tb_frame.f_code.co_name, flush=True)
server = make_server('127.0.0.1', 0, server, handler_class=Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
for path in ['/before', '/report', '/between', '/none', '/after']:
    connection = http.client.HTTPConnection('127.0.0.1', server.server_port)
    connection.request('GET', path)
    print(connection.getresponse().status, flush=True)
    connection.close()
server.shutdown()
";
    let spans = spans_of(script);
    let servers = spans.iter().filter(|span| span.kind == "server");
    let mut seen: Vec<String> = servers
        .map(|span| {
            let path = span.text("url.path").unwrap_or_default();
            format!("{path} {} {}", span.error_type().unwrap_or_default(), span.events.len())
        })
        .collect();
    seen.sort();
    assert_eq!(seen, ["/after  0", "/before  0", "/between  0", "/none TypeError 1", "/report ValueError 1"]);
}

/// Its parts are made as soon as it is iterated.
#[test]
fn a_django_stream_of_an_async_generator_that_breaks() {
    let mut sandbox = sandbox();
    let (server, port) = serve(&mut sandbox, &["-m", "gunicorn", "-b", "127.0.0.1:{port}", "django_app:wsgi"]);
    for _ in 0..2 {
        assert_eq!(ask(port, "/breaks", "").0, 500);
        assert_eq!(ask(port, "/users/7/", "").0, 200);
    }
    drop(server);
    let spans = sandbox.spans();
    let expected = [
        "server GET breaks !",
        "server GET breaks !",
        "server GET users/<int:number>/",
        "server GET users/<int:number>/",
    ];
    assert_eq!(trees(&spans), expected);
    for breaks in spans.iter().filter(|span| span.failed) {
        assert_eq!((breaks.error_type(), breaks.events.len()), (Some("ValueError"), 1));
    }
}

/// A Flask application, and a statement of what asks it.
const SHOP: &str = "
import sqlite3, warnings
from flask import Flask, Response, stream_with_context
warnings.simplefilter('ignore', ResourceWarning)
app = Flask(__name__)
client = app.test_client()
def execute(what):
    sqlite3.connect(':memory:').execute(f'CREATE TABLE {what} (a)')
@app.route('/<name>', methods=['GET', 'POST'])
def view(name):
    execute(name)
    return name
@app.route('/streams/<name>')
def streams(name):
    def parts():
        yield 'one'
        execute(name)
        yield 'two'
    response = Response(parts())
    response.call_on_close(lambda: execute(f'closes_{name}'))
    return response
";

#[test]
fn answers_that_a_test_keeps_have_ended() {
    let script = format!(
        "{SHOP}
first = client.get('/a')
print(first.status_code, first.text)
second = client.post('/b')
print(second.status_code, second.text)
third = client.head('/c')
execute('outside')
print(client.get('/d').status_code)
print(first.text)
"
    );
    let expected = [
        "client CREATE a < server GET /<name>",
        "client CREATE b < server POST /<name>",
        "client CREATE c < server HEAD /<name>",
        "client CREATE d < server GET /<name>",
        "client CREATE outside",
        "server GET /<name>",
        "server GET /<name>",
        "server HEAD /<name>",
        "server POST /<name>",
    ];
    assert_trees(&script, &expected);
}

/// What a request does as it is read on, or closed, is below it all the same.
#[test]
fn answers_that_are_read_by_turns() {
    let script = format!(
        "{SHOP}
first, second, unread = client.get('/streams/a'), client.get('/streams/b'), client.get('/streams/c')
execute('outside')
print(second.text, first.text)
second.close()
execute('behind')
first.close()
"
    );
    let expected = [
        "client CREATE a < server GET /streams/<name>",
        "client CREATE b < server GET /streams/<name>",
        "client CREATE behind",
        "client CREATE closes_a < server GET /streams/<name>",
        "client CREATE closes_b < server GET /streams/<name>",
        "client CREATE outside",
        "server GET /streams/<name>",
        "server GET /streams/<name>",
        "server GET /streams/<name>",
    ];
    let spans = spans_of(&script);
    assert_eq!(trees(&spans), expected);
    for (part, close) in [("a", "closes_a"), ("b", "closes_b")] {
        let named = |name: &str| only(&spans, |span| span.name == format!("CREATE {name}"));
        let (part, close) = (named(part), named(close));
        assert_eq!(part.parent_id, close.parent_id);
        let request = only(&spans, |span| Some(&span.span_id) == close.parent_id.as_ref());
        assert!(request.end >= close.end, "{request:#?} {close:#?}");
    }
}

/// An adapter of one's own, as those for functions in clouds are, which closes nothing.
#[test]
fn answers_that_nobody_closes() {
    let script = format!(
        "{SHOP}
from werkzeug.test import create_environ
for path in ['/a', '/streams/b', '/c']:
    answer = app(create_environ(path), lambda *_: None)
    print(path, b''.join(answer))
    execute('outside')
def asked(path):
    return app(create_environ(path), lambda *_: None)
def broken():
    yield b'one'
    raise OSError('broken')
app.wsgi_app = lambda *_: broken()
kept = [asked('/x'), asked('/y')]
for answer in kept:
    try:
        print(list(answer))
    except OSError as error:
        print(error)
    execute('behind')
"
    );
    let expected = [
        "client CREATE a < server GET /<name>",
        "client CREATE b < server GET /streams/<name>",
        "client CREATE behind",
        "client CREATE behind",
        "client CREATE c < server GET /<name>",
        "client CREATE outside",
        "client CREATE outside",
        "client CREATE outside",
        "server GET !",
        "server GET !",
        "server GET /<name>",
        "server GET /<name>",
        "server GET /streams/<name>",
    ];
    assert_trees(&script, &expected);
}

/// Requests within requests are a part of them, also while the answer is read; those within a span of the program's are below it.
#[test]
fn answers_within_something_else() {
    let sandbox = sandbox();
    let script = format!(
        "{SHOP}
from ddtrace import tracer
@app.route('/asks/<name>')
def asks(name):
    client.get('/inner')
    def parts():
        with tracer.trace('part'):
            yield client.get('/inner').text
            execute('in_part')
            yield 'end'
    return Response(parts())
with tracer.trace('test'):
    kept = client.get('/asks/x')
    execute('in_test')
    other = client.get('/a')
    print(kept.text)
    execute('in_test')
# What has its globals outlives them.
tracer.kept = lambda: kept
"
    );
    let outcome = sandbox.run_traced([&python(), "-c", &script]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "innerend\n"), "{outcome:?}");
    let expected = [
        "client CREATE a < server GET /<name> < internal test",
        "client CREATE in_part < internal part < server GET /asks/<name> < internal test",
        "client CREATE in_test < internal test",
        "client CREATE in_test < internal test",
        "client CREATE inner < server GET /<name> < internal part < server GET /asks/<name> < internal test",
        "client CREATE inner < server GET /asks/<name> < internal test",
        "internal part < server GET /asks/<name> < internal test",
        "internal test",
        "server GET /<name> < internal part < server GET /asks/<name> < internal test",
        "server GET /<name> < internal test",
        "server GET /asks/<name> < internal test",
    ];
    assert_eq!(trees(&sandbox.spans()), expected);
}

/// One after the other in one task, without a server.
#[test]
fn requests_that_a_task_makes_of_an_application_of_asgi() {
    let script = "
import asyncio, sqlite3
import httpx
from fastapi import FastAPI
app = FastAPI()
def execute(what):
    sqlite3.connect(':memory:').execute(f'CREATE TABLE {what} (a)')
@app.get('/{name}')
async def view(name):
    execute(name)
async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url='http://test') as client:
        for name in ['a', 'b']:
            print((await client.get(f'/{name}')).text)
        execute('outside')
asyncio.run(main())
";
    let expected = [
        "client CREATE a < server GET /{name}",
        "client CREATE b < server GET /{name}",
        "client CREATE outside",
        "server GET /{name}",
        "server GET /{name}",
    ];
    assert_trees(script, &expected);
}

/// What is read and written of the requests of servers, for a log or to make them again.
#[test]
fn requests_can_be_copied() {
    assert_same(
        "
import asyncio, copy, http.client, json, pickle, threading, time
import uvicorn
from fastapi import FastAPI
from flask import Flask, request
from werkzeug.serving import WSGIRequestHandler, make_server
def is_ours(key):
    return key.startswith(('datadog', 'ddtrace_run.'))
def bare(request):
    return {key: value for key, value in request.items() if not is_ours(key)}
def tell(request):
    print([bare(copied(request)) == bare(request) for copied in (copy.copy, copy.deepcopy)])
    print(bare(pickle.loads(pickle.dumps(request))) == bare(request), bool(json.dumps(request, default=str)))
class Audit:
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        if scope['type'] != 'http':
            return await self.app(scope, receive, send)
        tell(scope)
        # Goes on with a copy.
        await self.app(copy.deepcopy(scope), receive, send)
        await asyncio.sleep(0)
of_asgi = FastAPI()
of_asgi.get('/{name}')(lambda name: name)
flask = Flask(__name__)
@flask.route('/<name>')
def view(name):
    tell({key: value for key, value in request.environ.items() if not key.startswith(('wsgi.', 'werkzeug.'))})
    return name
class Quiet(WSGIRequestHandler):
    def log(self, *_):
        pass
def asked(port):
    connection = http.client.HTTPConnection('127.0.0.1', port)
    connection.request('GET', '/x')
    answer = connection.getresponse()
    print(answer.status, answer.read(), flush=True)
    connection.close()
server = make_server('127.0.0.1', 0, flask, request_handler=Quiet)
serving = threading.Thread(target=server.serve_forever)
serving.start()
asked(server.server_port)
server.shutdown()
serving.join()
server = uvicorn.Server(uvicorn.Config(Audit(of_asgi), port=0, log_level='critical'))
serving = threading.Thread(target=server.run)
serving.start()
while not server.started:
    time.sleep(0.01)
asked(server.servers[0].sockets[0].getsockname()[1])
server.should_exit = True
serving.join()
",
    );
}
