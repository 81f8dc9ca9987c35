"""A server whose connections are answered by other processes: shared.py PORT. `/child` by a child, `/sent` by one that is sent
the connection, `/none` by nobody."""

import os
import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
near, far = socket.socketpair()
if os.fork() == 0:
    near.close()
    while True:
        message, descriptors, _, _ = socket.recv_fds(far, 16, 1)
        if not message:
            os._exit(0)
        connection = socket.socket(fileno=descriptors[0])
        connection.sendall(ANSWER)
        connection.close()

far.close()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    path = connection.recv(4096).split()[1:2]
    child = None
    if path == [b"/child"]:
        child = os.fork()
        if child == 0:
            connection.sendall(ANSWER)
            os._exit(0)
    elif path == [b"/sent"]:
        socket.send_fds(near, [b"x"], [connection.fileno()])
    connection.close()
    if child:
        os.waitpid(child, 0)
