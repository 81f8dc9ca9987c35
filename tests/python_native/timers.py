"""A server with a loop that has jobs to do: timers.py PORT BACKEND KIND.

It answers three requests, one after the other. For the first one it asks the other server for "/short?request", and answers. While
the second one is open it waits once more. While the third one is, before it waits again, a job is due for which it asks
for "/short?timer". KIND is what it waits by: select, poll, epoll.
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
while served < 3:
    for ready in wait(1):
        if ready is listener:
            connection, _ = listener.accept()
            connections.append(connection)
            epoll.register(connection, select.EPOLLIN)
        elif not ready.recv(4096):
            connections.remove(ready)
            epoll.unregister(ready)
            ready.close()
        elif served == 0:
            ask(b"request")
            served = 1
            answer(ready)
        elif served == 1:
            wait(0.01)
            served = 2
            answer(ready)
        else:
            served = 3
            late = ready
ask(b"timer")
answer(late)
