"""A Flask application that asks itself, by each client there is. `flask_app.py PORT` is Flask's own server."""

import os
import sys
import urllib.request

import httpx
import requests
import urllib3
from flask import Flask, request

app = Flask(__name__)


@app.route("/users/<name>")
def user(name):
    return "hello %s\n" % name


@app.route("/fails")
def fails():
    raise ValueError("on purpose")


@app.route("/health")
def health():
    return "ok\n"


@app.route("/clients")
def clients():
    root = request.url_root
    requests.get(root + "users/requests?page=1")
    urllib3.PoolManager().request("GET", root + "users/urllib3")
    with httpx.Client() as client:
        client.get(root + "users/httpx")
    urllib.request.urlopen(root + "users/urllib").read()
    return str(requests.get(root + "nobody").status_code)


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]), threaded=True, debug="DEBUG" in os.environ)
