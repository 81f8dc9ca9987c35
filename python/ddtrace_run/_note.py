"""A line for the log of `ddtrace-run`. Pythons that can load nothing else of this package run this file as well."""

import os
import sys

# More than the sidecar reads.
_MOST_BYTES = 900

# The flag of a process that may make no system calls for us.
_SANDBOXED = 8


def note(text):
    """Says something, of which the log takes each text once; with debugging switched on it is on stderr, too."""
    version = "%d.%d" % tuple(sys.version_info[:2])
    text = "%s (Python %s): %s" % (sys.executable or "an embedded interpreter", version, text)
    if os.environ.get("DD_TRACE_DEBUG", "").lower() in ("1", "true"):
        sys.stderr.write("ddtrace-run: %s\n" % text)
    # The layout is that of src/identity.rs: version, run, holder with flags, and more.
    identity = os.environ.get("_DDTRACE_RUN", "").split(".")
    if len(identity) < 3 or int(identity[2][1:3], 16) & _SANDBOXED:
        return
    import _socket

    # The run's socket; the message is `Note` in src/handshake.rs.
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    try:
        connection.setblocking(False)
        connection.connect("\0ddtrace-run/1/" + identity[1])
        connection.send(b"note " + text.encode("utf-8", "replace")[:_MOST_BYTES])
    except _socket.error:
        # Nobody is there who would write it down.
        pass
    finally:
        connection.close()
