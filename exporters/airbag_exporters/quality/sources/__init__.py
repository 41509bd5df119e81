"""What is not posted but fetched: lines of files that grow, and entries of Redis Streams."""

from airbag_exporters.quality.sources.run import Sources
from airbag_exporters.quality.sources.taker import OnThread, Taker

__all__ = ["OnThread", "Sources", "Taker"]
