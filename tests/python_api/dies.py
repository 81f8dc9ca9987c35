"""Records spans, notes the id of each in a file as soon as it is recorded, and ends as it is told, as `tests/apps/dies.c` does.

dies.py WAY LEDGER COUNT
"""

import concurrent.futures
import concurrent.futures.process
import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time

from ddtrace import tracer


def record(ledger, count):
    """A root that is left open, and spans below it that have ended."""
    descriptor = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(span):
        os.write(descriptor, b"%016x\n" % span.span_id)

    root = tracer.start_span("root")
    note(root)
    for number in range(count):
        span = tracer.start_span("step", child_of=root)
        span.set_tag("number", number)
        span.finish()
        note(span)
    os.close(descriptor)


def record_for_ever(ledger, count):
    while True:
        record(ledger, count)
        time.sleep(0.001)


def record_and_die(ledger, count):
    record(ledger, count)
    os.kill(os.getpid(), signal.SIGKILL)


def in_pool(job):
    record(*job)
    return os.getpid()


def main(way, ledger, count):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if way == "thread":
        threading.Thread(target=record_for_ever, args=(ledger, count), daemon=True).start()
        time.sleep(0.02)
    record(ledger, count)
    if way == "_exit":
        os._exit(3)
    if way == "abort":
        os.abort()
    if way == "segv":
        ctypes.string_at(8)
    if way == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "exec":
        os.execv("/bin/true", ["true"])
    if way == "raise":
        raise SystemExit(1)
    if way == "fork-kill":
        child = os.fork()
        if child == 0:
            record_and_die(ledger, count)
        os.waitpid(child, 0)
    if way in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(way)
        children = [context.Process(target=work, args=(ledger, count)) for work in (record, record_and_die)]
        [child.start() for child in children]
        [child.join() for child in children]
        assert [child.exitcode for child in children] == [0, -signal.SIGKILL]
        # Workers that are ended while they wait.
        with context.Pool(2) as pool:
            assert len(pool.map(in_pool, [(ledger, count)] * 4)) == 4
    if way == "executor":
        with concurrent.futures.ProcessPoolExecutor(2) as pool:
            list(pool.map(in_pool, [(ledger, count)] * 4))
            try:
                pool.submit(record_and_die, ledger, count).result()
            except concurrent.futures.process.BrokenProcessPool:
                pass


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
