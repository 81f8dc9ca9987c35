"""The stable API (package `ddtrace-api`), carried out by the program's tracer."""

from types import ModuleType

from typing_extensions import Self

from ddtrace_run import _native
from ddtrace_run import tracer as _tracer

Span = _native.Span

class Tracer(_tracer.Tracer):
    def __new__(cls, *_: object, **__: object) -> Self: ...
    # As the API has it: there always is one, if need be one that has this API's methods and does nothing.
    def current_span(self) -> Span: ...
    def current_root_span(self) -> Span: ...

tracer: Tracer

def imported(module: ModuleType) -> None: ...
