"""Records of loguru that say of which span they are, in their `extra`."""

from ddtrace_run.contrib.logging import fields, is_wanted


def imported(loguru):
    """`loguru` has been imported."""
    if not is_wanted("loguru"):
        return
    core = type(loguru.logger._core)

    # The program may set a patcher of its own, at any time: it is called with what ours has added.
    def get(self):
        own = self.__dict__.get("patcher")

        def patch(record):
            for name, value in fields().items():
                record["extra"].setdefault(name, value)
            if own is not None:
                own(record)

        return patch

    def set(self, patcher):
        self.__dict__["patcher"] = patcher

    core.patcher = property(get, set)
