"""Prints what tracing a Flask application costs under load: bare, ours, Datadog's tracer, and OpenTelemetry's SDK with its
instrumentation of Flask, side by side in one run.

    cargo build --release && cargo xtask setup && python3 benches/python/web.py

The application is served by one worker of gunicorn, and `wrk` (Debian's package of that name) asks it. What counts is the CPU
time of the worker for each request, from /proc; all are run in turns, and the least of each is shown: the others were disturbed.
All processors are kept busy meanwhile, in all ways alike (`contention.py` says why).
Everything goes to a receiver that takes it. Environments with the peers are made in the target directory if they are not there.
Nothing is asserted.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "benches"))
from contention import busy_processors  # noqa: E402

TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")
LAUNCHER = os.environ.get("DDTRACE_RUN") or os.path.join(TARGET, "release/ddtrace-run")
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = int(os.environ.get("SECONDS_EACH", "5"))
WEB = ["Flask==3.1.3", "gunicorn==27.0.1"]
DATADOG = ["ddtrace==4.16.0"]
OTEL = [
    "opentelemetry-distro==0.66b1",
    "opentelemetry-exporter-otlp-proto-http==1.45.1",
    "opentelemetry-instrumentation-flask==0.66b1",
]
APPLICATION = """
from flask import Flask
app = Flask(__name__)

@app.route("/users/<int:number>")
def user(number):
    return {"number": number}
"""
LOOP = """
import io, sys, time
from application import app

def request():
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/users/7", "SCRIPT_NAME": "", "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1",
               "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "127.0.0.1:8000", "HTTP_USER_AGENT": "wrk",
               "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "5555", "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
               "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr, "wsgi.multithread": False, "wsgi.multiprocess": False,
               "wsgi.run_once": False}
    body = app(environ, lambda status, headers, error=None: None)
    for _ in body:
        pass
    body.close()

for _ in range(500):
    request()
least = float("inf")
for _ in range(8):
    before = time.process_time()
    for _ in range(2000):
        request()
    least = min(least, (time.process_time() - before) / 2000)
    # What was recorded is sent meanwhile.
    time.sleep(0.3)
print(least * 1e6)
"""
TICK = os.sysconf("SC_CLK_TCK")


class Receiver(BaseHTTPRequestHandler):
    """Takes everything, as an Agent and as an OTLP receiver."""

    protocol_version = "HTTP/1.1"
    #: An answer is sent as one packet.
    wbufsize = -1

    def answer(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        length = int(self.headers.get("Content-Length") or 0)
        while length > 0:
            length -= len(self.rfile.read(min(length, 1 << 16)))
        is_info = self.path == "/info"
        body = json.dumps({"endpoints": ["/v0.4/traces", "/v0.5/traces"]} if is_info else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = answer

    def log_message(self, *_):
        pass


def environment(name, packages):
    """The programs of a virtual environment."""
    directory = os.path.join(TARGET, name)
    stamp = os.path.join(directory, ".made-from")
    wanted = "\n".join(packages)
    if not os.path.exists(stamp) or open(stamp).read() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        pip = [os.path.join(directory, "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, *packages], check=True)
        with open(stamp, "w") as file:
            file.write(wanted)
    return lambda program: os.path.join(directory, "bin", program)


def worker(parent):
    """The one child of gunicorn's master, once it is there."""
    while True:
        children = open(f"/proc/{parent}/task/{parent}/children").read().split()
        if children:
            return int(children[0])
        time.sleep(0.05)


