//! What programs do that integrations must stand: finalizers at any moment, objects that are used twice, classes of their own.

use crate::{python, sandbox, trees};

/// The same output under the launcher as without.
#[track_caller]
pub(crate) fn assert_same(script: &str) {
    let sandbox = sandbox();
    let command = [&python(), "-c", script];
    let (bare, traced) = (sandbox.run_bare(command), sandbox.run_traced(command));
    assert_eq!((traced.code, traced.out(), traced.err()), (bare.code, bare.out(), bare.err()));
    assert_eq!(bare.code, Some(0), "{bare:?}");
}

/// Before CPython 3.12 garbage is collected within `ContextVar.set`: nobody else may set a variable then.
#[test]
fn a_response_that_nobody_closes_is_collected_at_any_moment() {
    assert_same(
        "
import contextvars, gc
from flask import Flask
from werkzeug.test import create_environ
app = Flask(__name__)
app.route('/')(lambda: 'x')
variables = [contextvars.ContextVar(f'v{number}') for number in range(40)]
gc.set_threshold(50)
for _ in range(1000):
    response = app(create_environ('/'), lambda *_: None)
    cycle = [response]
    cycle.append(cycle)
    del response, cycle
    for variable, token in [(variable, variable.set(object())) for variable in variables]:
        variable.reset(token)
print('done')
",
    );
}

#[test]
fn what_a_task_does_after_its_request_stays_below_it() {
    let sandbox = sandbox();
    let script = "
import asyncio, sqlite3
from ddtrace import tracer
def ask(name):
    sqlite3.connect(':memory:').execute(f'CREATE TABLE {name} (a)')
async def work():
    ask('during')
    await asyncio.sleep(0.1)
    ask('after')
async def main():
    with tracer.trace('request'):
        task = asyncio.create_task(work())
        await asyncio.sleep(0.01)
    await task
asyncio.run(main())
";
    assert_eq!(sandbox.run_traced([&python(), "-c", script]).code, Some(0));
    let expected =
        ["client CREATE after < internal request", "client CREATE during < internal request", "internal request"];
    assert_eq!(trees(&sandbox.spans()), expected);
}

#[test]
fn a_request_that_is_sent_twice_is_of_the_trace_it_is_sent_in() {
    let sandbox = sandbox();
    let script = "
import http.server, threading
import requests
from ddtrace import tracer
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.headers['traceparent'].split('-')[1].encode()
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(('127.0.0.1', 0), Echo)
threading.Thread(target=server.serve_forever, daemon=True).start()
session = requests.Session()
prepared = session.prepare_request(requests.Request('GET', f'http://127.0.0.1:{server.server_port}/'))
for name in 'one', 'two':
    with tracer.trace(name) as span:
        print(session.send(prepared).text == '%032x' % span.trace_id)
";
    let outcome = sandbox.run_traced([&python(), "-c", script]);
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "True\nTrue\n"), "{outcome:?}");
}

#[test]
fn answers_that_know_their_length_keep_it() {
    assert_same(
        "
import http.client, threading, wsgiref.simple_server
from flask import Flask
class Parts:
    def __init__(self, *parts):
        self.parts = parts
    def __iter__(self):
        return iter(self.parts)
class Sized(Parts):
    def __len__(self):
        return len(self.parts)
class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass
results = [Sized(b'one'), Sized(b'one', b'two'), Sized(), Parts(b'one'), (part for part in [b'one'])]
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return results[int(environ['PATH_INFO'][1:])]
def middleware(environ, start_response):
    result = app(environ, start_response)
    print(bool(result), hasattr(result, '__len__'))
    return result
server = wsgiref.simple_server.make_server('127.0.0.1', 0, middleware, handler_class=Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
for number in range(len(results)):
    connection = http.client.HTTPConnection('127.0.0.1', server.server_port)
    connection.request('GET', f'/{number}')
    response = connection.getresponse()
    print(response.read(), response.getheader('content-length'))
for result in results:
    flask = Flask(__name__)
    flask.wsgi_app = lambda *_: result
    wrapped = flask({}, print)
    print(bool(wrapped), hasattr(wrapped, '__len__'), type(result) is Sized and len(wrapped))
",
    );
}

/// Those that name their caller by how many frames that is away, and that are shown only if it is the program itself.
#[test]
fn warnings_are_about_the_same_line() {
    assert_same(
        "
import asyncio, sqlite3, sys, warnings
import aiohttp
from aiohttp import web
async def hello(request):
    warnings.warn('in a handler', DeprecationWarning, stacklevel=2)
    return web.Response(text='hello')
async def main():
    app = web.Application()
    app.router.add_get('/', hello)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, '127.0.0.1', 0)
    await site.start()
    url = f'http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/'
    async with aiohttp.ClientSession() as session:
        print((await session.get(url, auth=aiohttp.BasicAuth('a', 'b'))).status)
        async with session.get(url, auth=aiohttp.BasicAuth('a', 'b')) as response:
            print(await response.text())
        print(await asyncio.gather(*[session.head(url, proxy_auth=None, auth=aiohttp.BasicAuth('a', 'b'))]) and 'gathered')
        task = asyncio.create_task(session.get(url).__aenter__())
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            print(type(error))
        session.get(url).close()
        try:
            await session.get('http://127.0.0.1:1/')
        except aiohttp.ClientError as error:
            import traceback
            print(type(error), [frame.name for frame in traceback.extract_tb(error.__traceback__)])
    await runner.cleanup()
asyncio.run(main())
print(sqlite3.connect(':memory:', 5.0, 0, None, True).execute('SELECT 1').fetchall())
connection = sqlite3.connect(':memory:')
for wrong in lambda: sqlite3.connect(), lambda: connection.cursor(foo=1), lambda: connection.cursor(1, 2), lambda: connection.cursor(1):
    try:
        wrong()
    except TypeError as error:
        print(error)
print(type(connection.cursor(factory=sqlite3.Cursor)))
",
    );
}

