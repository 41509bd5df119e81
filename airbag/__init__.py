"""The kernel that exporters and rollback share: configuration, errors, clock, log, HTTP surface, TF Serving."""

__version__ = "0.1.0"
