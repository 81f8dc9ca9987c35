"""A server that leaves jobs to another thread: jobs.py PORT BACKEND.

For each it asks the other server for a path, with the context that the request has brought which has left it: "/leaves" for
"/left", and it is answered at once. "/works" leaves one for "/own", and has all jobs done before it is answered.
"""

import queue
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, backend = map(int, sys.argv[1:])
jobs, may_work = queue.Queue(), threading.Semaphore(0)


def work():
    while True:
        may_work.acquire()
        while not jobs.empty():
            path, context = jobs.get()
            with socket.create_connection(("127.0.0.1", backend)) as other:
                head = f"GET {path} HTTP/1.1\r\nHost: x\r\ntraceparent: {context}\r\n\r\n"
                other.sendall(head.encode())
                while other.recv(4096):
                    pass
            jobs.task_done()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        works = self.path == "/works"
        jobs.put(("/own" if works else "/left", self.headers["traceparent"]))
        if works:
            may_work.release()
            jobs.join()
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


threading.Thread(target=work, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
