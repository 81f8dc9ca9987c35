"""Pools of threads: what is active where work is handed in is so where it is done."""

import functools
import sys

from ddtrace_run import _finder


def imported(module):
    """`concurrent.futures.thread` has been imported: each piece of work takes along what is active.

    What is called, what it is called with and who calls it stay what they are, and so do the traces of what fails in it:
    `submit` is not touched, and what is put around the work leaves no frame.
    """
    item = module._WorkItem
    create = item.__init__

    @functools.wraps(create)
    def __init__(self, *args, **kwargs):
        create(self, *args, **kwargs)
        # Where the program has not used any API yet, nothing is active.
        native = sys.modules.get("ddtrace_run._native")
        if native is not None:
            native.hand_on(self)

    _finder.like_importlib(__init__)
    item.__init__ = __init__
