"""Compares the table of `ddtrace-run bootstrap` with the one that the installed `opentelemetry-bootstrap` has."""

import runpy
import sys

from opentelemetry.instrumentation.bootstrap_gen import default_instrumentations, libraries
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

sys.path.insert(0, "")
ours = runpy.run_path(sys.argv[1], run_name="table")


def kind(requirement):
    return Requirement(requirement).name.replace("opentelemetry-instrumentation-", "")


rows = [line.split() for line in ours["_LIBRARIES"].strip().split("\n")]
rows = sorted((canonicalize_name(library), kind[0] if kind else library) for library, _, *kind in rows)
theirs = [(Requirement(each["library"]), kind(each["instrumentation"])) for each in libraries]
# Of what is named there only that it can be there: the instrumentation is for another library.
expected = sorted((canonicalize_name(library.name), of) for library, of in theirs if library.name != "pydantic")
assert rows == expected, set(rows) ^ set(expected)
assert sorted(ours["_ALWAYS"]) == sorted(map(kind, default_instrumentations))
for line in ours["_LIBRARIES"].strip().split("\n"):
    library, wanted, *_ = line.split()
    specifier = next(each.specifier for each, _ in theirs if canonicalize_name(each.name) == canonicalize_name(library))
    for release in "0.1 0.5 0.12 0.13.1 0.18 0.92 1.0 1.4.1 1.26 1.42.0 1.64 2.0 2.1 2.7.3 2.7.3.1 3.0 3.25.1 4.0 5.1 6 7.2 8.1.3 9 10.5 11 21.1".split():
        if not specifier.contains(release) == ours["_is_within"](release, wanted):
            print(library, wanted, specifier, release)
print("compared")
