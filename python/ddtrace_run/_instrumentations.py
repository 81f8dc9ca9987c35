"""Loads the installed instrumentations of OpenTelemetry, as `opentelemetry-instrument` does, with our provider behind them.

`load` is called when the interpreter starts, and only where there may be some. It finds out which ones there are; each is
loaded when the program has imported its library. At the start, as `opentelemetry-instrument` does it, all these libraries
would be imported in each Python that is started for whatever reason, and before a program has made its preparations: one that
calls `gevent.monkey.patch_all()` in its first line could make no connection by TLS any more.
"""

import os
import sys

from ddtrace_run import _awaited
from ddtrace_run._note import note

_DISTRO = "opentelemetry_distro"
_CONFIGURATOR = "opentelemetry_configurator"
_BEFORE = "opentelemetry_pre_instrument"
_INSTRUMENTOR = "opentelemetry_instrumentor"
_AFTER = "opentelemetry_post_instrument"
_GROUPS = (_DISTRO, _CONFIGURATOR, _BEFORE, _INSTRUMENTOR, _AFTER)

#: They export logs, for which there is no provider unless one is asked for. What that of `logging` does beside it,
#: `contrib/logging.py` does, too.
_EXPORT_LOGS = ("exceptions", "logging", "structlog")
_ASK_FOR_LOGS = ("OTEL_PYTHON_CONFIGURATOR", "OTEL_PYTHON_LOGGER_PROVIDER", "OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION")

#: Set while instrumentations are loaded: a Python that one of them starts to find something out does not load them again,
#: and start the next one.
_LOADING = "_DDTRACE_PYTHON_LOADING"

#: Programs and modules that install, build and start applications, and are none.
_NO_APPLICATIONS = frozenset(
    """
    build compileall conda ddtrace-run easy_install ensurepip hatch opentelemetry-bootstrap opentelemetry-instrument pdm pip
    pip-compile pip-sync pipenv pipx poetry py_compile twine venv virtualenv
    """.split()
)


def load():
    """Loads what is installed; what fails is said, and the program goes on without it."""
    if os.environ.get(_LOADING) or not _is_application():
        return
    if any(entry.endswith("opentelemetry/instrumentation/auto_instrumentation") for entry in sys.path):
        # `opentelemetry-instrument` has started this Python, and does all this itself.
        return
    os.environ[_LOADING] = "1"
    try:
        points = _entry_points()
        if points[_BEFORE] or points[_INSTRUMENTOR] or points[_AFTER]:
            _load(points)
    finally:
        os.environ.pop(_LOADING, None)


def _is_application():
    kind, what = _started()
    if kind == "-c":
        # The process that cleans up behind those of `multiprocessing`.
        return "resource_tracker import main" not in what
    name = what.rpartition("/")[2] if kind == "" else what.partition(".")[0]
    return name.rstrip("0123456789.") not in _NO_APPLICATIONS


def _started():
    """What this Python runs: `-m` and a module, `-c` and code, or nothing and a script."""
    try:
        words = iter(sys.orig_argv[1:])
    except AttributeError:
        # Python 3.9.
        with open("/proc/self/cmdline") as line:
            words = iter(line.read().split("\0")[1:-1])
    for word in words:
        if word == "--check-hash-based-pycs":
            next(words, None)
        elif word == "-" or not word.startswith("-"):
            return "", word
        elif not word.startswith("--"):
            for place, letter in enumerate(word[1:], 2):
                if letter in "cmWX":
                    value = word[place:] or next(words, "")
                    if letter in "cm":
                        return "-" + letter, value
                    break
    return "", ""


class _Point:
    """An entry point. `importlib.metadata` would know all this, and take ten times as long to import as this to find."""

    def __init__(self, group, name, value, metadata):
        self.group = group
        self.name = name
        self.value = value
        self._metadata = metadata

    @property
    def module(self):
        return self.value.partition(":")[0].strip()

    def entry(self):
        from importlib.metadata import EntryPoint

        return EntryPoint(self.name, self.value, self.group)

    def load(self):
        return self.entry().load()

    def distribution(self):
        from importlib.metadata import Distribution

        return Distribution.at(self._metadata)


