"""A program that only passes contexts on, and asks for no tracer. It fails by an assertion."""

from opentelemetry import propagate

came = {"x-datadog-trace-id": "1234", "x-datadog-parent-id": "56", "x-datadog-sampling-priority": "2"}
for _ in range(2):
    sent = {}
    propagate.inject(sent, propagate.extract(came))
    assert {name: sent.get(name) for name in came} == came, sent
print("passed on")
