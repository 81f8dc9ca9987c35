"""The distribution `ddtrace`, as far as there is one: its name and the release whose API is carried out."""

import os
from importlib.metadata import Distribution

_COMPAT = os.path.join(os.path.dirname(__file__), "compat")


class Lent(Distribution):
    """Of the module that is lent where no `ddtrace` is installed."""

    def read_text(self, filename):
        """A file of the metadata."""
        if filename != "METADATA":
            return None
        scope = {}
        with open(os.path.join(_COMPAT, "ddtrace", "version.py")) as source:
            exec(source.read(), scope)
        return f"Metadata-Version: 2.1\nName: ddtrace\nVersion: {scope['__version__']}\n"

    def locate_file(self, path):
        """Where a file of it would be."""
        return os.path.join(_COMPAT, path)
