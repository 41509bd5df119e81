"""The only code that talks to TensorFlow Serving: `reader` looks, `control` touches, `model_config` keeps its file."""
