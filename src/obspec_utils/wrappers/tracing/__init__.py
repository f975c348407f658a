"""The store that records requests."""
