"""A server with a thread for each request, which waits for much while it serves one: handler.py PORT BACKEND GREETER.

The last one is the port of somebody who speaks first.
"""

import os
import select
import socket
import subprocess
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, backend, greeter = map(int, sys.argv[1:])


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


def by_epoll():
    """As drivers do that wait for their one socket."""
    with socket.socket() as connection, select.epoll() as epoll:
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", backend))
        epoll.register(connection, select.EPOLLOUT)
        epoll.poll(5)
        connection.sendall(b"GET /short?epoll HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        epoll.modify(connection, select.EPOLLIN)
        while epoll.poll(5) and connection.recv(4096):
            pass


def to_the_end():
    """As who does not know when an answer is over, and talks with others in between that are no HTTP."""
    for number in range(2):
        with socket.create_connection(("127.0.0.1", backend)) as connection:
            connection.sendall(b"GET /short?end-%d HTTP/1.0\r\n\r\n" % number)
            while connection.recv(4096):
                pass
        with socket.create_connection(("127.0.0.1", greeter)) as connection:
            assert connection.recv(4096).startswith(b"220")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        by_epoll()
        for number in range(2, 4):
            subprocess.run(["sh", "-c", "echo a; echo b >&2"], capture_output=True, check=True)
            url = f"http://127.0.0.1:{backend}/short?{number}"
            urllib.request.urlopen(url, timeout=30).read()
        by_select()
        to_the_end()
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.flush()
        readable, writable = os.pipe()
        os.write(writable, b"ok")
        os.close(writable)
        try:
            # A pipe has no places in it: an error of the file, and not of the connection.
            os.sendfile(self.connection.fileno(), readable, 0, 2)
        except OSError:
            self.wfile.write(os.read(readable, 2))
        os.close(readable)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
