from ddtrace import config, tracer

with tracer.trace("before"):
    pass
config.service = "till"
config.env = "stage"
config.version = "7"
with tracer.trace("root") as root:
    with tracer.trace("child"):
        pass
    with tracer.trace("other", service="db"):
        pass
with tracer.trace("named", service="till"):
    pass
print(root.service, config.service, tracer.get_log_correlation_context()["dd.env"])
