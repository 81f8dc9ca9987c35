"""`ddtrace.config`: what the configuration says, and a place for what integrations are told."""

import os


class _Http:
    """What of requests becomes tags: taken, and not looked at."""

    trace_query_string = None

    def trace_headers(self, whitelist):
        """The headers that become tags: `DD_TRACE_HEADER_TAGS` says so here."""


class _Integration(dict):
    """Settings of one integration: `config.flask["service"]` and `config.flask.service` are the same."""

    def __init__(self, name):
        service = os.environ.get(f"DD_{name.upper()}_SERVICE")
        super().__init__(service=service, service_name=service)
        self.__dict__["http"] = _Http()

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def __setattr__(self, name, value):
        self[name] = value


def _tags():
    pairs = (pair.partition(":") for pair in os.environ.get("DD_TAGS", "").replace(",", " ").split())
    return {key: value for key, separator, value in pairs if separator}


class Config:
    """What the configuration says; `config.<integration>` holds what that integration is told. `service`, `env` and
    `version` can be set, and are then those of all spans that begin from then on."""

    def __init__(self):
        self.__dict__.update(
            service=os.environ.get("DD_SERVICE") or None,
            env=os.environ.get("DD_ENV") or None,
            version=os.environ.get("DD_VERSION") or None,
        )
        self.tags = _tags()
        self.service_mapping = {}

    def __setattr__(self, name, value):
        if name in ("service", "env", "version"):
            from ddtrace_run import _native

            _native.set_default(name, None if value is None else str(value))
        self.__dict__[name] = value

    def __getattr__(self, name):
        from ddtrace_run import integrations

        if not integrations.has_settings(name):
            raise AttributeError(f"there is no setting and no integration of the name {name}")
        integration = self.__dict__[name] = _Integration(name)
        return integration


config = Config()
