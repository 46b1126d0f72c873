"""What no message may repeat: the keys and tokens of the environment, and a name or password within an address.

    raise LabError(f"{hide(address)} does not answer ({said(error)}): check the network")

Notebooks, logs and pages keep every error, and are handed on. The limit: what a cell of one's own prints is not seen.
"""

from __future__ import annotations

import os
import re

KEYS = ("LABKIT_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
LONGEST = 20_000  # characters
_TOKEN = re.compile(r"\bhf_\w{16,}")  # it may come from a file of the Hub's library
_USER = re.compile(r"(?<=//)[^\s/'\"]*@|(?<![^\s/'\"])[^\s/@:'\"]+:[^\s/'\"]*@")  # as in https://name:password@host
_QUERY = re.compile(r"(://[^\s?'\"]{1,2000})\?[^\s'\"]+")  # the links that the Hub sends us to are signed there


def hide(text: str) -> str:
    """`text` without them, and without an end that nobody reads: it may be a server's, and to search takes time.

    >>> hide("no answer from https://me:pw@host/file?signature=1")
    'no answer from https://host/file'
    """
    for name in KEYS:
        if value := os.environ.get(name, "").strip():
            text = text.replace(value, "[key]")
    return _QUERY.sub(r"\1", _USER.sub("", _TOKEN.sub("[key]", text[:LONGEST])))


def said(error: BaseException) -> str:
    """The kind of an error and what it says, in one line, without them."""
    kind = type(error).__name__
    if kind == "InvalidURL":  # of http.client or httpx, which quotes a piece of an address: half a password, maybe
        return f"{kind}: an address is malformed, maybe that of a proxy"
    return f"{kind}: {hide(' '.join(str(error).split()))}"
