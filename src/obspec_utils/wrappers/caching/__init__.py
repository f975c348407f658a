"""A store that caches the objects read through it."""
