"""A server whose threads share a loop, and take each other's work over, as those of tokio do: shares_loop.py PORT BACKEND.

It answers one request at once. Of each two that come then, another thread reads the first, and leaves the rest to the main one:
that reads the second, asks the other server for "/short?" and the name of the first, then of the second, and answers both.
What brings a context has it passed on.
"""

import select
import socket
import sys
import threading

port, backend = map(int, sys.argv[1:])
listener = socket.create_server(("127.0.0.1", port))
connections = {}
epoll = select.epoll()
epoll.register(listener, select.EPOLLIN)


def read():
    while True:
        for number, _ in epoll.poll():
            if number == listener.fileno():
                connection, _ = listener.accept()
                connection.setblocking(False)
                connections[connection.fileno()] = connection
                epoll.register(connection, select.EPOLLIN)
            elif request := connections[number].recv(4096):
                return connections[number], request
            else:
                close(connections[number])


def close(connection):
    epoll.unregister(connection)
    connections.pop(connection.fileno()).close()


def ask(request):
    first, *lines = request.split(b"\r\n")
    context = b"".join(line + b"\r\n" for line in lines if line.startswith(b"traceparent:"))
    with socket.create_connection(("127.0.0.1", backend)) as other:
        other.sendall(
            b"GET /short?%b HTTP/1.1\r\nHost: x\r\n%bConnection: close\r\n\r\n" % (first.split()[1][1:], context)
        )
        while other.recv(4096):
            pass


def answer(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    close(connection)


answer(read()[0])
both = []
while True:
    other = threading.Thread(target=lambda: both.append(read()))
    other.start()
    other.join()
    both.append(read())
    for _, request in both:
        ask(request)
    while both:
        answer(both.pop()[0])
