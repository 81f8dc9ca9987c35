#!/usr/bin/env python3
"""What it costs servers and clients that their connections are looked at: one table.

    benches/native.py [--launcher PATH] [--venv VENV] [--rounds N] [--seconds N] [--only PART]

VENV is a virtual environment with Flask, gunicorn, `ddtrace` and OpenTelemetry's instrumentation of Flask, which is made if
it is not there; `wrk`, `nginx`, `redis-server`, `redis-benchmark`, PostgreSQL with `pgbench`, `curl` and `cc` are Debian's.
Everything compared is run in turns within one run, and the best of each counts, number by number: the others were disturbed.
All processors are kept busy meanwhile, in all ways alike (`contention.py` says why).
The numbers are for people; nothing is asserted.
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
import time

from contention import busy_processors
from table import ROOT, Receiver, environment, free_port

PACKAGES = ["flask", "gunicorn", "ddtrace", "opentelemetry-distro", "opentelemetry-exporter-otlp-proto-http",
            "opentelemetry-instrumentation-flask"]
CONNECTIONS = 16
TICK = 1 / os.sysconf("SC_CLK_TCK")
FLASK = """
import flask
app = flask.Flask(__name__)

@app.get("/hello/<name>")
def hello(name):
    return f"hello {name}"
"""


class Way:
    """One of the ways in which a program is run."""

    def __init__(self, name, prefix=(), **variables):
        self.name, self.prefix, self.variables = name, list(prefix), variables


class Bench:
    def __init__(self, options, work):
        self.options, self.work = options, pathlib.Path(work)
        # PostgreSQL's server refuses to be root, and its user has to reach its files.
        self.work.chmod(0o755)
        self.agent = Receiver()
        agent = {"DD_TRACE_AGENT_URL": self.agent.url}
        ours = [str(options.launcher)]
        self.ways = [
            Way("bare"),
            Way("disarmed", ours, DD_TRACE_NATIVE_ENABLED="false", **agent),
            Way("armed", ours, DD_TRACE_NATIVE_ENABLED="true", **agent),
        ]
        self.runs = 0

    def environment(self, way, **more):
        self.runs += 1
        return environment(str(self.work / f"state-{self.runs}"), **way.variables, **more)

    def wanted(self, part):
        return self.options.only in (None, part)

    def compare(self, title, ways, measure):
        """Runs each way in turns. `measure` gives requests, seconds, the 99th percentile in seconds, and CPU seconds."""
        found = {way.name: [] for way in ways}
        for _ in range(self.options.rounds):
            for way in ways:
                found[way.name].append(measure(way))
        base = None
        for way in ways:
            rate = max(count / took for count, took, _, _ in found[way.name])
            slow = min(slow for _, _, slow, _ in found[way.name])
            cpu = min(cpu / count for count, _, _, cpu in found[way.name])
            base = base or (rate, cpu)
            print(f"| {title} | {way.name} | {rate:,.0f} | {rate / base[0]:.3f} | {slow * 1e3:.2f} ms "
                  f"| {cpu * 1e6:.2f} µs | {(cpu - base[1]) * 1e6:+.2f} µs |", flush=True)

    def served(self, argv, way, port, path):
        """A server of which only what it takes while it is asked counts."""
        server = Server(way.prefix + argv, self.environment(way), port)
        try:
            url = f"http://127.0.0.1:{port}{path}"
            run_wrk(url, 0.5)
            before = server.cpu()
            count, took, slow = run_wrk(url, self.options.seconds)
            return count, took, slow, server.cpu() - before
        finally:
            server.stop()


class Server:
    def __init__(self, argv, environment, port):
        self.process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for_port(port)

    def cpu(self):
        """CPU seconds of it and its children, those included that have ended. A sidecar is nobody's child."""
        pids, total = [self.process.pid], 0
        while pids:
            pid = pids.pop()
            try:
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                children = [task.read_text().split() for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children")]
            except OSError:
                continue
            total += sum(map(int, fields[11:15]))
            pids += [int(child) for some in children for child in some]
        return total * TICK

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def wait_for_port(port):
    for _ in range(1000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    sys.exit(f"nobody listens at port {port}")


def run_wrk(url, seconds):
    """Requests, seconds and the 99th percentile in seconds."""
    said = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--latency", url],
                          capture_output=True, text=True, check=True).stdout
    if bad := re.findall(r"^\s*(?:Non-2xx|Socket errors).*", said, re.MULTILINE):
        print(f"{url}: {bad}", file=sys.stderr)
    count, took = re.search(r"(\d+) requests in ([\d.]+)s", said).groups()
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
    return int(count), float(took), float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]


