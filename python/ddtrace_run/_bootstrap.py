"""`ddtrace-run bootstrap`, run by the Python that it is about: finds the instrumentations of OpenTelemetry that fit the
libraries which are installed, and prints or installs them."""

import os
import shutil
import subprocess
import sys

# The directory of this file is none for imports.
del sys.path[0]

#: The releases that are named where nothing that is installed says which ones fit.
_RELEASE, _API_RELEASE = "0.66b1", "1.45.1"

#: What is for every program.
_ALWAYS = "asyncio dbapi exceptions logging sqlite3 threading urllib wsgi".split()

#: Libraries, the releases of them that are meant, and what the instrumentation is called where it is not so, too.
_LIBRARIES = """
aio_pika        >=7.2,<11        aio-pika
aiobotocore     >=2,<4           botocore
aiohttp         >=3,<4           aiohttp-client
aiohttp         >=3,<4           aiohttp-server
aiokafka        >=0.8,<1
aiopg           >=0.13,<2
asgiref         >=3,<4           asgi
asyncclick      >=8,<9
asyncpg         >=0.12
boto3           >=1,<2           boto3sqs
botocore        >=1,<2
cassandra-driver >=3.25,<4       cassandra
celery          >=4,<6
click           >=8.1.3,<9
confluent-kafka >=1.8.2,<3
django          >=2
falcon          >=1.4.1,<5
fastapi         >=0.92,<1
flask           >=1
google-cloud-aiplatform >=1.64   vertexai
grpcio          >=1.42           grpc
httpx           >=0.18
httpx2          >=2              httpx
jinja2          >=2.7,<4
kafka-python    >=2,<4
mysql-connector-python >=8       mysql
mysqlclient     <3
openai          >=1.26           openai-v2
pika            >=0.12
psutil          >=5              system-metrics
psycopg         >=3.1
psycopg2        >=2.7.3.1
psycopg2-binary >=2.7.3.1        psycopg2
pymemcache      >=1.3.5,<5
pymongo         >=3.1,<5
pymssql         >=2.1.5,<3
pymysql         <2
pyramid         >=1.7
redis           >=2.6
remoulade       >=0.50
requests        >=2,<3
scylla-driver   >=3.25,<4        cassandra
sqlalchemy      >=1,<2.1
starlette       >=0.13
structlog       >=21.1
tornado         >=5.1.1
tortoise-orm    >=0.17           tortoiseorm
urllib3         >=1,<3
"""

#: They have releases of their own.
_RELEASED_APART = {"openai-v2": "", "vertexai": ">=2.0b0"}


def _say(text):
    _write(sys.stderr, "ddtrace-run: %s" % text)


def _print(text):
    _write(sys.stdout, text)


def _write(stream, text):
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        # Nobody reads any more, as behind `head`. What is to be done is done all the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _installed(name):
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(release):
    """The numbers that a release begins with: what it is compared by."""
    numbers = []
    for part in release.split("."):
        digits = len(part) - len(part.lstrip("0123456789"))
        numbers.append(int(part[:digits] or 0))
        if digits < len(part):
            break
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def _is_within(release, wanted):
    for condition in wanted.split(","):
        if condition.startswith(">="):
            if _numbers(release) < _numbers(condition[2:]):
                return False
        elif not _numbers(release) < _numbers(condition[1:]):
            return False
    return True


def _release():
    """What is put behind the names of packages: the releases of the API and of the instrumentations are made together."""
    instrumentation, api = _installed("opentelemetry-instrumentation"), _installed("opentelemetry-api")
    if instrumentation is not None:
        return "==" + instrumentation
    if api is not None:
        major, minor, patch = (_numbers(api) + [0, 0, 0])[:3]
        # Since 1.12 and 0.33.
        return "==0.%db%d" % (minor + 21, patch) if major == 1 and minor >= 12 else ""
    # It is not for Pythons that are older.
    return "==" + _RELEASE if sys.version_info >= (3, 10) else ""


