"""The release of the API that is carried out here."""

#: Of the package `ddtrace` whose API this is.
__version__ = "4.16.0"
