#!/usr/bin/env python3
"""What the launcher costs, beside the bare program and beside its peers: one table.

    benches/table.py [--launcher PATH] [--peers VENV] [--rounds N] [--spans N] [--only PART]

VENV is a virtual environment with `ddtrace` and `opentelemetry-distro`, which is made if it is not there. Everything
compared is run in turns within one run, and the fastest of each counts: the others were disturbed. The numbers are for
people; nothing is asserted.
"""

import argparse
import os
import pathlib
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ["ddtrace", "opentelemetry-distro", "opentelemetry-exporter-otlp-proto-http"]
ONE_SPAN = {
    "bare": "pass",
    "ours": "pass",
    "ddtrace": "from ddtrace.trace import tracer\nwith tracer.trace('work'): pass",
    "otel": "from opentelemetry import trace\nwith trace.get_tracer('t').start_as_current_span('work'): pass",
}


class Receiver:
    """An Agent that takes everything, counts, and does nothing else."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(50)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.spans = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        stream = connection.makefile("rb")
        while line := stream.readline():
            length = 0
            while (line := stream.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.spans += stream.read(length).count(b"\xa7span_id")
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fastest(ways, rounds):
    """Runs each way in turns; gives the least wall-clock time of each, in seconds."""
    best = {name: float("inf") for name in ways}
    for _ in range(rounds):
        for name, (command, environment) in ways.items():
            start = time.perf_counter()
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def row(title, values, unit="ms", scale=1e3):
    """One line for each way: its time, what it adds to the first one, and how many times that is."""
    base = next(iter(values.values()))
    for name, value in values.items():
        print(f"| {title} | {name} | {value * scale:.2f} {unit} | {(value - base) * scale:+.2f} {unit} | {value / base:.2f} |")


def environment(state, **more):
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": state, "XDG_STATE_HOME": state, **more}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--launcher", default=ROOT / "target/release/ddtrace-run", type=pathlib.Path)
    parser.add_argument("--peers", default=ROOT / "target/bench-venv", type=pathlib.Path)
    parser.add_argument("--rounds", default=20, type=int)
    parser.add_argument("--spans", default=1_000_000, type=int)
    parser.add_argument("--only", choices=["start", "dead-agent", "record", "sidecar"], help="only this part")
    options = parser.parse_args()
    ours = str(options.launcher)
    if not (options.peers / "bin/ddtrace-run").exists():
        subprocess.run([sys.executable, "-m", "venv", options.peers], check=True)
        subprocess.run([options.peers / "bin/pip", "install", "-q", *PEERS], check=True)
    python = str(options.peers / "bin/python")
    versions = subprocess.run([options.peers / "bin/pip", "list"], capture_output=True, text=True, check=True).stdout
    versions = re.findall(r"^(ddtrace|opentelemetry-distro) +(\S+)", versions, re.MULTILINE)

    work = tempfile.mkdtemp(prefix="ddtrace-bench-")
    try:
        load = os.path.join(work, "load")
        source = ROOT / "benches/load.c"
        subprocess.run(["cc", "-O2", "-pthread", f"-I{ROOT}/include", "-o", load, source], check=True)
        print(f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, Python "
              f"{platform.python_version()}, {', '.join(' '.join(version) for version in versions)}\n")
        print("| what | by | fastest | more | ratio |\n| --- | --- | --- | --- | --- |")
        receiver = Receiver()
        agent = {"DD_TRACE_AGENT_URL": receiver.url, "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false"}
        wanted = lambda part: options.only in (None, part)
        if wanted("start"):
            start_up(work, ours, options, python, agent)
        if wanted("dead-agent"):
            exit_with_dead_agent(work, ours, options, python, f"http://127.0.0.1:{free_port()}")
        if wanted("record"):
            recording(work, ours, load, options, agent)
        if not wanted("sidecar"):
            return
        print("\n| sidecar | spans received | of | spans a second | CPU per million spans | anonymous memory at most |")
        print("| --- | --- | --- | --- | --- | --- |")
        for processes, threads in ((1, 1), (1, 4), (4, 1)):
            sidecar(work, ours, load, options, processes, threads)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def start_up(work, ours, options, python, agent):
    plain, traced = environment(work), environment(work, **agent)
    ways = {
        "bare": (["/bin/true"], plain),
        "ddtrace-run (this one)": ([ours, "/bin/true"], traced),
        "the same, as a span": ([ours, "--process-spans=true", "/bin/true"], traced),
    }
    row("start of `true`", fastest(ways, options.rounds * 5))
    pip = options.peers / "bin"
    ways = {
        "bare": ([python, "-c", "pass"], plain),
        "ddtrace-run (this one)": ([ours, python, "-c", "pass"], traced),
        "ddtrace-run (PyPI)": ([pip / "ddtrace-run", python, "-c", "pass"], traced),
        "opentelemetry-instrument": (
            [pip / "opentelemetry-instrument", python, "-c", "pass"],
            environment(work, OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none"),
        ),
    }
    row("start of `python -c pass`", fastest(ways, options.rounds))


def exit_with_dead_agent(work, ours, options, python, dead):
    pip = options.peers / "bin"
    more = {"DD_TRACE_AGENT_URL": dead, "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false"}
    otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": dead, "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    otel |= {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    ways = {
        "bare": ([python, "-c", ONE_SPAN["bare"]], environment(work)),
        "ddtrace-run (this one)": (
            [ours, "--process-spans=true", python, "-c", ONE_SPAN["ours"]], environment(work, **more)),
        "ddtrace-run (PyPI)": ([pip / "ddtrace-run", python, "-c", ONE_SPAN["ddtrace"]], environment(work, **more)),
        "opentelemetry-instrument": (
            [pip / "opentelemetry-instrument", python, "-c", ONE_SPAN["otel"]], environment(work, **otel)),
    }
    row("one span, start to end, nobody at the Agent's port", fastest(ways, 3))


def recording(work, ours, load, options, agent):
    """Nanoseconds of one span with two tags, as the program itself measures them."""
    for threads in (1, 2, 4, 8):
        best = {"bare": float("inf"), "ddtrace-run (this one)": float("inf")}
        for _ in range(3):
            for name, command in (("bare", [load]), ("ddtrace-run (this one)", [ours, "--process-spans=false", load])):
                said = subprocess.run([*command, "1", str(threads), "100000"], env=environment(work, **agent),
                                      capture_output=True, text=True, check=True).stderr
                best[name] = min(best[name], float(said.split()[0]) * 1e-9)
        row(f"a span with two tags, {threads} threads", best, "µs", 1e6)


def sidecar(work, ours, load, options, processes, threads):
    state = tempfile.mkdtemp(dir=work)
    # Its own: sidecars of the runs before may still be sending to the other one.
    receiver = Receiver()
    agent = {"DD_TRACE_AGENT_URL": receiver.url}
    start, most = time.perf_counter(), 0
    command = [ours, "--supervise", "--process-spans=false", "--set", "log.level=debug", "--set", "shutdown_timeout=120s"]
    run = subprocess.Popen([*command, load, str(processes), str(threads), str(options.spans)],
                           env=environment(state, **agent), stderr=subprocess.DEVNULL)
    while run.poll() is None:
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
                if not text.startswith("Name:\tddtrace-sidecar"):
                    continue
                owner = (status.parent / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if state in owner:
                most = max(most, int(re.search(r"RssAnon:\s+(\d+)", text).group(1)))
        time.sleep(0.05)
    took = time.perf_counter() - start
    log = pathlib.Path(state, "ddtrace/sidecar.log").read_text()
    cpu = float(re.search(r"used ([\d.]+) ms of CPU", log).group(1)) / 1e3
    spans = receiver.spans
    print(f"| {processes} processes, {threads} threads each | {spans:,} | {options.spans:,} | {spans / took:,.0f} "
          f"| {cpu / spans * 1e6:.2f} s | {most / 1024:.1f} MiB |")


if __name__ == "__main__":
    main()
