"""Names of tags, and sampling priorities."""

ENV_KEY = "env"
VERSION_KEY = "version"
SERVICE_KEY = "service.name"
SERVICE_VERSION_KEY = "service.version"
SPAN_KIND = "span.kind"

MANUAL_DROP_KEY = "manual.drop"
MANUAL_KEEP_KEY = "manual.keep"

ERROR_MSG = "error.message"
ERROR_TYPE = "error.type"
ERROR_STACK = "error.stack"

PID = "process_id"

#: The application wants the trace dropped.
USER_REJECT = -1
#: A sampler has dropped it.
AUTO_REJECT = 0
#: A sampler has kept it.
AUTO_KEEP = 1
#: The application wants the trace kept.
USER_KEEP = 2

_SPAN_MEASURED_KEY = "_dd.measured"
_ORIGIN_KEY = "_dd.origin"
_HOSTNAME_KEY = "_dd.hostname"
_SAMPLING_PRIORITY_KEY = "_sampling_priority_v1"
