"""From which line something is logged, and by which processors and patchers: of structlog and loguru, within a span."""

import sys

import structlog
from ddtrace import tracer
from loguru import logger


def within():
    structlog.configure(
        processors=[
            structlog.processors.CallsiteParameterAdder(),
            lambda _, __, event: print(event["func_name"], event["lineno"], event["module"], event["user"]) or event,
            structlog.processors.KeyValueRenderer(["event"], drop_missing=True),
        ]
    )
    structlog.get_logger().bind(user="me").warning("said")
    logger.remove()
    logger.add(sys.stdout, format="{function} {line} {extra[user]} {message}")
    logger.configure(patcher=lambda record: record["extra"].update(user="me"))
    logger.warning("said")
    logger.opt(depth=1).warning("said")


with tracer.trace("all"):
    within()
