"""The report of an incident, without Grafana: what Prometheus and the receiver tell of a model in a span of time."""
