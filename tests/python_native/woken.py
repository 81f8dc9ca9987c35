"""A server of tasks that two threads run, whichever is next, and that a third one wakes, as virtual threads are: woken.py PORT BACKEND.

For "/name" it asks the other server for "/short?name", and waits in between. A job of its own does the same for "/short?job".
"""

import queue
import select
import socket
import sys
import threading
import time

port, backend = map(int, sys.argv[1:])
ready = queue.SimpleQueue()
waiting = {}
epoll = select.epoll()


def wait_for(sock, what):
    """What a task yields: it goes on when this has come."""
    return lambda task: wake_by(sock, what, task)


def wake_by(sock, what, task):
    waiting[sock.fileno()] = task
    try:
        epoll.register(sock, what | select.EPOLLONESHOT)
    except FileExistsError:
        epoll.modify(sock, what | select.EPOLLONESHOT)


def after(seconds):
    return lambda task: threading.Timer(seconds, ready.put, [task]).start()


def receive(sock):
    while True:
        try:
            return sock.recv(4096)
        except BlockingIOError:
            yield wait_for(sock, select.EPOLLIN)


def ask(name):
    with socket.socket() as sock:
        sock.setblocking(False)
        if sock.connect_ex(("127.0.0.1", backend)):
            yield wait_for(sock, select.EPOLLOUT)
        sock.sendall(b"GET /short?%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % name)
        while (yield from receive(sock)):
            pass


def serve(connection):
    connection.setblocking(False)
    with connection:
        request = yield from receive(connection)
        if request:
            yield after(0.02)
            yield from ask(request.split()[1][1:])
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


def do_jobs():
    while True:
        yield from ask(b"job")
        yield after(0.005)


def run():
    while True:
        task = ready.get()
        try:
            next(task)(task)
        except StopIteration:
            pass


def wake():
    while True:
        for number, _ in epoll.poll():
            ready.put(waiting.pop(number))


def accept():
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            ready.put(serve(listener.accept()[0]))


for work in run, run, wake:
    threading.Thread(target=work, daemon=True).start()
ready.put(do_jobs())
time.sleep(0.2)
accept()