def _entry_points():
    """By group, in the order in which Python finds them."""
    points = {group: [] for group in _GROUPS}
    seen = set()
    for directory in sys.path:
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                project = name.partition("-")[0].lower()
                if project not in seen:
                    seen.add(project)
                    _read_entry_points(os.path.join(directory, name), points)
    return points


def _read_entry_points(metadata, points):
    try:
        with open(metadata + "/entry_points.txt", encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeDecodeError):
        return
    group = None
    for line in lines:
        line = line.strip()
        name, is_point, value = line.partition("=")
        if line.startswith("["):
            group = line.strip("[] ")
        elif is_point and group in points and not line.startswith(("#", ";")):
            points[group].append(_Point(group, name.strip(), value.strip(), metadata))


def _is_wanted():
    """Whether the configuration lets the API be carried out. Asked when something is to be loaded, as the extension that knows
    it takes longer to load than all else here."""
    from ddtrace_run import _native

    mode = _native.otel_mode()
    is_off = mode == "disabled" and os.environ.get("DD_TRACE_ENABLED", "").strip().lower() in ("false", "0")
    return mode != "false" and not is_off


def _load(points):
    if (points[_BEFORE] or points[_AFTER]) and not _is_wanted():
        return
    _patch_gevent()
    distro = _configured(points)
    for point in points[_BEFORE]:
        _guarded(point, lambda point=point: point.load()())
    disabled = [name.strip() for name in os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")]
    # A distro, and what is called behind all, may count on it that all is loaded.
    is_now = distro is not None or points[_AFTER]
    if "*" not in disabled:
        for point in points[_INSTRUMENTOR]:
            if point.name not in disabled:
                _instrument(point, distro, is_now)
    for point in points[_AFTER]:
        _guarded(point, lambda point=point: point.load()())


def _instrument(point, distro, is_now):
    """Loads an instrumentation, now or when its library has been imported."""

    def load():
        from ddtrace_run.integrations import refusal

        refused = refusal(point.name)
        if refused is not None:
            note("the instrumentation %s is not loaded, as %s says" % (point.name, refused))
        elif _is_wanted():
            _guarded(point, lambda: _has_conflict(point) or _load_instrumentor(point, distro))

    of_contrib = point.module.startswith("opentelemetry.instrumentation.")
    kind = point.module.rpartition(".")[2] if of_contrib else ""
    if kind == "httpx":
        # Two libraries have one package.
        kind = point.name
    if kind in _EXPORT_LOGS and not any(os.environ.get(name) for name in _ASK_FOR_LOGS):
        return
    if is_now and kind != "django":
        load()
    else:
        _awaited.call_when_used(kind, load)


def _guarded(point, work):
    """Does something for an entry point. Whatever comes of it, the others have their turn."""
    try:
        return work()
    except (Exception, SystemExit) as error:
        from ddtrace_run._errors import is_of_a_signal

        if is_of_a_signal(error.__traceback__):
            raise
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("opentelemetry"):
            # The library is not there, which is how most instrumentations find out.
            return None
        note(
            "the OpenTelemetry entry point %s (%s) cannot be loaded: %s: %s"
            % (point.name, point.value, type(error).__name__, error)
        )


def _patch_gevent():
    """As `opentelemetry-instrument` has it, for programs that are patched: before anything else is imported."""
    wanted = os.environ.get("OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH")
    if wanted == "patch_all":
        try:
            from gevent import monkey
        except ImportError as error:
            note("OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH has no effect: %s" % error)
        else:
            monkey.patch_all()
    elif wanted is not None:
        note(
            "OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH=%s has no effect: it can only be patch_all" % wanted
        )


def _configured(points):
    """The distro that loads the instrumentations. What sets up an SDK is done only where it is asked for by name: ours is the
    provider, and the first one that is installed would be another."""
    distro = None
    for group, variable in ((_DISTRO, "OTEL_PYTHON_DISTRO"), (_CONFIGURATOR, "OTEL_PYTHON_CONFIGURATOR")):
        name = os.environ.get(variable, "").strip()
        named = [point for point in points[group] if point.name == name]
        if named and not _is_wanted():
            return None
        if name and not named:
            note("%s=%s has no effect: no installed package has that entry point" % (variable, name))
        for point in named[:1]:
            made = _guarded(point, lambda point=point: point.load()())
            if made is not None and group == _DISTRO:
                _guarded(point, made.configure)
                distro = made
            elif made is not None:
                from opentelemetry.instrumentation.version import __version__

                _guarded(point, lambda made=made: made.configure(auto_instrumentation_version=__version__))
    return distro


def _load_instrumentor(point, distro):
    # The check is done.
    options = {"skip_dep_check": True}
    if distro is None:
        point.load()
    instrumentor = _instrumentor(point)
    if getattr(instrumentor, "_is_instrumented_by_opentelemetry", False):
        # By the program, or by one that is loaded before.
        return
    if distro is None:
        instrumentor.instrument(**options)
    else:
        distro.load_instrumentor(point.entry(), **options)
    _give_way(_instrumentor(point))


def _instrumentor(point):
    """The instrumentor of which there is only one, if its module is loaded: a distro may load another one, or none."""
    return point.load()() if point.module in sys.modules else None


def _give_way(instrumentor):
    """Has what the program asks for itself take the place of ours: it may come with hooks and providers of its own."""
    if not getattr(instrumentor, "_is_instrumented_by_opentelemetry", False):
        return
    ours = instrumentor.instrument

    def instrument(**options):
        instrumentor.__dict__.pop("instrument", None)
        if instrumentor._is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()
        return ours(**options)

    instrumentor.__dict__["instrument"] = instrument
    if hasattr(instrumentor, "instrument_app") and hasattr(instrumentor, "uninstrument_app"):
        _give_way_for_applications(type(instrumentor))


def _give_way_for_applications(cls):
    """The same of one application, which is instrumented as soon as it is made."""
    ours = cls.instrument_app

    def instrument_app(app, *args, **options):
        if sys._getframe(1).f_globals.get("__name__") != cls.__module__:
            if getattr(app, "_is_instrumented_by_opentelemetry", False) and app not in seen:
                if not hasattr(app, "_teardown_request"):
                    # That of Flask forgets what it looks for here.
                    added = getattr(app, "teardown_request_funcs", {}).get(None, ())
                    app._teardown_request = next((each for each in added if each.__module__ == cls.__module__), None)
                cls.uninstrument_app(app)
                if hasattr(app, "middleware_stack"):
                    # Made for an application that runs; one that does takes no middlewares any more.
                    app.middleware_stack = None
            seen.add(app)
        return ours(app, *args, **options)

    from weakref import WeakSet

    seen = WeakSet()
    cls.instrument_app = staticmethod(instrument_app)


def _has_conflict(point):
    """Whether an instrumentation is for another release of its library than the one that is installed, which is said, or for
    one that is not there."""
    from opentelemetry.instrumentation import dependencies

    try:
        conflict = dependencies.get_dist_dependency_conflicts(point.distribution())
    except (AttributeError, TypeError):
        # Older releases are asked about what `pkg_resources` calls a distribution.
        conflict = dependencies.get_dependency_conflicts(point.load()().instrumentation_dependencies())
    if conflict is None:
        return False
    found = getattr(conflict, "found", None) or ", ".join(getattr(conflict, "found_any", None) or ())
    if found:
        wanted = getattr(conflict, "required", None) or " or ".join(map(str, getattr(conflict, "required_any", None) or ()))
        # Without the name of the extra that it is a part of.
        wanted = str(wanted).partition(";")[0]
        note("the instrumentation %s is not loaded: it is for %s, and %s is installed" % (point.name, wanted, found))
    return True
