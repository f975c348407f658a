"""Benchmarks: what reading costs with this library, its last release and the alternatives.

Run as `python -m benchmarks`, or `make bench`; docs/benchmarks tells how to read the results.
"""
