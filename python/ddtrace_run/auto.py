"""Tracing for programs that `ddtrace-run` cannot start: `import ddtrace_run.auto` before all other imports.

It starts a sidecar for this process, and what this process starts is traced as under `ddtrace-run`. Where the launcher
has started the program already, nothing more is done.
"""

import os
import subprocess

from ddtrace_run import _finder
from ddtrace_run._note import note

try:
    from ddtrace_run import _native
except ImportError:
    _native = None


def _launcher():
    """Beside the package, as it is built and as it is installed; never another that PATH has by this name."""
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    places = [os.path.join(root, "../ddtrace-run"), os.path.join(root, "../../../bin/ddtrace-run")]
    return next((os.path.realpath(place) for place in places if os.access(place, os.X_OK)), None)


def _start():
    launcher = _launcher()
    if launcher is None:
        raise FileNotFoundError("the launcher ddtrace-run is not beside this package")
    # The sidecar is nobody's child, and not to be this program's either if it adopts orphans: it would be waited for.
    adopts_orphans = _native is not None and _native.adopt_orphans(False)
    try:
        # What the launcher has to say goes where its words always go: to stderr.
        started = subprocess.run([launcher, "--attach"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    finally:
        if adopts_orphans:
            _native.adopt_orphans(True)
    given = started.stdout
    for variable in given.split(b"\0")[:-1]:
        name, _, value = variable.partition(b"=")
        os.environb[name] = value


if "_DDTRACE_RUN" not in os.environ:
    try:
        _start()
    except (OSError, subprocess.CalledProcessError) as error:
        note("no sidecar could be started, so nothing is recorded: %s" % error)
_finder.install()
