"""What is hidden of a text, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obspec_utils._redact import redacted, redacted_netloc, shown

HIDDEN = [
    ("https://user:SECRET@host/a.nc", "https://***@host/a.nc"),
    ("https://SECRET@host/a@b.nc", "https://***@host/a@b.nc"),
    ("https://user:pa/SECRET@host/a.nc", "https://***@host/a.nc"),
    ("https://user:pa@SECRET@host/a.nc", "https://***@host/a.nc"),
    ("https://user:pa?SECRET#@host/a.nc", "https://***@host/a.nc"),
    ("https://user:SECRET pa@host/a.nc", "https://***@host/a.nc"),
    ("//user:SECRET@host/a.nc", "//***@host/a.nc"),
    ("//SECRET@host/a.nc", "//***@host/a.nc"),
    ("user:SECRET@host/a.nc", "***@host/a.nc"),
    ("user:pa/SECRET ss@host/a.nc", "***@host/a.nc"),
    ("s3:/user:SECRET@host", "***@host"),
    ("redis://:SECRET@host:6379/0", "redis://***@host:6379/0"),
    ("abfss://container:SECRET@account/x", "abfss://***@account/x"),
    ("https://host/a.nc?X-Amz-Signature=SECRET&b=c", "https://host/a.nc?..."),
    ("https://host/a.nc?SECRET", "https://host/a.nc?..."),
    ("//host/a.nc?SECRET", "//host/a.nc?..."),
    ("host/a.nc?X-Amz-Signature=SECRET", "host/a.nc?..."),
    ("a.nc?sig=SECRET", "a.nc?..."),
    ("s3://bucket/a.nc?sig=SECRET", "s3://bucket/a.nc?..."),
    ("https://host/a#access_token=SECRET", "https://host/a#..."),
    ('HTTPStore("https://user:SECRET@host/p?sig=SECRET")', 'HTTPStore("https://***@host/p?...")'),
    ("A(HTTPStore(\"https://host/p?SECRET\"), 5, b='x')", "A(HTTPStore(\"https://host/p?...\"), 5, b='x')"),
    ("{'Authorization': 'Bearer SECRET', 'b': 1}", "{'Authorization': ***, 'b': 1}"),
    ("{'secret_access_key': b'SE\\'CRET SECRET'}", "{'secret_access_key': ***}"),
    ("Authorization: Bearer SECRET, other", "Authorization: ***, other"),
    ("S3(password=SECRET, b=1)", "S3(password=***, b=1)"),
    ("GET http://a:SECRET@host/x\nby me@here", "GET http://***@host/x\nby me@here"),
]
HARMLESS = [
    "a/b c.nc",
    "s3://bucket/2020-01-01T00:00@v2.nc",
    "s3://bucket/a?1#2.nc",
    "data/year=2020/[ab]?.nc",
    "abfss://container@account.dfs.core.windows.net/x@y",
    "http://127.0.0.1:8000/a b/c.nc",
    "http://[::1]:80/x",
    "redis://localhost:6379/0",
    "file:///tmp/a#1.nc",
    "ValueError: write to me@here",
    "http://host:80/x\nwrite to me@here",
    'S3Store(bucket="b", prefix="x")',
]


@pytest.mark.parametrize(("text", "told"), HIDDEN)
def test_credentials_are_hidden(text, told):
    assert "SECRET" not in told
    assert redacted(text) == told
    assert redacted(told) == told


@pytest.mark.parametrize("text", HARMLESS)
def test_what_holds_none_is_shown(text):
    assert redacted(text) == text


SCHEMES = st.sampled_from(["https://", "HTTP://", "s3://", "redis://", "abfss://", "//", ""])
NAMES = st.text(st.characters(exclude_characters="/?#:@\\ \n\t'\"`", categories=("L", "N")), min_size=1, max_size=5)
ANY = st.text(st.characters(exclude_characters="\n", codec="ascii"), max_size=8)


@given(SCHEMES, NAMES, ANY, ANY, st.sampled_from(["", "/a.nc", "/a.nc?sig=SECRET", "?sig=1&x=SECRET"]))
def test_no_password_is_shown_whatever_is_in_it(scheme, user, before, after, path):
    password = f"x{before}SECRET{after}"
    url = f"{scheme}{user}:{password}@host{path}"
    assert "SECRET" not in redacted(url)
    assert "SECRET" not in redacted(f"no store for {url}, see there")


@given(st.text(st.sampled_from("a:/?#@=&'\"` *.SECRETkeyusername-")))
def test_hiding_twice_is_hiding_once(text):
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize(
    ("netloc", "told"),
    [
        ("bucket", "bucket"),
        ("host:80", "host:80"),
        ("[::1]:80", "[::1]:80"),
        ("user:SECRET@host:80", "***@host:80"),
        ("user:half", "***"),  # of https://user:half/SECRET@host
        ("", ""),
    ],
)
def test_a_host_is_shown_without_credentials(netloc, told):
    assert redacted_netloc("https", netloc) == told


def test_a_container_is_shown():
    assert redacted_netloc("abfss", "container@account") == "container@account"


class Spelled:
    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


def test_a_value_is_shown_in_one_line_and_not_at_any_length():
    assert shown("https://a:SECRET@host") == "'https://***@host'"
    assert shown(Spelled("a\n   b\tc")) == "a b c"
    assert shown(Spelled("x" * 301)) == "x" * 300 + "..."
    assert shown(Spelled("x" * 20_000)) == "<Spelled>"


@pytest.mark.parametrize("text", ["a:", "//", "a-", "?a", "//a:", "//a?", "=#", "token", "/@:"])
@pytest.mark.timeout(20)
def test_no_text_takes_for_ever(text):
    assert len(redacted(text * (10_000 // len(text)) + "@")) <= 10_010
