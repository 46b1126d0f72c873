"""One POST to a server that holds a key: an answer's bytes, or a failure that says whether to try again.

    raw = post(f"{url}/chat/completions", body, timeout=60)  # raises Failed

The key of `LABKIT_API_KEY` is read for each request and kept nowhere; it follows no redirect to another host, and is
taken out of whatever a server repeats in an error. The standard library's client is enough for that; the price is
that a deadline has to be watched here, since a socket's timeout starts anew with each byte.
"""

from __future__ import annotations

import os
import time
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from labkit.profile import LabError
from labkit.secrets import hide, said

LONGEST_WAIT = 60.0  # seconds; a server that asks for more is given up
MAX_BYTES = 10_000_000

LOCAL = ("localhost", "127.0.0.1", "::1")
REMEDIES = {
    401: "the key was refused: check LABKIT_API_KEY",
    402: "the account has no credit left: top it up",
    403: "the key may not use this model: check LABKIT_API_KEY and LABKIT_API_MODEL",
    404: "no such model or address: check LABKIT_API_MODEL, and LABKIT_API_URL, which mostly ends in /v1",
}


class Failed(Exception):
    """A request without a reply. `again`: worth another attempt, in `wait` seconds; `for_all`: so will others."""

    def __init__(self, message: str, again: bool = False, wait: float = 0.0, for_all: bool = False) -> None:
        super().__init__(message)
        self.again, self.wait, self.for_all = again, wait, for_all


class _NoRedirects(HTTPRedirectHandler):
    """Following one would carry the key to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def post(url: str, body: bytes, timeout: float) -> bytes:
    """The body of the answer. Raises `Failed`."""
    headers = {"Content-Type": "application/json", "User-Agent": "labkit"}  # some services turn Python's own away
    if key := api_key():
        headers["Authorization"] = f"Bearer {key}"
    deadline = time.monotonic() + timeout
    # None: the proxies of the environment, which know nothing of servers on this machine.
    proxies = ProxyHandler({} if urlsplit(url).hostname in LOCAL else None)
    try:
        with build_opener(proxies, _NoRedirects).open(Request(url, body, headers), timeout=timeout) as response:
            return _read(response, deadline)
    except HTTPError as error:
        with error:
            raise _refusal(error) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        late = isinstance(reason, TimeoutError)
        what = "no answer in time" if late else "no connection, or a lost one"
        # urllib wraps what fails before the request is out: nothing about the prompt can be the cause.
        unreachable = isinstance(error, URLError) and not late
        remedy = f"{what} ({said(reason)[:200]}): check LABKIT_API_URL and the network"
        raise Failed(remedy, True, for_all=unreachable) from None


def _read(response: HTTPResponse, deadline: float) -> bytes:
    """The whole body. A timeout of the socket starts anew with each byte; `deadline` does not."""
    parts: list[bytes] = []
    while part := response.read1(65_536):
        parts.append(part)
        if time.monotonic() > deadline:
            raise TimeoutError("the answer came too slowly")
        if sum(map(len, parts)) > MAX_BYTES:
            raise OSError(f"the answer is longer than {MAX_BYTES:,} bytes")
    if response.length:  # what the server announced and didn't send
        raise IncompleteRead(b"", response.length)
    return b"".join(parts)


def _refusal(error: HTTPError) -> Failed:
    """The failure that a status other than 200 stands for."""
    if 300 <= error.code < 400:
        return Failed(f"HTTP {error.code}: the address has moved: set LABKIT_API_URL to the new one", for_all=True)
    if error.code in REMEDIES:
        return Failed(f"HTTP {error.code}: {REMEDIES[error.code]}", for_all=True)
    if error.code in (408, 429) or error.code >= 500:
        wait = retry_after(error.headers)
        told = f", asks for {wait:.0f} s of patience" if wait > LONGEST_WAIT else ""
        return Failed(f"HTTP {error.code}: the server is busy or broken{told}: run again later", True, wait)
    try:
        body = error.read(10_000)
    except (OSError, HTTPException):
        body = b"no explanation"
    return Failed(f"HTTP {error.code}: {shown(body)}")


def retry_after(headers: Message) -> float:
    """The seconds a `Retry-After` header asks for, as a number or as a date; 0 without one that makes sense."""
    said = headers.get("Retry-After", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def api_key() -> str:
    """The key of `LABKIT_API_KEY`, "" without one. Raises `LabError` for characters that no key has."""
    key = os.environ.get("LABKIT_API_KEY", "").strip()
    # http.client would quote such a key in its error.
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise LabError("LABKIT_API_KEY has characters that no key has: copy it again")
    return key


def shown(raw: bytes) -> str:
    """The beginning of what a server said, for an error message: without the key, which some repeat."""
    return " ".join(hide(raw.decode("utf-8", "replace")).split())[:200] or "empty"
