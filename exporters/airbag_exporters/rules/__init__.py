"""Writes Prometheus' rules: every quality number for every configured window, as PromQL over mergeable counters.

One family of numbers is one file here, and one line in `files.py`. Nothing here runs beside an exporter.
"""
