"""What customers ask: Flask, requests and SQLite."""

import os
import sqlite3

import requests
from flask import Flask, abort

app = Flask(__name__)


def customers():
    return sqlite3.connect(os.environ["CUSTOMERS"])


@app.get("/customers/<int:number>/orders/<item>")
def order(number, item):
    with customers() as database:
        cursor = database.cursor()
        found = cursor.execute("SELECT name FROM customers WHERE number = ?", (number,)).fetchone()
    if found is None:
        abort(404)
    answer = requests.get(f"{os.environ['STOCK']}/items/{item}?token=secret", timeout=30)
    answer.raise_for_status()
    with customers() as database:
        database.execute("INSERT INTO orders (number, item) VALUES (?, ?)", (number, item))
    return {"customer": found[0], **answer.json()}
