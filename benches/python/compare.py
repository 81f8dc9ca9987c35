"""Prints what tracing costs in Python: ours, Datadog's tracer and OpenTelemetry's SDK, side by side in one run.

    cargo build --release && cargo xtask setup && python3 benches/python/compare.py

Spans are measured in CPU time of the thread that makes them, starts in elapsed time. All are run in turns, and the least
of each counts: the others were disturbed. Everything goes to a receiver that takes it and counts. Nothing is asserted.
"""

import http.server
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")
LAUNCHER = os.environ.get("DDTRACE_RUN") or os.path.join(TARGET, "release/ddtrace-run")
SPANS = os.path.join(ROOT, "benches/python/spans.py")
RUNS = int(os.environ.get("RUNS", "5"))
TIGHT = 200_000
#: How long a tracer gets to deliver what it was given.
PATIENCE = 60


class Agent(http.server.BaseHTTPRequestHandler):
    """Takes everything that an Agent takes; counts the traces that it is told of."""

    protocol_version = "HTTP/1.1"
    #: An answer is sent as one packet: the second of two would wait for an acknowledgement, 0.2 s.
    wbufsize = -1
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


class Server(http.server.ThreadingHTTPServer):
    """Says nothing of clients that leave early."""

    def handle_error(self, request, client_address):
        pass


def python(venv):
    return os.path.join(TARGET, venv, "bin/python")


BARE = [python("otel-venv")]
OURS = [LAUNCHER, "--process-spans=false", python("otel-venv")]
DATADOG = [os.path.join(TARGET, "ddtrace-venv/bin/ddtrace-run"), python("ddtrace-venv")]
SDK = {"BENCH_SDK": "1"}


class Bench:
    def __init__(self, url, state):
        self.environment = {"PATH": os.environ["PATH"], "HOME": state, "XDG_STATE_HOME": state, "DD_TRACE_AGENT_URL": url}
        self.environment.update(DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_REMOTE_CONFIGURATION_ENABLED="false")

    def run(self, command, **more):
        outcome = subprocess.run(command, env={**self.environment, **more}, capture_output=True, text=True, check=False)
        if outcome.returncode:
            sys.exit(f"{command}: {outcome.stderr}")
        return outcome.stdout

    def measure(self, command, what, **more):
        return json.loads(self.run([*command, SPANS, *what.split()], **more).splitlines()[-1])

    def spans(self):
        rows = [
            ("a lock as a context manager", "-", "lock", BARE, {}),
            ("`tracer.trace` and a tag", "ddtrace-run", "datadog", OURS, {}),
            ("`tracer.trace` and a tag", "ddtrace (PyPI)", "datadog", DATADOG, {}),
            ("the same below another span", "ddtrace-run", "datadog-nested", OURS, {}),
            ("the same below another span", "ddtrace (PyPI)", "datadog-nested", DATADOG, {}),
            ("`start_as_current_span` and an attribute", "ddtrace-run", "otel", OURS, {}),
            ("`start_as_current_span` and an attribute", "OpenTelemetry's API, no SDK", "otel", BARE, {}),
            ("`start_as_current_span` and an attribute", "OpenTelemetry's SDK", "otel", BARE, SDK),
            ("`start_as_current_span` and an attribute", "ddtrace (PyPI)", "otel", DATADOG, {"DD_TRACE_OTEL_ENABLED": "true"}),
            ("the same below another span", "ddtrace-run", "otel-nested", OURS, {}),
            ("the same below another span", "OpenTelemetry's SDK", "otel-nested", BARE, SDK),
        ]
        best = [float("inf")] * len(rows)
        for _ in range(RUNS):
            for index, (_, _, what, command, more) in enumerate(rows):
                best[index] = min(best[index], self.measure(command, what, **more))
        print("| a span | by | µs | locks |\n| --- | --- | --- | --- |")
        for (title, who, *_), least in zip(rows, best):
            print(f"| {title} | {who} | {least / 1000:.2f} | {least / best[0]:.1f} |", flush=True)

    def starts(self):
        sdk = "from opentelemetry import trace; from opentelemetry.sdk.trace import TracerProvider; trace.set_tracer_provider(TracerProvider())"
        rows = [
            ("bare", BARE, "pass"),
            ("ddtrace-run", OURS, "pass"),
            ("ddtrace-run, and Datadog's API is imported", OURS, "from ddtrace import tracer"),
            ("OpenTelemetry's SDK, set up by the program", BARE, sdk),
            ("ddtrace (PyPI)", DATADOG, "pass"),
        ]
        best = [float("inf")] * len(rows)
        for turn in range(RUNS * 6):
            for index, (_, command, program) in enumerate(rows):
                if turn < RUNS or index < 3:
                    start = time.perf_counter()
                    self.run([*command, "-c", program])
                    best[index] = min(best[index], time.perf_counter() - start)
        print("\n| start of `python -c pass` | ms | more |\n| --- | --- | --- |")
        for (title, *_), least in zip(rows, best):
            print(f"| {title} | {least * 1e3:.1f} | {(least - best[0]) * 1e3:+.1f} |", flush=True)

    def memory(self):
        rows = [
            ("bare, no span", BARE, "memory", {}),
            ("ddtrace-run, Datadog's API", OURS, "memory datadog", {}),
            ("ddtrace-run, OpenTelemetry's API", OURS, "memory otel", {}),
            ("OpenTelemetry's API, no SDK", BARE, "memory otel", {}),
            ("OpenTelemetry's API and SDK", BARE, "memory otel", SDK),
            ("ddtrace (PyPI)", DATADOG, "memory datadog", {}),
        ]
        print("\n| memory, 5000 spans made | private KiB | more | threads |\n| --- | --- | --- | --- |")
        base = None
        for title, command, what, more in rows:
            runs = [self.measure(command, what, **more) for _ in range(RUNS)]
            private = statistics.median(run["private"] for run in runs)
            base = private if base is None else base
            print(f"| {title} | {private:.0f} | {private - base:+.0f} | {runs[0]['threads']} |", flush=True)

    def tight(self):
        print(f"\n| {TIGHT:,} spans in a tight loop | seconds | delivered |\n| --- | --- | --- |")
        for title, command in (("ddtrace-run", OURS), ("ddtrace (PyPI)", DATADOG)):
            Agent.traces = 0
            took = self.measure(command, f"tight {TIGHT}")
            end = time.monotonic() + PATIENCE
            before = -1
            # Whoever delivers after the program's end is waited for, until nothing comes any more.
            while Agent.traces < TIGHT and time.monotonic() < end and before != Agent.traces:
                before = Agent.traces
                time.sleep(5)
            print(f"| {title} | {took:.2f} | {Agent.traces:,} |", flush=True)


def main():
    server = Server(("127.0.0.1", 0), Agent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    with tempfile.TemporaryDirectory(prefix="ddtrace-bench-", ignore_cleanup_errors=True) as state:
        bench = Bench(f"http://127.0.0.1:{server.server_port}", state)
        versions = bench.run([*BARE, "-c", "import platform; print(platform.python_version())"]).strip()
        print(f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, Python {versions}, load {load}\n")
        for part in sys.argv[1:] or ["spans", "starts", "memory", "tight"]:
            getattr(bench, part)()


main()
