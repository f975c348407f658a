"""The store that caches what is read through it."""
