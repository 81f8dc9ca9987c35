"""An application of Flask that uses what has no integration, and a driver that has one. `BACK` is the port of a server, `DATABASE`
the socket of PostgreSQL. `unknown.py PORT` is Flask's own server."""

import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

from flask import Flask

app = Flask(__name__)
pool = ThreadPoolExecutor(1)


def asks(path):
    with socket.create_connection(("127.0.0.1", int(os.environ["BACK"]))) as connection:
        connection.sendall(f"GET /{path} HTTP/1.0\r\n\r\n".encode())
        while connection.recv(4096):
            pass


def statement(text):
    import pg8000.native

    connection = pg8000.native.Connection("me", unix_sock=os.environ["DATABASE"] + "/.s.PGSQL.5432", database="postgres")
    connection.run(text)
    connection.close()


@app.route("/works")
def works():
    import psycopg2

    asks("plain")
    pool.submit(asks, "pooled").result()
    statement("SELECT 1 AS here")
    pool.submit(statement, "SELECT 1 AS pooled").result()
    connection = psycopg2.connect(host=os.environ["DATABASE"], user="me", dbname="postgres")
    connection.cursor().execute("SELECT 1 AS known")
    connection.close()
    return "ok"


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]))
