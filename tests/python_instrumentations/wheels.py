"""Makes wheels with nothing in them: `wheels.py DIRECTORY NAME==RELEASE...`, so that pip has something to install."""

import sys
import zipfile

directory, *requirements = sys.argv[1:]
for requirement in requirements:
    name, _, release = requirement.partition("==")
    project = "%s-%s" % (name.replace("-", "_"), release)
    info = project + ".dist-info/"
    with zipfile.ZipFile("%s/%s-py3-none-any.whl" % (directory, project), "w") as wheel:
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, release))
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
