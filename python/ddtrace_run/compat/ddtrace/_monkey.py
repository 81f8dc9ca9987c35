"""`patch` and `patch_all`: which integrations are on."""


class ModuleNotFoundException(Exception):
    """There is no integration of that name."""


def patch(raise_errors=True, **modules):
    """Switches integrations on or off by their names, such as `patch(flask=True)`."""
    from ddtrace_run import integrations

    unknown = [name for name in modules if not integrations.is_known(name)]
    refused = [name for name in unknown if modules[name]]
    if refused and raise_errors:
        raise ModuleNotFoundException(f"{refused[0]} does not have automatic instrumentation")
    integrations.switch({name: bool(wanted) for name, wanted in modules.items() if name not in unknown})


def patch_all(**modules):
    """Switches all integrations on, but for those that are said to be off."""
    patch(raise_errors=False, **modules)
