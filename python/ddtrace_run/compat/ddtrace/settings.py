"""`ddtrace.config`: what the configuration says, and a place for what integrations are told."""

import os


class _Integration(dict):
    """Settings of one integration: `config.flask["service"]` and `config.flask.service` are the same."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def __setattr__(self, name, value):
        self[name] = value


def _tags():
    pairs = (pair.partition(":") for pair in os.environ.get("DD_TAGS", "").replace(",", " ").split())
    return {key: value for key, separator, value in pairs if separator}


class Config:
    """What the configuration says; `config.<integration>` holds what that integration is told."""

    def __init__(self):
        self.service = os.environ.get("DD_SERVICE") or None
        self.env = os.environ.get("DD_ENV") or None
        self.version = os.environ.get("DD_VERSION") or None
        self.tags = _tags()
        self.service_mapping = {}

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        integration = self.__dict__[name] = _Integration()
        return integration


config = Config()
