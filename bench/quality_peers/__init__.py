"""The drift of the same rows, computed by the tools that people use today, each in an environment of its own."""

from bench.quality_peers.peers import drift_by_peers

__all__ = ["drift_by_peers"]
