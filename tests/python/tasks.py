"""Celery with a broker of files: `python tasks.py` sends tasks, which a worker does."""

import os

from celery import Celery
from ddtrace import tracer

broker = os.environ["BROKER"]
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": broker,
    "data_folder_out": broker,
    "control_folder": os.path.join(broker, "control"),
}


@app.task
def work(number):
    with tracer.trace("task", resource=str(number)):
        pass


if __name__ == "__main__":
    for number in range(10):
        work.delay(number)
