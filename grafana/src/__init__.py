"""The dashboards, one module each; `python -m grafana.src.build` writes them as JSON."""
