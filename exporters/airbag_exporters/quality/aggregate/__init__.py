"""Adds up the counters of all replicas and computes in numpy what the recording rules record, under the same names."""
