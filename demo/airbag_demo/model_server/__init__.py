"""The local model server: stands in for `tensorflow_model_server` where that cannot run.

It loads real SavedModels and speaks the real server's gRPC and REST, with its version manager, its reload rules and
its metrics page, traps included. Only `saved_model`, `predict`, `warmup` and the two front ends import tensorflow.
"""
