"""Requests, responses, retries and concurrency shared by readers and wrappers."""
