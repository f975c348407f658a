"""Benchmarks against the last release and the alternatives: `python -m benchmarks`, or `make bench`."""
