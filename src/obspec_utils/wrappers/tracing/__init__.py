"""A store that records requests."""
