"""A server whose one thread reads all requests, and others answer them: hands_on.py PORT BACKEND.

It asks the backend for something for each connection before it reads from that. The first request is answered when the second
one is there.
"""

import socket
import sys
import threading

port, backend = int(sys.argv[1]), int(sys.argv[2])
listener = socket.create_server(("127.0.0.1", port))
has_second = threading.Event()


def work(connection, number):
    has_second.wait()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    connection.close()


number = 0
while True:
    connection, _ = listener.accept()
    request = b""
    with socket.create_connection(("127.0.0.1", backend)) as other:
        other.sendall(b"GET /short HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while other.recv(4096):
            pass
    if not connection.recv(4096):
        connection.close()
        continue
    number += 1
    threading.Thread(target=work, args=(connection, number)).start()
    if number == 2:
        has_second.set()
