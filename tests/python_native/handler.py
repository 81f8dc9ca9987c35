"""A server with a thread for each request, which waits for much while it serves one: handler.py PORT BACKEND."""

import select
import socket
import subprocess
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, backend = int(sys.argv[1]), int(sys.argv[2])


def by_select():
    """As clients do that wait for one socket, or several, before they read."""
    sockets = [socket.create_connection(("127.0.0.1", backend)) for _ in range(2)]
    for number, each in enumerate(sockets):
        select.select([], [each], [], 5)
        each.sendall(b"GET /short?%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % number)
    while sockets:
        for each in select.select(sockets, [], [], 5)[0]:
            if not each.recv(4096):
                sockets.remove(each)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        for number in range(2, 4):
            subprocess.run(["sh", "-c", "echo a; echo b >&2"], capture_output=True, check=True)
            url = f"http://127.0.0.1:{backend}/short?{number}"
            urllib.request.urlopen(url, timeout=30).read()
        by_select()
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
