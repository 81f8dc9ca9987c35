"""A server with a loop that has jobs to do: timers.py PORT BACKEND KIND.

It answers five requests, one after the other. For the first one it asks the other server for "/short?request", and answers. The
second one has a body, for which it waits. Of the third one the body has not come yet when a job is due, for which it asks for
"/short?part"; when it has, for "/short?whole". While the fourth one is open it waits once more. While the fifth one is, before it
waits again, a job is due for which it asks for "/short?timer". KIND is what it waits by: select, poll, epoll.
"""

import select
import socket
import sys

port, backend, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
listener = socket.create_server(("127.0.0.1", port))
connections = []
epoll = select.epoll()
epoll.register(listener, select.EPOLLIN)


def wait(timeout):
    sockets = {each.fileno(): each for each in [listener, *connections]}
    if kind == "select":
        return select.select(list(sockets.values()), [], [], timeout)[0]
    if kind == "poll":
        poll = select.poll()
        for number in sockets:
            poll.register(number, select.POLLIN)
        ready = poll.poll(timeout * 1000)
    else:
        ready = epoll.poll(timeout)
    return [sockets[number] for number, _ in ready]


def ask(query):
    other = socket.create_connection(("127.0.0.1", backend))
    other.sendall(b"GET /short?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % query)
    while other.recv(4096):
        pass


def answer(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    connections.remove(connection)
    epoll.unregister(connection)
    connection.close()


served = 0
while served < 5:
    for ready in wait(1):
        if ready is listener:
            connection, _ = listener.accept()
            connections.append(connection)
            epoll.register(connection, select.EPOLLIN)
            continue
        request = ready.recv(4096)
        if not request:
            connections.remove(ready)
            epoll.unregister(ready)
            ready.close()
            continue
        if b"100-continue" in request:
            if served == 2:
                ask(b"part")
            ready.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            continue
        served += 1
        if served == 1:
            ask(b"request")
        elif served == 3:
            ask(b"whole")
        elif served == 4:
            wait(0.01)
        elif served == 5:
            ask(b"timer")
        answer(ready)