def _fitting():
    """The packages, each with the libraries that it is for."""
    release = _release()
    packages = {}

    def add(kind, library):
        requirement = "opentelemetry-instrumentation-" + kind + _RELEASED_APART.get(kind, release)
        packages.setdefault(requirement, []).append(library)

    for line in _LIBRARIES.strip().split("\n"):
        library, wanted, *kind = line.split()
        found = _installed(library)
        kind = kind[0] if kind else library
        if found is None:
            continue
        if _is_within(found, wanted):
            add(kind, "%s %s" % (library, found))
        else:
            _say("left out: opentelemetry-instrumentation-%s is for %s%s, and %s is installed" % (kind, library, wanted, found))
    for kind in _ALWAYS:
        add(kind, "every program")
    return packages


def _installer():
    """What installs packages into this environment, if anything does."""
    from importlib.util import find_spec

    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Which one has started this, `uv run` says.
    uv = shutil.which("uv") or shutil.which(os.environ.get("UV", ""))
    return None if uv is None else [uv, "pip", "install", "--quiet", "--python", sys.executable]


def _install(packages, is_dry):
    missing = [each for each in packages if not _is_there(each)]
    for requirement, libraries in packages.items():
        state = "installed already" if requirement not in missing else "to be installed" if is_dry else ""
        if state:
            _print("%s: %s, for %s" % (requirement, state, ", ".join(libraries)))
    if is_dry or not missing:
        return 0
    installer = _installer()
    if installer is None:
        _say("this environment has no pip, and there is no uv in PATH: nothing is installed. Either of these puts that right:")
        _say("  %s -m ensurepip" % sys.executable)
        _say("  uv pip install --python %s %s" % (sys.executable, " ".join(missing)))
        return 1
    # What pip has to say is not what was done.
    if subprocess.call(installer + missing, stdout=sys.stderr) != 0:
        _say("not all of them can be installed together: each is tried by itself")
        for requirement in missing:
            subprocess.call(installer + [requirement], stdout=sys.stderr)
    failed = [each for each in missing if not _is_there(each)]
    for requirement in missing:
        state = "FAILED" if requirement in failed else "installed"
        _print("%s: %s, for %s" % (requirement, state, ", ".join(packages[requirement])))
    if failed:
        _advise(failed, len(missing), installer)
    return 1 if failed else 0


def _advise(failed, of, installer):
    """What the user can do: a release comes to an index package by package, and some have one that others do not have."""
    _say("%d of %d could not be installed: %s" % (len(failed), of, " ".join(failed)))
    release = _release()[2:]
    if release in ("", _RELEASE):
        return
    why = "What stands above says why. Where the index has them in no release %s, try again later, or take all of them in one"
    _say(why % release)
    _say("that it has, such as %s, with which ddtrace-run has been tried:" % _RELEASE)
    base = ["opentelemetry-api", "opentelemetry-sdk"]
    base = ["%s==%s" % (each, _API_RELEASE) for each in base if each == base[0] or _installed(each) is not None]
    command = [each for each in installer if not each.startswith(("--quiet", "--disable"))]
    _say("  %s" % " ".join(command + base + ["opentelemetry-instrumentation==" + _RELEASE]))
    _say("  ddtrace-run bootstrap -a install --python %s" % sys.executable)


def _is_there(requirement):
    from importlib import invalidate_caches

    invalidate_caches()
    name, _, release = requirement.partition("==")
    found = _installed(name.partition(">")[0])
    return found is not None and (not release or found == release)


def main(action, is_dry):
    """Does it, and gives the exit code."""
    packages = _fitting()
    _say(
        "%d packages for %s (Python %d.%d)%s"
        % (len(packages), sys.executable, *sys.version_info[:2], "; nothing is installed" if is_dry else "")
    )
    if action == "install":
        return _install(packages, is_dry)
    _print("\n".join(packages))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--dry-run" in sys.argv))
