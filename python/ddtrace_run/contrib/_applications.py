"""Whose applications servers serve.

The packages of OpenTelemetry for WSGI and ASGI patch nothing: they are what those for frameworks are made of, and come with
each of these. So they do not say who traces the requests of a server; what it serves does.
"""

from ddtrace_run import _native
from ddtrace_run.integrations import has_otel_instrumentation

#: Frameworks that an instrumentation makes spans of requests for: packages of their classes, by which it is named as well.
_FRAMEWORKS = {"django", "falcon", "fastapi", "flask", "pyramid", "starlette"}

#: Where what is around an application has it, mostly.
_WITHIN = ("app", "application", "wsgi_app", "asgi_app", "_app", "_application", "wrapped", "wrapped_app", "inner", "__wrapped__")

#: As deep as this it is looked for.
_DEPTH = 16


def is_left_to_others(application):
    """Whether an instrumentation of OpenTelemetry makes the spans of an application's requests, as far as that can be seen."""
    if _native.otel_mode() == "false":
        return False
    seen, waiting = set(), [application]
    while waiting and len(seen) < _DEPTH:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        for kind in type(each).__mro__:
            package, _, rest = (getattr(kind, "__module__", None) or "").partition(".")
            if package == "opentelemetry" and rest.startswith("instrumentation"):
                return True
            if package in _FRAMEWORKS:
                # One that is built on another one is instrumented by its own.
                if has_otel_instrumentation(package):
                    return True
                break
        waiting += _within(each)
    return False


def _within(application):
    """What an application is made around, without a word to its own code."""
    try:
        values = object.__getattribute__(application, "__dict__")
    except AttributeError:
        values = {}
    found = [values[name] for name in _WITHIN if name in values]
    # A method of an application, and a function that was made around one.
    found.append(getattr(application, "__self__", None) if type(application).__name__ == "method" else None)
    if type(application).__name__ == "function":
        for cell in application.__closure__ or ():
            try:
                found.append(cell.cell_contents)
            except ValueError:
                pass
    return [each for each in found if callable(each)]
