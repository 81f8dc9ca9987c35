"""A Flask application. `flask_app.py PORT` is Flask's own server."""

import sqlite3
import sys

import requests
from flask import Blueprint, Flask, Response, abort, request

app = Flask(__name__)
shop = Blueprint("shop", __name__, url_prefix="/shop")


@app.route("/users/<int:number>", methods=["GET", "POST"])
def user(number):
    return {"number": number}


@shop.route("/<name>")
def thing(name):
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE things (name TEXT)")
        database.executemany("INSERT INTO things VALUES (?)", [["a"], ["b"]])
        return {"found": database.execute("SELECT * FROM things WHERE name = 'secret'").fetchall()}


@app.route("/asks")
def asks():
    return requests.get(request.host_url + "users/1?token=x").json()


@app.route("/fails")
def fails():
    raise ValueError("no such thing")


@app.route("/handled")
def handled():
    raise KeyError("handled")


@app.errorhandler(KeyError)
def answer(error):
    return "handled", 400


@app.route("/unavailable")
def unavailable():
    abort(503)


@app.route("/streams")
def streams():
    def parts():
        for part in ("one", "two"):
            yield part

    return Response(parts(), headers={"X-Made-By": "parts"})


@app.route("/breaks")
def breaks():
    def parts():
        yield "one"
        raise OSError("broken")

    return Response(parts())


app.register_blueprint(shop)

if __name__ == "__main__":
    app.run(port=int(sys.argv[1]), threaded=True)
