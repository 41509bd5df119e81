"""The fast lane: what certainly failed goes straight to Alertmanager, some seconds ahead of Prometheus' rules."""
