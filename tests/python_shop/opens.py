"""What the shop has when it opens in the morning."""

import os
import pathlib
import sqlite3

import psycopg
import redis

pathlib.Path(os.environ["CUSTOMERS"]).unlink(missing_ok=True)
with sqlite3.connect(os.environ["CUSTOMERS"]) as database:
    database.execute("CREATE TABLE customers (number INTEGER, name TEXT)")
    database.execute("CREATE TABLE orders (number INTEGER, item TEXT)")
    database.execute("INSERT INTO customers VALUES (7, 'somebody')")
with psycopg.connect(os.environ["POSTGRES"]) as database:
    database.execute("DROP TABLE IF EXISTS items, prices")
    database.execute("CREATE TABLE items (name TEXT, pieces INTEGER)")
    database.execute("CREATE TABLE prices (name TEXT, price INTEGER)")
    database.execute("INSERT INTO items VALUES ('lamp', 3), ('cursed', 1)")
    database.execute("INSERT INTO prices VALUES ('lamp', 12)")
redis.Redis(port=int(os.environ["REDIS"])).flushall()
