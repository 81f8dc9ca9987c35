"""Sends statements to PostgreSQL in one pipeline, and reads all that comes: pipeline.py SOCKET STATEMENT..."""

import socket
import struct
import sys


def message(kind, content):
    return kind + struct.pack("!i", len(content) + 4) + content


server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
arrived = server.makefile("rb")


def read_until_ready():
    while True:
        kind = arrived.read(1)
        arrived.read(struct.unpack("!i", arrived.read(4))[0] - 4)
        if kind == b"Z":
            return


server.sendall(message(b"", struct.pack("!i", 196608) + b"user\0me\0database\0postgres\0\0"))
read_until_ready()
pipeline = b""
for statement in sys.argv[2:]:
    pipeline += message(b"P", b"\0" + statement.encode() + b"\0\0\0")
    pipeline += message(b"B", b"\0\0\0\0\0\0\0\0") + message(b"E", b"\0\0\0\0\0")
server.sendall(pipeline + message(b"S", b""))
read_until_ready()
