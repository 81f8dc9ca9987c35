"""A server with a loop: loops.py PORT BACKEND KIND REQUESTS.

It waits until so many requests are open, waits once more, and only then asks the other server for "/short", for none of
them that anybody knows of. KIND is what it waits by: select, poll, epoll. With "pool" before it, it connects when the
first request is there.
"""

import select
import socket
import sys

port, backend, kind, wanted = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
pool = None
listener = socket.create_server(("127.0.0.1", port))
connections, waiting = [], []
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
        ready = poll.poll(None if timeout is None else timeout * 1000)
    else:
        ready = epoll.poll(timeout)
    return [sockets[number] for number, _ in ready]


def connect():
    return socket.create_connection(("127.0.0.1", backend))


while len(waiting) < wanted:
    for ready in wait(None):
        if ready is listener:
            connection, _ = listener.accept()
            connections.append(connection)
            epoll.register(connection, select.EPOLLIN)
        elif ready.recv(4096):
            waiting.append(ready)
            if kind == "epoll-pool" and pool is None:
                pool = connect()
        else:
            epoll.unregister(ready)
            connections.remove(ready)
            ready.close()

wait(0.01)
other = pool or connect()
other.sendall(b"GET /short HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
while other.recv(4096):
    pass
for connection in waiting:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    connection.close()