#[test]
fn connections_and_cursors_of_sqlite3_are_called_as_they_are() {
    assert_same(
        "
import copy, gc, pickle, sqlite3, weakref
connection = sqlite3.connect(':memory:')
def attribute():
    connection.attribute = 1
for wrong in (
    lambda: pickle.dumps(connection),
    lambda: copy.copy(connection.cursor()),
    lambda: len(connection),
    lambda: connection.nothing,
    lambda: connection.cursor().nothing,
    lambda: weakref.ref(connection),
    attribute,
):
    try:
        print(wrong())
    except (AttributeError, TypeError) as error:
        print(error)
print(type(connection).__name__, type(connection).__qualname__, type(connection).__module__, type(connection).__doc__)
class Own(type(connection)):
    pass
own = sqlite3.connect(':memory:', factory=Own)
own.attribute = own
print(own.cursor().execute('SELECT 1').fetchall(), isinstance(own, sqlite3.Connection))
del own
for _ in range(2000):
    connection = sqlite3.connect(':memory:')
    cursor = connection.cursor()
    connection.row_factory = [connection, cursor]
gc.collect()
print(len([each for each in gc.get_objects() if isinstance(each, sqlite3.Connection)]) < 10)
",
    );
}

#[test]
fn classes_of_the_programs_own_go_when_it_has_them_no_more() {
    assert_same(
        "
import gc, sqlite3
def use():
    class Connection(sqlite3.Connection):
        pass
    class Cursor(sqlite3.Cursor):
        pass
    connection = sqlite3.connect(':memory:', factory=Connection)
    print(isinstance(connection.cursor(Cursor).execute('SELECT 1'), Cursor), connection.close())
for _ in range(20):
    use()
# What is made of a class goes first.
for _ in range(3):
    gc.collect()
print(sum(base in kind.__mro__[1:] for kind in gc.get_objects() if isinstance(kind, type) and kind.__module__ == '__main__'
          for base in (sqlite3.Connection, sqlite3.Cursor)))
",
    );
}

#[test]
fn headers_and_classes_of_the_programs_own_stay_as_they_are() {
    assert_same(
        "
import http.server, inspect, sqlite3, threading
from unittest import mock
import urllib3
from requests.adapters import HTTPAdapter
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print([item for item in self.headers.items() if item[0] in ('X-A', 'Cookie')])
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(('127.0.0.1', 0), Echo)
threading.Thread(target=server.serve_forever, daemon=True).start()
headers = urllib3.HTTPHeaderDict()
for name, value in [('X-A', '1'), ('X-A', '2'), ('Cookie', 'a=1'), ('Cookie', 'b=2')]:
    headers.add(name, value)
urllib3.PoolManager().request('GET', f'http://127.0.0.1:{server.server_port}/', headers=headers)
class Own(sqlite3.Connection):
    def cursor(self):
        return super().cursor()
print(sqlite3.connect(':memory:', factory=Own).cursor().execute('SELECT 1').fetchall())
print(inspect.isfunction(HTTPAdapter.send))
with mock.patch.object(HTTPAdapter, 'send', autospec=True, side_effect=lambda self, request, **_: type(self).__name__):
    print(HTTPAdapter().send('request'))
",
    );
}

/// `sqlite3.connect` says that it is `_sqlite3`'s, and is looked for there.
#[test]
fn what_connects_can_be_pickled() {
    assert_same(
        "
import functools, pickle, sqlite3, _sqlite3
pickled = pickle.dumps(functools.partial(sqlite3.connect, ':memory:'))
print(pickled, pickle.loads(pickled)().execute('SELECT 42').fetchone(), _sqlite3.connect is sqlite3.connect)
",
    );
}
