"""Errors as one line."""

from __future__ import annotations

import re
from typing import Any

from obspec.exceptions import BaseError as ObspecError
from obstore.exceptions import BaseError

from obspec_utils._redact import one_line

__all__ = ["FAILURE", "INTERRUPTED", "message_of"]

FAILURE, INTERRUPTED = 2, 130

# Whose messages are sentences. Others need the type's name.
_CLEAR = (OSError, ValueError, TypeError, ImportError, BaseError, ObspecError)
_MAX_LENGTH = 500
# Where obstore requests credentials that the environment does not have.
_METADATA_SERVICES = ("169.254.169.254", "metadata.google.internal")
_NO_CREDENTIALS = (
    "no credentials: set those of the store in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
    " read a public bucket with --config skip_signature=true"
)
# The end of obstore's message about a host that can't be reached, and why not, in its lines about the source.
_NOT_SENT = "error sending request"
_CAUSE = re.compile(r'(?:error|message): "?([^\n{]*[^\n{(",])')
# What a client says of an http:// endpoint that it must not use.
_REFUSED_HTTP = re.compile(r"http://.*builder error", re.DOTALL)


def message_of(error: BaseException) -> str | None:
    """Return an error as one line without credentials; None if it is none to tell, such as SystemExit."""
    usage: Any = getattr(error, "format_message", None)
    if usage is not None:  # of typer, or of click
        context: Any = getattr(error, "ctx", None)
        return f"{one_line(usage(), _MAX_LENGTH)}{f' (see {context.command_path} --help)' if context else ''}"
    # A panic of obstore, such as about a value that it does not understand, is a BaseException.
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        return None
    # obstore adds many lines about the source of an error.
    message, _, source = str(error).partition("\n\nDebug source")
    text = one_line(message, _MAX_LENGTH)
    if text.endswith(_NOT_SENT) and (causes := _CAUSE.findall(source)):
        text = f"{text}: {one_line(causes[-1])}. Check the URL and the network"
    if any(service in text for service in _METADATA_SERVICES):
        text = f"{_NO_CREDENTIALS} ({text})"
    if _REFUSED_HTTP.search(text):
        text = f"requests without TLS need --config allow_http=true ({text})"
    return text if isinstance(error, _CLEAR) and text else f"{type(error).__name__}: {text}"
