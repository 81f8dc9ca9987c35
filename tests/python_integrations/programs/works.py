"""`works.py LIBRARY WHERE`: what is done with a database."""

import asyncio
import sys

library, where = sys.argv[1:]


def statements(connection, mark):
    cursor = connection.cursor()
    cursor.execute("CREATE TEMPORARY TABLE things (name VARCHAR(9))")
    cursor.executemany(f"INSERT INTO things VALUES ({mark})", [("a",), ("b",)])
    connection.commit()
    cursor.execute("SELECT name FROM things WHERE name = 'a'")
    print(cursor.fetchall())
    try:
        cursor.execute("SELECT nothing FROM nowhere")
    except Exception as error:
        print(type(error).__name__)
    connection.rollback()


def sqlite3():
    import sqlite3

    connection = sqlite3.connect(where)
    assert isinstance(connection, sqlite3.Connection) and type(connection).__name__ == "Connection"
    assert isinstance(connection.cursor(), sqlite3.Cursor)
    statements(connection, "?")

    class Own(sqlite3.Connection):
        pass

    own = sqlite3.connect(":memory:", factory=Own)
    assert isinstance(own, Own)
    with own:
        own.execute("SELECT 1")
    with own:
        own.execute("CREATE TABLE own (name)")
        own.execute("INSERT INTO own VALUES ('a')")
    try:
        with own:
            own.execute("INSERT INTO own VALUES ('b')")
            raise LookupError
    except LookupError:
        print(own.execute("SELECT name FROM own").fetchall())
    own.close()
    try:
        with own:
            pass
    except sqlite3.ProgrammingError:
        print("closed")


def psycopg2():
    import psycopg2
    import psycopg2.extras

    connection = psycopg2.connect(host=where, user="me", dbname="postgres")
    assert isinstance(connection, psycopg2.extensions.connection)
    with connection.cursor(cursor_factory=psycopg2.extras.DictCursor) as cursor:
        cursor.execute("SELECT 1 AS one")
        print(cursor.fetchone()["one"])
    statements(connection, "%s")


def psycopg2_connections():
    import logging

    import psycopg2
    from psycopg2 import extras

    class Own(psycopg2.extensions.connection):
        def cursor(self):
            return super().cursor(cursor_factory=extras.DictCursor)

    own = extras.RealDictConnection, extras.DictConnection, extras.NamedTupleConnection, extras.LoggingConnection, Own
    for kind in own:
        connection = psycopg2.connect(host=where, user="me", dbname="postgres", connection_factory=kind)
        assert isinstance(connection, kind) and type(connection).__name__ == kind.__name__
        if kind is extras.LoggingConnection:
            connection.initialize(logging.getLogger("quiet"))
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 AS name")
            print(kind.__name__, type(cursor).__name__, cursor.fetchall())


def psycopg2_classes():
    import psycopg2
    from psycopg2 import extras

    class Table(extras.DictCursor):
        def __init_subclass__(cls, *, table):
            cls.table = table

        def everything(self):
            self.execute("SELECT * FROM " + self.table)
            return self.fetchall()

    class Users(Table, table="(VALUES (1)) AS users"):
        pass

    class Main(psycopg2.extensions.connection):
        def __init_subclass__(cls):
            raise TypeError("it is the last one")

    connection = psycopg2.connect(host=where, user="me", dbname="postgres", connection_factory=Main)
    cursor = connection.cursor(cursor_factory=Users)
    print(isinstance(cursor, Users), cursor.everything(), type(cursor).__name__, type(connection).__name__)


def sqlite3_connection():
    import sqlite3

    class Own(sqlite3.Connection):
        def cursor(self):
            return super().cursor()

    connection = sqlite3.connect(where, factory=Own)
    connection.cursor().execute("CREATE TABLE a (b)")
    connection.executemany("INSERT INTO a VALUES (?)", [(1,)])
    print(connection.execute("SELECT 1").fetchall(), type(connection).__name__)
    connection.rollback()


def psycopg2_procedure():
    import psycopg2
    import psycopg2.extras

    connection = psycopg2.connect(host=where, user="me", dbname="postgres")
    cursor = connection.cursor(cursor_factory=psycopg2.extras.DictCursor)
    cursor.execute("CREATE FUNCTION twice(number int) RETURNS int LANGUAGE sql AS 'SELECT number * 2'")
    cursor.callproc("twice", (21,))
    print(cursor.fetchone()["twice"])
    try:
        cursor.callproc("nowhere", ["secret"])
    except Exception as error:
        print(type(error).__name__)


def psycopg():
    import psycopg

    with psycopg.connect(host=where, user="me", dbname="postgres") as connection:
        statements(connection, "%s")


def asyncpg():
    import asyncpg

    async def work():
        pool = await asyncpg.create_pool(host=where, user="me", database="postgres", min_size=1, max_size=1)
        async with pool.acquire() as connection:
            await connection.execute("CREATE TEMPORARY TABLE things (name VARCHAR(9))")
            await connection.executemany("INSERT INTO things VALUES ($1)", [("a",), ("b",)])
            print(await connection.fetch("SELECT name FROM things WHERE name = 'a'"))
            try:
                await connection.fetchval("SELECT nothing FROM nowhere")
            except asyncpg.PostgresError as error:
                print(type(error).__name__)
            async with connection.transaction():
                statement = await connection.prepare("SELECT name AS prepared FROM things WHERE name = $1")
                print(await statement.fetchval("b"))
                async for row in connection.cursor("SELECT name AS fetched FROM things", prefetch=1):
                    print(row["fetched"])
        await pool.close()

    asyncio.run(work())


def psycopg_async():
    import psycopg

    async def work():
        async with await psycopg.AsyncConnection.connect(host=where, user="me", dbname="postgres") as connection:
            print(await (await connection.execute("SELECT 1")).fetchone())

    asyncio.run(work())


def pymysql():
    import pymysql

    connection = pymysql.connect(unix_socket=where, user="root", database="test")
    statements(connection, "%s")


def pymysql_procedure():
    import pymysql

    cursor = pymysql.connect(unix_socket=where, user="root", database="test").cursor()
    cursor.execute("CREATE PROCEDURE twice(number int) SELECT number * 2")
    cursor.callproc("twice", (21,))
    print(cursor.fetchone()[0])
    try:
        cursor.callproc("nowhere", ["secret"])
    except Exception as error:
        print(type(error).__name__)


def redis():
    import redis

    client = redis.Redis(port=int(where))
    client.set("key", "secret")
    print(client.get("key"))
    with client.pipeline(transaction=False) as pipeline:
        pipeline.incr("count").incr("count")
        print(pipeline.execute())
    with client.pipeline() as pipeline:
        print(pipeline.set("a", 1).get("a").execute())
    try:
        client.lpush("key", 1)
    except redis.ResponseError as error:
        print(type(error).__name__)


def redis_async():
    from redis.asyncio import Redis

    async def work():
        async with Redis(port=int(where)) as client:
            await client.set("key", "secret")
            print(await client.get("key"))

    asyncio.run(work())


globals()[library]()
