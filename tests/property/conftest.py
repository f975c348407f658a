"""Settings of the property tests."""

from hypothesis import settings

# Timing belongs in benchmarks: a slow machine must not fail a test.
settings.register_profile("obspec-utils", deadline=None)
settings.load_profile("obspec-utils")
