"""TensorFlow Serving's messages under our own package name, so that nobody has to import TensorFlow to speak to it."""
