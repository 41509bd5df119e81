"""The quality exporter: whether the answers were right, once their labels are known."""
