"""`stdlib.py PORT GATE`: asks by what Python itself has."""

import http.client
import socket
import sys
import urllib.error
import urllib.request

port, gate = map(int, sys.argv[1:])
base = f"http://127.0.0.1:{port}"


def has_headers():
    """Lets the rest of a body come."""
    socket.create_connection(("127.0.0.1", gate)).close()


with urllib.request.urlopen(f"{base}/late") as answer:
    print(answer.read().decode())
try:
    urllib.request.urlopen(f"{base}/broken").read()
except http.client.IncompleteRead as error:
    print(type(error).__name__)
try:
    with urllib.request.urlopen(f"{base}/stuck", timeout=0.2) as answer:
        answer.read()
except socket.timeout:
    print("timeout")
with urllib.request.urlopen(f"{base}/closed"):
    pass
urllib.request.urlopen(f"{base}/dropped")
print(urllib.request.urlopen(f"{base}/redirected").read().decode())
try:
    urllib.request.urlopen(f"{base}/busy")
except urllib.error.HTTPError as error:
    print(error.code)
# Two at once, none of which is below the other.
first, second = (http.client.HTTPConnection("127.0.0.1", port) for _ in range(2))
first.request("POST", "/late/first", b"body", {"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
second.putrequest("GET", "/late/second")
second.putheader("X-Own", "1")
second.endheaders()
for connection in second, first:
    print(connection.getresponse().read().decode())
for _ in range(3):
    has_headers()
