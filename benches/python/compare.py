"""Prints what a span costs in Python: ours, Datadog's tracer and OpenTelemetry's SDK, side by side in one run.

    cargo build --release && cargo xtask setup && python3 benches/python/compare.py

Times are CPU time of the thread that makes the spans. Everything goes to a receiver that takes it and forgets it.
"""

import http.server
import json
import os
import statistics
import subprocess
import sys
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")
LAUNCHER = os.environ.get("DDTRACE_RUN") or os.path.join(TARGET, "release/ddtrace-run")
SPANS = os.path.join(ROOT, "benches/python/spans.py")
RUNS = int(os.environ.get("RUNS", "3"))


class Agent(http.server.BaseHTTPRequestHandler):
    """Takes everything that an Agent takes; counts the spans that it is told of."""

    protocol_version = "HTTP/1.1"
    traces = 0

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        while length > 0:
            length -= len(self.rfile.read(min(length, 1 << 16)))
        Agent.traces += int(self.headers.get("X-Datadog-Trace-Count") or 0)
        body = b'{"rate_by_service":{}}' if self.path != "/info" else b'{"endpoints":["/v0.4/traces","/v0.5/traces"]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = answer

    def log_message(self, *_):
        pass


def python(venv):
    return os.path.join(TARGET, venv, "bin/python")


def measure(command, what, **environment):
    clean = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "DD_TRACE_AGENT_URL": URL}
    clean.update(DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_REMOTE_CONFIGURATION_ENABLED="false", **environment)
    outcome = subprocess.run([*command, SPANS, *what.split()], env=clean, capture_output=True, text=True, check=False)
    if outcome.returncode:
        sys.exit(f"{command} {what}: {outcome.stderr}")
    return json.loads(outcome.stdout.splitlines()[-1])


def main():
    bare = [python("otel-venv")]
    ours = [LAUNCHER, "--process-spans=false", python("otel-venv")]
    theirs = [os.path.join(TARGET, "ddtrace-venv/bin/ddtrace-run"), python("ddtrace-venv")]
    rows = [
        ("a lock as a context manager", "lock", bare, {}),
        ("tracer.trace + tag, ddtrace-run", "datadog", ours, {}),
        ("tracer.trace + tag, ddtrace", "datadog", theirs, {}),
        ("the same, nested, ddtrace-run", "datadog-nested", ours, {}),
        ("the same, nested, ddtrace", "datadog-nested", theirs, {}),
        ("start_as_current_span + attribute, no provider", "otel", bare, {}),
        ("start_as_current_span + attribute, ddtrace-run", "otel", ours, {}),
        ("start_as_current_span + attribute, OTel SDK", "otel", bare, {"BENCH_SDK": "1"}),
        ("the same, nested, ddtrace-run", "otel-nested", ours, {}),
        ("the same, nested, OTel SDK", "otel-nested", bare, {"BENCH_SDK": "1"}),
        ("start_as_current_span + attribute, ddtrace", "otel", theirs, {"DD_TRACE_OTEL_ENABLED": "true"}),
    ]
    results = {index: [] for index in range(len(rows))}
    for _ in range(RUNS):
        for index, (_, what, command, environment) in enumerate(rows):
            results[index].append(measure(command, what, **environment))
    smallest = {index: min(times) for index, times in results.items()}
    print(f"{'':50}{'µs':>8}{'locks':>8}", flush=True)
    for index, (label, *_) in enumerate(rows):
        print(f"{label:50}{smallest[index] / 1000:8.2f}{smallest[index] / smallest[0]:8.1f}")

    print(f"\n{'after 5000 spans':50}{'private KiB':>12}{'added':>8}{'threads':>9}")
    base = statistics.median(measure(bare, "memory")["private"] for _ in range(RUNS))
    for label, command, what, environment in (
        ("nothing", bare, "memory", {}),
        ("ddtrace-run, Datadog's API", ours, "memory datadog", {}),
        ("ddtrace-run, OpenTelemetry's API", ours, "memory otel", {}),
        ("OpenTelemetry's API and SDK", bare, "memory otel", {"BENCH_SDK": "1"}),
        ("ddtrace", theirs, "memory datadog", {}),
    ):
        runs = [measure(command, what, **environment) for _ in range(RUNS)]
        private = statistics.median(run["private"] for run in runs)
        print(f"{label:50}{private:12.0f}{private - base:8.0f}{runs[0]['threads']:9}")

    took = measure(ours, "tight")
    print(f"\n200000 spans in a tight loop: {took:.2f} s")


class Server(http.server.ThreadingHTTPServer):
    """Says nothing of clients that leave early."""

    def handle_error(self, request, client_address):
        pass


server = Server(("127.0.0.1", 0), Agent)
URL = f"http://127.0.0.1:{server.server_port}"
threading.Thread(target=server.serve_forever, daemon=True).start()
main()
