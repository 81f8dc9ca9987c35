"""A server with a loop that asks for what each request needs, and answers, before it waits once more: at_once.py PORT BACKEND."""

import select
import socket
import sys

port, backend = int(sys.argv[1]), int(sys.argv[2])
listener = socket.create_server(("127.0.0.1", port))
connections = {listener.fileno(): listener}
epoll = select.epoll()
epoll.register(listener, select.EPOLLIN)
while True:
    for number, _ in epoll.poll():
        ready = connections[number]
        if ready is listener:
            connection, _ = listener.accept()
            connections[connection.fileno()] = connection
            epoll.register(connection, select.EPOLLIN)
            continue
        request = ready.recv(4096)
        if request:
            with socket.create_connection(("127.0.0.1", backend)) as other:
                path = request.split()[1]
                other.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path)
                while other.recv(4096):
                    pass
            ready.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        epoll.unregister(ready)
        connections.pop(number).close()
