"""A server of the standard library, beside what it imports and does not serve by: `beside.py PORT MODULE`. `BACK` is the port of
another server, which it asks itself and by a thread of a pool; if there is `DATABASE`, the socket of PostgreSQL, that comes first."""

import importlib
import os
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

importlib.import_module(sys.argv[2])
pool = ThreadPoolExecutor(1)
database = None
if "DATABASE" in os.environ:
    import psycopg

    database = psycopg.connect(host=os.environ["DATABASE"], user="me", dbname="postgres", autocommit=True)


def asks(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{os.environ['BACK']}/{path}") as response:
        return response.read()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if database is not None:
            database.execute("SELECT 1")
            database.execute("SELECT 1")
        asks("short")
        pool.submit(asks, "long").result()
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
