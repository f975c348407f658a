"""The version of the installed library."""

from importlib.metadata import version

__all__ = ["VERSION"]

VERSION = version("obspec-utils")
