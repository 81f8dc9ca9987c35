__version__ = "7"
