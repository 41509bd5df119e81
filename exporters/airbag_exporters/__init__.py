"""TF Serving and model quality turned into Prometheus metrics."""
