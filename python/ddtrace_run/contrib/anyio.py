"""anyio: what its threads run is below what is active where that was handed in, also for what connections tell."""

from ddtrace_run._native import Wrapped, carried


def imported(module):
    """`anyio._backends._asyncio` has been imported."""

    def change(*given, **named):
        # Of a method the class comes first.
        place = 0 if backend is None else 1
        return (*given[:place], carried(given[place]), *given[place + 1 :]), named

    # Before 4.0 there was no class.
    backend = getattr(module, "AsyncIOBackend", None)
    if backend is None:
        module.run_sync_in_worker_thread = Wrapped.changed("anyio", module.run_sync_in_worker_thread, change)
    else:
        run = vars(backend)["run_sync_in_worker_thread"].__func__
        backend.run_sync_in_worker_thread = classmethod(Wrapped.changed("anyio", run, change))
