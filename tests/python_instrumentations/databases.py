"""One of each: `databases.py DIRECTORY_OF_POSTGRES PORT_OF_REDIS`."""

import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import redis
import sqlalchemy
from opentelemetry import trace

directory, port = sys.argv[1:]


def with_sqlite():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE users (name TEXT)")
    cursor = connection.cursor()
    cursor.execute("INSERT INTO users VALUES (?)", ("somebody",))
    cursor.executemany("INSERT INTO users VALUES (?)", [("a",), ("b",)])
    try:
        cursor.execute("SELECT * FROM nothing")
    except sqlite3.OperationalError:
        pass
    connection.commit()


def with_sqlalchemy():
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT :number"), {"number": 1}).fetchall()


def with_psycopg():
    with psycopg.connect(host=directory, user="me", dbname="postgres") as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::int", (1,))
            cursor.fetchall()
        try:
            connection.execute("SELECT * FROM nothing")
        except psycopg.errors.UndefinedTable:
            pass


def with_redis():
    client = redis.Redis(port=int(port))
    client.set("key", "value")
    client.get("key")
    with client.pipeline() as pipeline:
        pipeline.set("a", 1).incr("a").execute()


with trace.get_tracer("here").start_as_current_span("all"):
    for work in (with_sqlite, with_sqlalchemy, with_psycopg, with_redis):
        work()
    thread = threading.Thread(target=with_sqlite)
    thread.start()
    thread.join()
    with ThreadPoolExecutor() as pool:
        pool.submit(with_sqlite).result()
