"""`Pin`: what a program says of one object, such as a connection. It is kept there, and read by whoever traces the object."""

_NAME = "_datadog_pin"


class Pin:
    """A service and tags for what is done with an object. It cannot be changed, but copied with changes."""

    __slots__ = ("_config", "_initialized", "_target", "tags")

    def __init__(self, service=None, tags=None, _config=None):
        self.tags = tags or {}
        self._target = None
        self._config = {**(_config or {}), "service_name": service}
        self._initialized = True

    def __setattr__(self, name, value):
        if getattr(self, "_initialized", False) and name != "_target":
            raise AttributeError("a pin cannot be changed: use override() or clone()")
        super().__setattr__(name, value)

    def __repr__(self):
        return f"Pin(service={self.service}, tags={self.tags})"

    @property
    def service(self):
        """The service."""
        return self._config["service_name"]

    @staticmethod
    def get_from(obj):
        """The pin of an object, or None. That of a class is copied, so that each instance has its own."""
        if hasattr(obj, "__getddpin__"):
            return obj.__getddpin__()
        pin = getattr(obj, _NAME, None)
        if pin is not None and pin._target != id(obj):
            pin = pin.clone()
            pin.onto(obj)
        return pin

    @staticmethod
    def _find(*objs):
        return next((pin for pin in map(Pin.get_from, objs) if pin), None)

    @classmethod
    def override(cls, obj, service=None, tags=None):
        """Gives an object a pin with these, and what else its present one says."""
        if not obj:
            return
        pin = cls.get_from(obj)
        pin = Pin(service, tags) if pin is None else pin.clone(service, tags)
        pin.onto(obj)

    def enabled(self):
        """Whether spans are recorded."""
        from ddtrace.trace import tracer

        return tracer.enabled

    def onto(self, obj, send=True):
        """Gives it to an object, where that can have one."""
        try:
            if hasattr(obj, "__setddpin__"):
                return obj.__setddpin__(self)
            self._target = id(obj)
            return setattr(obj, _NAME, self)
        except AttributeError:
            return None

    def remove_from(self, obj):
        """Takes it away from an object."""
        try:
            if Pin.get_from(obj) is not None:
                delattr(obj, _NAME)
        except AttributeError:
            pass

    def clone(self, service=None, tags=None):
        """Another one, with what is given."""
        return Pin(service or self.service, tags or dict(self.tags), dict(self._config))
