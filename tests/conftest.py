"""The servers, for every test."""

pytest_plugins = ["tests.servers.fixtures"]
