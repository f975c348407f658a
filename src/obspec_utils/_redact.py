"""Hide credentials in messages, reprs, warnings and traces.

Anything that may be a credential is hidden: `http://host:80/a@b` may have a password.
"""

from __future__ import annotations

import re

__all__ = ["error_text", "one_line", "redact_error", "redacted", "redacted_netloc", "shown"]

# A text without any of these has no credentials.
_SUSPECT = re.compile(r"[@?#=:%]")
# `//user:password@`. A password that is not percent-encoded may have any of "/?#@ ", so match up to the last "@" of a
# line.
_PASSWORD = re.compile(r"(?<=//)[^/?#\n]*:.*@")
# `//token@`. URLs of Azure's file systems have a container in this place.
_USER = re.compile(r"(?i)(?<!abfs://)(?<!abfss://)(?<!wasb://)(?<!wasbs://)(?<=//)[^/?#\n]*@")
# `user:password@` without a scheme, and perhaps without slashes.
_BARE = re.compile(r"(?<![\w/.+*-])[\w.+-]*:(?!//|\s).*@")
# The parsed host and port of a URL whose password has a slash. An IPv6 address is in brackets.
_NO_PORT = re.compile(r"[^\[@]*:(?!\d*$)[^@]*$")
# These end a URL in running text. Stores percent-encode them in queries.
_END = r"\s\"'`<>"
# Any query of an http(s) URL. In other URLs "?" and "#" may be part of a key, so match only what looks like a query.
_WEB_QUERY = re.compile(rf"(?i)((?:https?:|(?<!:))//[^\s?]*)\?[^{_END}]+")
_QUERY = re.compile(rf"([?#])[^{_END}]*=[^{_END}]*")
# A query in a path, as obstore's errors show it.
_ENCODED_QUERY = re.compile(rf"(?i)(%3F|%23)[^{_END}]*(?:=|%3D)[^{_END}]*")
# `token=SECRET` or `'Authorization': 'Bearer SECRET'` in the repr of a user's own store or options.
_NAMED = re.compile(
    r"""(?ix) (?<![\w-])
    ([\w-]*(?:passw|pwd|secret|token|signature|credential|auth\b|authorization|cookie|sas\b|api_?key|access_?key|[_-]key)[\w-]*
     ["']? \s*[=:]\s*)
    (?: b?"(?:\\.|[^"\\])*" | b?'(?:\\.|[^'\\])*' | (?:(?:bearer|basic)\s+)?[^\s&,;)\]}"']+ )"""
)
# The patterns take time that grows with the square of the length. A cut at a space splits no URL.
_MAX_LENGTH = 4096
# A longer line is cut; for a much longer repr only the type is shown.
_LONG, _TOO_LONG = 300, 10_000


def redacted(text: str) -> str:
    """Return a text with the passwords, signatures and tokens in its URLs and settings hidden; a long one is cut."""
    if len(text) > _MAX_LENGTH:
        text = text[:_MAX_LENGTH].rpartition(" ")[0] + "..."
    if _SUSPECT.search(text) is None:
        return text
    before, at, rest = text.rpartition("@")
    if at:
        before += at
        for pattern in (_PASSWORD, _USER, _BARE):
            before = pattern.sub("***@", before)
    text = _WEB_QUERY.sub(r"\1?...", before + rest)
    text = _ENCODED_QUERY.sub(r"\1...", _QUERY.sub(r"\1...", text))
    return _NAMED.sub(r"\1***", text)


def one_line(text: str, max_length: int = _LONG) -> str:
    """Return a text on one line, credentials redacted, and cut if it is longer than `max_length` characters."""
    text = " ".join(redacted(text).split())
    return text if len(text) <= max_length else f"{text[:max_length]}..."


def error_text(error: BaseException) -> str:
    """Return an error's type and message, see `one_line`."""
    name, text = type(error).__name__, str(error).strip()
    return one_line(f"{name}: {text}" if text else name)


def redact_error(error: Exception) -> None:
    """Redact the text of an error of obstore, which shows signed URLs in full. Its type and traceback stay."""
    # obstore raises ValueError for paths that can't be.
    is_its_own = type(error).__module__.startswith("obstore") or type(error) in {FileNotFoundError, ValueError}
    if is_its_own and len(error.args) == 1 and isinstance(error.args[0], str):
        text = redacted(error.args[0])
        if text != error.args[0]:
            error.args = (text,)


def redacted_netloc(scheme: str, netloc: str) -> str:
    """Return a URL's host and port, or bucket, without credentials."""
    if _NO_PORT.match(netloc):
        return "***"
    return redacted(f"{scheme}://{netloc}").partition("://")[2]


def shown(value: object) -> str:
    """Return the repr of a value for a message: redacted, on one line, and cut if it is long."""
    text = repr(value)
    if len(text) > _TOO_LONG:
        return f"<{type(value).__name__}>"
    return one_line(text)
