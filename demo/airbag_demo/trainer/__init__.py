"""Trains the demo's digit classifier with TensorFlow and writes good and bad releases of it as SavedModels."""
