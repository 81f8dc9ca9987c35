"""A server with a thread for each connection, whose requests make sets of epoll: sets.py PORT BACKEND.

Each asks the other server for "/short?" and its own name when it has waited for its set. `PGHOST` is the socket of PostgreSQL.
"""

import os
import queue
import select
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, backend = map(int, sys.argv[1:])
wanted, jobs = queue.Queue(), queue.Queue()


def connect():
    return socket.create_connection(("127.0.0.1", backend))


def ask(name):
    with connect() as connection:
        connection.sendall(b"GET /short?%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % name.encode())
        while connection.recv(4096):
            pass


def leave_jobs():
    """Leaves one to whoever can be woken by a pipe."""
    while True:
        writable = wanted.get()
        jobs.put("job")
        os.write(writable, b"!")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def database(self):
        """As a driver does that waits for its one connection."""
        import psycopg

        with psycopg.connect(user="me", dbname="postgres", autocommit=True) as database:
            database.execute("SELECT 1 AS one")
        ask("database")

    def makes(self):
        """A set that is there for the next request, too."""
        self.server.set = select.epoll()
        self.server.other = connect()
        self.server.set.register(self.server.other, select.EPOLLOUT)
        self.server.set.poll()
        ask("makes")

    def waits(self):
        self.server.set.poll()
        ask("waits")

    def woken(self):
        """By somebody who has something to do."""
        readable, writable = os.pipe()
        with select.epoll() as epoll:
            epoll.register(readable, select.EPOLLIN)
            wanted.put(writable)
            epoll.poll()
            ask(jobs.get())
        os.close(readable)
        os.close(writable)

    def accepts(self):
        """Waits for what comes from the client, too, which may be the next request."""
        with select.epoll() as epoll:
            epoll.register(self.connection, select.EPOLLIN | select.EPOLLOUT)
            epoll.poll()
            ask("accepts")

    def copied(self):
        """Has a second descriptor of the set, by which others can put something in."""
        with select.epoll() as epoll, connect() as connection:
            other = os.dup(epoll.fileno())
            epoll.register(connection, select.EPOLLOUT)
            epoll.poll()
            ask("copied")
            os.close(other)

    def do_GET(self):
        getattr(self, self.path[1:])()
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


threading.Thread(target=leave_jobs, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
