"""Hide credentials in whatever reaches a message, a repr, a warning or a trace. Pure text in, text out.

Where a credential can't be told from something harmless, it is hidden: `http://host:80/a@b` may hold a password.
"""

from __future__ import annotations

import re

__all__ = ["redacted", "redacted_netloc", "shown"]

# Without one of these there is nothing to hide.
_SUSPECT = re.compile(r"[@?#=:]")
# `//user:password@`. A password that is not percent-encoded may have any of "/?#@", so up to the last "@" of the text.
_PASSWORD = re.compile(r"(?s)(?<=//)[^/?#]*:.*@")
# `//token@`; in the URLs of Azure's file systems it is a container that stands there.
_USER = re.compile(r"(?i)(?<!abfs://)(?<!abfss://)(?<!wasb://)(?<!wasbs://)(?<=//)[^/?#]*@")
# `user:password@`, where the scheme, and maybe the slashes, were forgotten.
_BARE = re.compile(r"(?s)(?<![\w/.+*-])[\w.+-]*:(?!//|\s).*@")
# What a URL's host and port are taken to be if its password has a slash. An IPv6 address is in brackets.
_NO_PORT = re.compile(r"[^\[@]*:(?!\d*$)[^@]*$")
# What ends a URL in running text. Stores percent-encode these in queries.
_END = r"\s\"'`<>"
# Any query of a web address. Elsewhere "?" and "#" may be part of a key: there, what looks like a query.
_WEB_QUERY = re.compile(rf"(?i)((?:https?:|(?<!:))//[^\s?]*)\?[^{_END}]+")
_QUERY = re.compile(rf"([?#])[^{_END}]*=[^{_END}]*")
# `token=SECRET`, `'Authorization': 'Bearer SECRET'`, in the repr of a user's own store or options.
_NAMED = re.compile(
    r"""(?ix) (?<![\w-])
    ([\w-]*(?:passw|pwd|secret|token|signature|credential|auth\b|authorization|cookie|sas\b|api_?key|access_?key|[_-]key)[\w-]*
     ["']? \s*[=:]\s*)
    (?: b?"(?:\\.|[^"\\])*" | b?'(?:\\.|[^'\\])*' | (?:(?:bearer|basic)\s+)?[^\s&,;)\]}"']+ )"""
)
# Only the beginning of a longer repr is shown; and of one that is much longer, only the type.
_LONG, _TOO_LONG = 300, 10_000


def redacted(text: str) -> str:
    """Return a text without the passwords, signatures and tokens in its URLs and settings."""
    if _SUSPECT.search(text) is None:
        return text
    before, at, rest = text.rpartition("@")
    if at:
        before += at
        for pattern in (_PASSWORD, _USER, _BARE):
            before = pattern.sub("***@", before)
    text = _WEB_QUERY.sub(r"\1?...", before + rest)
    return _NAMED.sub(r"\1***", _QUERY.sub(r"\1...", text))


def redacted_netloc(scheme: str, netloc: str) -> str:
    """Return a URL's host and port, or bucket, without credentials."""
    if _NO_PORT.match(netloc):
        return "***"
    return redacted(f"{scheme}://{netloc}").partition("://")[2]


def shown(value: object) -> str:
    """Return the repr of a value for a message: redacted, in one line, and not too long."""
    text = repr(value)
    if len(text) > _TOO_LONG:
        return f"<{type(value).__name__}>"
    text = " ".join(redacted(text).split())
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."
