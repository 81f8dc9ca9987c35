"""What programs do with `logging` of their own. `dd` in the arguments: formats name the fields, and there is no span."""

import copy
import io
import logging
import logging.handlers
import pickle
import queue
import sys

print(logging.getLogger().handlers, logging.getLogRecordFactory(), logging.getLogger().level)


class Record(logging.LogRecord):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mine = "made"


logging.setLogRecordFactory(Record)
out = io.StringIO()
logger = logging.getLogger("shop")
handler = logging.StreamHandler(out)
logger.addHandler(handler)
handler.setFormatter(logging.Formatter("%(name)s %(lineno)d %(funcName)s %(mine)s %(message)s"))
logger.warning("one %s", "argument")
queued = queue.Queue()
logger.addHandler(logging.handlers.QueueHandler(queued))
logger.error("two", extra={"user": "me"})
record = pickle.loads(pickle.dumps(copy.copy(queued.get())))
print(record.msg, record.user, record.mine, type(record), vars(record).get("dd"))
try:
    logger.error("three", extra={"message": "not allowed"})
except KeyError as error:
    print(error)
try:
    1 / 0
except ZeroDivisionError:
    logger.exception("four")
logging.makeLogRecord({"msg": "by hand"})
if "dd" in sys.argv:
    for style, text in (("%", "%(dd.trace_id)s %(dd.span_id)s %(dd.service)s %(message)s"), ("{", "{dd.trace_id} {dd.env} {message}")):
        handler.setFormatter(logging.Formatter(text, style=style))
        logger.warning("five")
    logger.warning("six", extra={"dd.trace_id": "mine"})
print(out.getvalue())
