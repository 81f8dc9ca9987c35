"""urllib3: each request that goes out is a span, unless the library that asks for it has one."""

import functools

from ddtrace_run._native import guarded
from ddtrace_run.integrations import integration


def imported(module):
    """`urllib3.connectionpool` has been imported."""
    urllib3 = integration("urllib3")
    pool = module.HTTPConnectionPool
    urlopen = pool.urlopen

    @functools.wraps(urlopen)
    def traced(self, method, url, body=None, headers=None, *args, **kwargs):
        # The program's own are not changed. Some kinds have a name several times.
        sent = self.headers if headers is None else headers
        sent = sent.copy() if hasattr(sent, "copy") else dict(sent)
        call = guarded("urllib3", urllib3.asks, method, _address(self, url), sent)
        if call is None:
            return urlopen(self, method, url, body, headers, *args, **kwargs)
        try:
            response = urlopen(self, method, url, body, sent, *args, **kwargs)
            guarded("urllib3", call.answered, response.status, response.headers)
            return response
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.end()

    pool.urlopen = traced


def _address(pool, url):
    if not url.startswith("/"):
        return url
    host = f"[{pool.host}]" if ":" in pool.host else pool.host
    usual = {"http": 80, "https": 443}.get(pool.scheme)
    return f"{pool.scheme}://{host}{url}" if pool.port in (None, usual) else f"{pool.scheme}://{host}:{pool.port}{url}"
