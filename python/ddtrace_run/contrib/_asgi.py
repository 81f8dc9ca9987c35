"""Applications of ASGI."""

import functools

from ddtrace_run._native import Sending, arrives, call_of, guarded


def traced(integration, call, before=None, is_for=None):
    """`__call__` of a class of applications, whose requests are traced; `before` is called with the application first, and says
    nothing; `is_for` says whether it is one whose requests are traced here."""

    @functools.wraps(call)
    async def __call__(self, scope, receive, send):
        if before is not None:
            guarded(integration.name, before, self)
        is_ours = is_for is None or guarded(integration.name, is_for, self)
        request = guarded(integration.name, integration.serves, scope) if is_ours else None
        if request is None:
            around = call_of(scope)
            if around is not None:
                send = Sending(send, around, True)
            return await call(self, scope, receive, send)
        sending = Sending(send, request)
        try:
            result = await call(self, scope, receive, sending)
            sending.left()
            return result
        except BaseException as error:
            sending.left(error)
            raise
        finally:
            request.end()

    return __call__


class Application:
    """What a server has for an application, whatever that is. Its requests are traced, unless there is no integration: then others
    do that."""

    def __init__(self, integration, app):
        self.app = app
        self._call = type(self)._pass if integration is None else traced(integration, type(self)._pass)

    async def _pass(self, scope, receive, send):
        return await self.app(scope, receive, send)

    def __getattr__(self, name):
        return getattr(self.app, name)

    async def __call__(self, scope, receive, send):
        """What the application does with a request."""
        guarded("asgi", arrives, self)
        return await self._call(self, scope, receive, send)
