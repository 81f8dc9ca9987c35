"""The same by Flask and requests, without a line of tracing code."""

import requests
from flask import Flask, request
from werkzeug.serving import WSGIRequestHandler, make_server

app = Flask(__name__)


@app.post("/test")
def test():
    for call in request.get_json():
        requests.post(call["url"], timeout=10)
    return ""


WSGIRequestHandler.protocol_version = "HTTP/1.1"
server = make_server("127.0.0.1", 0, app)
print(f"listening on 127.0.0.1:{server.port}", flush=True)
server.serve_forever()