def run(argv, environment, **more):
    """What it says, and its CPU seconds."""
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **more)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{argv}: exit code {process.returncode}")
    return said, usage.ru_utime + usage.ru_stime


def nginx(bench, name, server):
    directory = bench.work / name
    directory.mkdir(exist_ok=True)
    temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (directory / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {directory}/pid; error_log {directory}/error.log; events {{}} http {{ "
        f"access_log off; sendfile on; keepalive_requests 100000000; {temporary} server {{ {server} }} }}")
    return ["nginx", "-e", str(directory / "start.log"), "-c", str(directory / "nginx.conf")]


def nginx_static(bench):
    root, port = bench.work / "www", free_port()
    root.mkdir()
    (root / "index.html").write_text("x" * 612)
    argv = nginx(bench, "static", f"listen 127.0.0.1:{port}; root {root};")
    bench.compare("nginx, a file of 612 bytes", bench.ways, lambda way: bench.served(argv, way, port, "/"))
    (root / "large").write_text("x" * 100_000)
    bench.compare("nginx, a file of 100 kB", bench.ways, lambda way: bench.served(argv, way, port, "/large"))
    argv = nginx(bench, "closing", f"listen 127.0.0.1:{port}; root {root}; keepalive_timeout 0;")
    bench.compare("nginx, a connection for each file", bench.ways, lambda way: bench.served(argv, way, port, "/"))


def nginx_proxy(bench):
    port, behind = free_port(), free_port()
    back = Server(nginx(bench, "back", f"listen 127.0.0.1:{behind}; location / {{ return 200 hello; }}"),
                  environment(str(bench.work)), behind)
    argv = nginx(bench, "front", f"listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{behind}; }}")
    bench.compare("nginx, handed on to another one", bench.ways, lambda way: bench.served(argv, way, port, "/"))
    back.stop()


def redis(bench):
    port = free_port()
    server = Server(["redis-server", "--port", str(port), "--save", "", "--dir", str(bench.work)],
                    environment(str(bench.work)), port)

    def measure(way, command, pipeline):
        count = 40_000 * bench.options.seconds * (4 if pipeline > 1 else 1)
        argv = ["redis-benchmark", "-p", str(port), "-t", command, "-n", str(count), "-P", str(pipeline), "-c",
                str(CONNECTIONS), "--csv"]
        said, cpu = run(way.prefix + argv, bench.environment(way))
        values = [value.strip('"') for value in said.strip().splitlines()[-1].split(",")]
        return count, count / float(values[1]), float(values[6]) * 1e-3, cpu

    for command in ("get", "set"):
        for pipeline in (1, 16):
            bench.compare(f"redis-benchmark, {command.upper()}, {pipeline} at once", bench.ways,
                          lambda way: measure(way, command, pipeline))
    server.stop()


def pgbench(bench):
    programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    home = bench.work / "postgres"
    home.mkdir()
    user = []
    if os.getuid() == 0:
        shutil.chown(home, "postgres")
        user = ["runuser", "-u", "postgres", "--"]
    plain = environment(str(home))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": plain}
    subprocess.run([*user, programs / "initdb", "-D", home / "data", "-A", "trust", "-U", "me"], check=True, **quiet)
    port = free_port()
    server = Server([*user, programs / "postgres", "-D", home / "data", "-k", home, "-p", str(port), "-F"], plain, port)
    at = ["-h", "127.0.0.1", "-p", str(port), "-U", "me", "postgres"]
    while subprocess.run([programs / "psql", *at, "-c", "select 1"], **quiet).returncode != 0:
        time.sleep(0.1)
    subprocess.run([programs / "pgbench", "-i", *at], check=True, **quiet)

    def measure(way):
        logs = pathlib.Path(tempfile.mkdtemp(dir=bench.work))
        argv = [str(programs / "pgbench"), "-S", "-c", "4", "-T", str(bench.options.seconds), "-l", *at]
        said, cpu = run(way.prefix + argv, bench.environment(way), cwd=logs)
        rate = float(re.search(r"tps = ([\d.]+)", said).group(1))
        count = int(re.search(r"actually processed: (\d+)", said).group(1))
        took = sorted(int(line.split()[2]) for log in logs.iterdir() for line in log.read_text().splitlines())
        shutil.rmtree(logs)
        return count, count / rate, took[len(took) * 99 // 100] * 1e-6, cpu

    bench.compare("pgbench -S", bench.ways, measure)
    server.stop()


def curl(bench):
    port = free_port()
    server = Server(nginx(bench, "for-curl", f"listen 127.0.0.1:{port}; location / {{ return 200 hello; }}"),
                    environment(str(bench.work)), port)

    def measure(way):
        times, total = [], 0
        for _ in range(40):
            start = time.perf_counter()
            _, cpu = run([*way.prefix, "curl", "-s", f"http://127.0.0.1:{port}/"], bench.environment(way))
            times.append(time.perf_counter() - start)
            total += cpu
        return len(times), sum(times), max(times), total

    bench.compare("curl, start to end (the slowest of 40)", bench.ways, measure)
    server.stop()


def plain(venv):
    """An environment beside that one, with nothing but the application's own packages."""
    return venv.with_name(venv.name + "-plain")


def flask(bench):
    venv, port = bench.options.venv / "bin", free_port()
    (bench.work / "hello.py").write_text(FLASK)

    def argv(way):
        # Where OpenTelemetry's instrumentation of Flask is installed, that would be used instead of the integration.
        python = (venv if way.name.endswith("(PyPI)") else plain(bench.options.venv) / "bin") / "python"
        return [str(python), "-m", "gunicorn", "-w", "1", "-k", "gthread", "--threads", "1", "-b", f"127.0.0.1:{port}",
                "--keep-alive", "60", "--max-requests", "0", "--chdir", str(bench.work), "hello:app"]

    ways = [
        *bench.ways,
        Way("OpenTelemetry (PyPI)", [str(venv / "opentelemetry-instrument")], OTEL_EXPORTER_OTLP_ENDPOINT=bench.agent.url,
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf", OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none"),
        Way("ddtrace (PyPI)", [str(venv / "ddtrace-run")], DD_TRACE_AGENT_URL=bench.agent.url,
            DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_REMOTE_CONFIGURATION_ENABLED="false"),
    ]
    bench.compare("Flask under gunicorn, one thread", ways, lambda way: bench.served(argv(way), way, port, "/hello/you"))


def calls(bench):
    program = bench.work / "calls"
    subprocess.run(["cc", "-O2", "-o", program, ROOT / "benches/calls.c"], check=True)
    fastest = {}
    for _ in range(bench.options.rounds):
        for way in bench.ways:
            said, _ = run([*way.prefix, str(program)], bench.environment(way))
            for line in said.splitlines():
                name, took = line.split("\t")
                of_name = fastest.setdefault(name, {})
                of_name[way.name] = min(of_name.get(way.name, float("inf")), float(took))
    print("\n| one of these | " + " | ".join(way.name for way in bench.ways) + " |")
    print("| --- |" + " --- |" * len(bench.ways))
    for name, took in fastest.items():
        bare = took["bare"]
        shown = (f"{took[way.name]:.0f} ns" + (f" ({took[way.name] - bare:+.0f})" if way.name != "bare" else "")
                 for way in bench.ways)
        print(f"| {name} | " + " | ".join(shown) + " |")


PARTS = {"static": nginx_static, "proxy": nginx_proxy, "redis": redis, "postgres": pgbench, "curl": curl, "flask": flask,
         "calls": calls}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--launcher", default=ROOT / "target/release/ddtrace-run", type=pathlib.Path)
    parser.add_argument("--venv", default=ROOT / "target/native-bench-venv", type=pathlib.Path)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--seconds", default=4, type=int, help="how long each is asked in each round")
    parser.add_argument("--only", choices=PARTS, help="only this part")
    options = parser.parse_args()
    for venv, packages in [(options.venv, PACKAGES), (plain(options.venv), ["flask", "gunicorn"])]:
        if not (venv / "bin/gunicorn").exists():
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
            subprocess.run([venv / "bin/pip", "install", "-q", *packages], check=True)
    listed = subprocess.run([options.venv / "bin/pip", "list"], capture_output=True, text=True, check=True).stdout
    versions = re.findall(r"^(ddtrace|opentelemetry-distro|[Ff]lask|gunicorn) +(\S+)", listed, re.MULTILINE)
    print(f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, load "
          f"{os.getloadavg()[0]:.1f} before, {', '.join(' '.join(version) for version in versions)}\n")
    work = tempfile.mkdtemp(prefix="ddtrace-bench-")
    try:
        bench = Bench(options, work)
        if options.only != "calls":
            print("| what | by | requests a second | ratio | 99 % within | CPU of one | more |")
            print("| --- | --- | --- | --- | --- | --- | --- |")
        with busy_processors():
            for part, measure in PARTS.items():
                if bench.wanted(part):
                    measure(bench)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
