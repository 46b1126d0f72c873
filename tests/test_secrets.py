"""What messages may not repeat: if it fails, a key or a password is published with the results."""

from __future__ import annotations

import time
from http.client import InvalidURL

import pytest

from labkit.secrets import hide, said

OPEN = "nothing to hide: a@b.c at 12:30, https://host/a@1:2?"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at https://me:pw@host:8080/a: refused", "at https://host:8080/a: refused"),
        ("at http://:pw@host", "at http://host"),
        ("at http://hf_x@host", "at http://host"),
        ("a password with an at: socks5://me:p@w@host", "a password with an at: socks5://host"),
        ("no scheme: 'me:pw@host:3128'", "no scheme: 'host:3128'"),
        ("one slash: http:/me:pw@host", "one slash: http:/host"),
        ("for url 'https://cdn.host/file?Signature=pw&b=1' (404)", "for url 'https://cdn.host/file' (404)"),
        ("Invalid token hf_" + "s" * 34, "Invalid token [key]"),
        ("sk-secret and t-secret", "[key] and [key]"),
        (OPEN, OPEN),
    ],
)
def test_what_is_secret_goes_and_the_rest_stays(monkeypatch, text, shown):
    monkeypatch.setenv("LABKIT_API_KEY", "sk-secret\n")
    monkeypatch.setenv("HF_TOKEN", "t-secret")
    assert hide(text) == shown


@pytest.mark.parametrize("text", ["[", "a", ":", "a:", "/", "://", "://a?", "hf_", "a b:"])
def test_a_long_answer_is_searched_in_no_time(text):
    """A server that answers nonsense would otherwise hold a table for minutes."""
    begun = time.monotonic()
    hide(text * 50_000)
    assert time.monotonic() - begun < 2


def test_an_error_is_told_in_one_line_without_pieces_of_an_address():
    """http.client takes what follows "me:" for a port, if the password has a slash in it, and quotes it."""
    assert said(OSError("Tunnel to\nhttp://me:pw@host failed")) == "OSError: Tunnel to http://host failed"
    assert "pw" not in said(InvalidURL("nonnumeric port: 'pw'"))