def used(pid):
    """Seconds of CPU of all threads of a process."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid):
    """What a process alone has, in MiB."""
    text = open(f"/proc/{pid}/smaps_rollup").read()
    return sum(int(number) for number in re.findall(r"^Private_\w+: +(\d+) kB", text, re.M)) / 1024


def wrk(port, seconds):
    command = ["wrk", "-t1", "-c4", f"-d{seconds}", "--latency", f"http://127.0.0.1:{port}/users/7"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text:
        sys.exit(text)
    requests = int(re.search(r"(\d+) requests in", text)[1])
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    return requests, float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


def measure(command, variables, directory):
    port = 20000 + os.getpid() % 10000
    address = f"127.0.0.1:{port}"
    # A worker of threads keeps connections.
    gunicorn = ["-b", address, "-k", "gthread", "--threads", "1", "--keep-alive", "60", "application:app"]
    environ = {"PATH": os.environ["PATH"], "HOME": directory, "XDG_STATE_HOME": directory, **variables}
    log = os.path.join(directory, "log")
    with open(log, "w") as file:
        master = subprocess.Popen([*command, *gunicorn], cwd=directory, env=environ, stdout=file, stderr=file)
    try:
        while "Booting worker" not in open(log).read():
            if master.poll() is not None:
                sys.exit(open(log).read())
            time.sleep(0.05)
        time.sleep(2)
        pid = worker(master.pid)
        wrk(port, 2)
        before = used(pid)
        requests, p99 = wrk(port, SECONDS)
        return (used(pid) - before) / requests * 1e6, p99, memory(pid), requests / SECONDS
    finally:
        master.terminate()
        master.wait()


def loop(command, variables, directory):
    """The least CPU time of a request, in microseconds, where the application is called in a loop, on one processor."""
    environ = {"PATH": os.environ["PATH"], "HOME": directory, "XDG_STATE_HOME": directory, **variables}
    command = ["taskset", "-c", "0", *command[:-1], os.path.join(os.path.dirname(command[-1]), "python"), "-c", LOOP]
    told = subprocess.run(command, cwd=directory, env=environ, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return float(told.stdout)


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    bare, datadog = environment("web-venv", WEB), environment("web-ddtrace-venv", WEB + DATADOG)
    otel = environment("web-otel-venv", WEB + OTEL)
    agent = {"DD_TRACE_AGENT_URL": url, "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false"}
    agent["DD_REMOTE_CONFIGURATION_ENABLED"] = "false"
    otlp = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    otlp["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    ways = {
        "bare": ([bare("gunicorn")], {}),
        "ddtrace-run (this one), its own integration": ([LAUNCHER, "--process-spans=false", bare("gunicorn")], agent),
        "ddtrace-run (this one), OpenTelemetry's instrumentation": ([LAUNCHER, "--process-spans=false", otel("gunicorn")], agent),
        "ddtrace-run (PyPI)": ([datadog("ddtrace-run"), datadog("gunicorn")], agent),
        "opentelemetry-instrument": ([otel("opentelemetry-instrument"), otel("gunicorn")], otlp),
        # What the package costs by itself, whoever traces: its spans are none.
        "opentelemetry-instrument, nothing traced": (
            [otel("opentelemetry-instrument"), otel("gunicorn")],
            {**otlp, "OTEL_SDK_DISABLED": "true"},
        ),
    }
    wanted = sys.argv[1:]
    ways = {name: way for name, way in ways.items() if not wanted or any(word in name for word in wanted)}
    results, looped = {name: [] for name in ways}, {name: [] for name in ways}
    with busy_processors(), tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "application.py"), "w") as file:
            file.write(APPLICATION)
        for _ in range(ROUNDS):
            for name, (command, variables) in ways.items():
                results[name].append(measure(command, variables, directory))
                looped[name].append(loop(command, variables, directory))
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}\n")
    print("| a request to Flask | CPU of the worker | more | p99 | memory of the worker | requests a second |")
    print("| --- | --- | --- | --- | --- | --- |")
    least = {name: [min(column) for column in zip(*rows)][:3] + [max(row[3] for row in rows)] for name, rows in results.items()}
    base = least.get("bare", [0])[0]
    for name, (cpu, p99, size, rate) in least.items():
        print(f"| {name} | {cpu:.0f} µs | +{cpu - base:.0f} µs | {p99:.2f} ms | {size:.0f} MiB | {rate:.0f} |")
    print("\n| the application in a loop, no server | CPU of a request | more |\n| --- | --- | --- |")
    for name, times in looped.items():
        print(f"| {name} | {min(times):.0f} µs | +{min(times) - min(looped.get('bare', times)):.0f} µs |")


if __name__ == "__main__":
    main()
