"""A service that calls back, in Python: for each "url" in a request it sends a request there, within the trace of the first.

Nothing but the standard library and Datadog's API. Headers of one name are joined, as every WSGI server hands them over.
"""

import http.client
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

from ddtrace import tracer
from ddtrace.propagation.http import HTTPPropagator


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        headers = {}
        for name, value in self.headers.items():
            name = name.lower()
            headers[name] = headers[name] + "," + value if name in headers else value
        body = self.rfile.read(int(headers.get("content-length", 0)))
        context = HTTPPropagator.extract(headers)
        tracer.context_provider.activate(context)
        with tracer.trace("http.server.request", resource="POST /test"):
            for call in json.loads(body):
                self.call(urlsplit(call["url"]))
        tracer.context_provider.activate(None)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    @staticmethod
    def call(url):
        with tracer.trace("http.client.request") as span:
            headers = {}
            HTTPPropagator.inject(span.context, headers)
            connection = http.client.HTTPConnection(url.netloc)
            connection.request("POST", url.path, b"", headers)
            connection.getresponse().read()
            connection.close()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
