"""Celery with a broker of files, or the one at a URL: `python tasks.py` sends tasks, which a worker does."""

import os

from celery import Celery

broker = os.environ["BROKER"]
app = Celery("tasks", broker=broker if "://" in broker else "filesystem://")
if "://" not in broker:
    app.conf.broker_transport_options = {
        "data_folder_in": broker,
        "data_folder_out": broker,
        "control_folder": os.path.join(broker, "control"),
    }


@app.task
def work(number):
    return number


@app.task
def fails():
    raise ValueError("on purpose")


if __name__ == "__main__":
    work.delay(1)
    fails.delay()
