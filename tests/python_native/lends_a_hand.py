"""A server with a thread for each request, which share a set of epoll: lends_a_hand.py PORT BACKEND.

"/first" makes the set, waits for it, and goes on with whatever comes. "/second" puts its connection there, and waits until
"/short?two" has been asked for on its behalf.
"""

import select
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, backend = map(int, sys.argv[1:])
sets, is_there, is_done = [], threading.Event(), threading.Event()


def ask(number):
    connection = socket.create_connection(("127.0.0.1", backend))
    connection.sendall(b"GET /short?%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % number)
    return connection


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/first":
            shared = select.epoll()
            own = ask(b"own")
            shared.register(own, select.EPOLLIN)
            sets.append(shared)
            is_there.set()
            while not is_done.is_set():
                for number, _ in shared.poll(0.05):
                    if number == own.fileno():
                        own.recv(4096) or shared.unregister(own)
                        continue
                    shared.unregister(number)
                    other = ask(b"two")
                    while other.recv(4096):
                        pass
                    is_done.set()
        else:
            is_there.wait()
            connection = ask(b"one")
            sets[0].register(connection, select.EPOLLOUT)
            is_done.wait()
            while connection.recv(4096):
                pass
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
