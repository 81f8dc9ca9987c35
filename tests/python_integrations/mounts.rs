//! Applications within applications: a request is one span, with the route and the exception of whoever serves it.

use super::*;
use std::collections::BTreeSet;

/// The spans of requests to all of them, with their errors.
fn requests(middleware: bool) -> Vec<String> {
    let mut sandbox = sandbox();
    if middleware {
        sandbox.set("MIDDLEWARE", "1");
    }
    let arguments = ["-W", "ignore", "-m", "uvicorn", "--port", "{port}", "--root-path", "/proxied", "mounts:app"];
    let (server, port) = serve(&mut sandbox, &arguments);
    for (path, status) in [
        ("/static/file", 200),
        ("/static/none", 404),
        ("/plain/x", 200),
        ("/of/one/users/7", 200),
        ("/of/one/fails", 500),
        ("/of/one/none", 404),
        ("/within", 200),
        ("/users/8", 200),
        ("/sub/fails", 500),
    ] {
        assert_eq!(ask(port, path, "").0, status, "{path}");
    }
    drop(server);
    let spans = sandbox.spans();
    let seen = spans.iter().map(|span| {
        let (route, kind) = (span.text("http.route").unwrap_or_default(), span.error_type().unwrap_or_default());
        format!("{} {} {route} {kind} {}", span.kind, span.name, span.events.len())
    });
    let mut seen: Vec<String> = seen.collect();
    seen.sort();
    seen
}

const SEEN: [&str; 9] = [
    "server GET /of/{tenant} /of/{tenant}  0",
    "server GET /of/{tenant}/fails /of/{tenant}/fails ValueError 1",
    "server GET /of/{tenant}/users/<name> /of/{tenant}/users/<name>  0",
    "server GET /plain /plain  0",
    "server GET /static /static  0",
    "server GET /static /static  0",
    "server GET /sub/fails /sub/fails KeyError 1",
    "server GET /users/<name> /users/<name>  0",
    "server GET /within /within  0",
];

#[test]
fn what_is_mounted_has_its_route_and_its_exception() {
    assert_eq!(requests(false), SEEN);
}

#[test]
fn a_middleware_around_it_changes_nothing() {
    assert_eq!(requests(true), SEEN);
}

/// FastAPI has the routes of a router where that is, and takes them from there.
#[test]
fn routes_that_are_included_are_as_those_of_the_application() {
    let mut sandbox = sandbox();
    let app = "from fastapi import APIRouter, FastAPI\n\
               app, outer, inner = FastAPI(), APIRouter(prefix='/v1'), APIRouter()\n\
               for router, path in (app, '/direct'), (outer, '/files'), (inner, '/of'):\n\
               \x20   @router.get(path + '/{number:int}/{rest:path}')\n\
               \x20   def found(number: int, rest: str):\n\
               \x20       return rest\n\
               outer.include_router(inner, prefix='/{tenant}')\n\
               app.include_router(outer, prefix='/api')\n";
    sandbox.write("included.py", app);
    let (server, port) = serve(&mut sandbox, &["-m", "uvicorn", "--port", "{port}", "--app-dir", ".", "included:app"]);
    for path in ["/direct/7/a/b", "/api/v1/files/7/a/b", "/api/v1/one/of/7/a/b"] {
        assert_eq!(ask(port, path, ""), (200, "\"a/b\"".to_owned()), "{path}");
    }
    drop(server);
    let mut routes: Vec<String> =
        sandbox.spans().iter().filter_map(|span| Some(format!("{} {}", span.name, span.text("http.route")?))).collect();
    routes.sort();
    let expected = ["/api/v1/files", "/api/v1/{tenant}/of", "/direct"].map(|path| {
        let route = format!("{path}/{{number:int}}/{{rest:path}}");
        format!("GET {route} {route}")
    });
    assert_eq!(routes, expected);
}

#[test]
fn an_application_below_a_path_of_its_server_has_that_in_its_route() {
    let sandbox = sandbox();
    let script = "
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client
settings.configure(ROOT_URLCONF='__main__', ALLOWED_HOSTS=['*'], SECRET_KEY='none')
urlpatterns = [path('', lambda _: HttpResponse('home')), path('users/<int:number>/', lambda _, number: HttpResponse(number))]
application = get_wsgi_application()
client = Client(DispatcherMiddleware(application, {'/admin': application}))
for asked in ['/', '/users/7/', '/admin/', '/admin/users/7/']:
    assert client.get(asked).status_code == 200
";
    let outcome = sandbox.run_traced([&python(), "-c", script]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let spans = sandbox.spans();
    let names = BTreeSet::from_iter(spans.iter().map(|span| span.name.as_str()));
    let expected = ["GET /", "GET /admin/", "GET /admin/users/<int:number>/", "GET users/<int:number>/"];
    assert_eq!(names, BTreeSet::from(expected));
}
