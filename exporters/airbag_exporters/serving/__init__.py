"""The serving exporter: what one or more TensorFlow Serving processes do, per model version."""
