"""What makes the CPU time of one process comparable while other processes come and go beside it."""

import contextlib
import os
import subprocess
import sys


@contextlib.contextmanager
def busy_processors():
    """Keeps every processor busy with something that yields to everything else.

    Processors that share a core slow each other down. Beside a bare program one of them idles, and beside a traced one a
    sidecar or a receiver works: their share would be counted as the traced program's time.
    """
    command = ["nice", "-n", "19", sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(os.cpu_count())]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
