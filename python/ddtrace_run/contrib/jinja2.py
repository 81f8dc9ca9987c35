"""Jinja2: each template that is rendered for something else is a span below that."""

from ddtrace_run._native import Wrapped
from ddtrace_run.integrations import integration


def imported(module):
    """`jinja2.environment` has been imported."""
    jinja2 = integration("jinja2")

    def begin(template, *_, **__):
        return jinja2.renders(str(template.name or "<memory>"))

    module.Template.render = Wrapped("jinja2", module.Template.render, begin)
