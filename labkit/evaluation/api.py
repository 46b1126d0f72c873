"""Text from a model behind an API: any server that speaks OpenAI's chat completions.

    api = configured(cache_dir() / "api")  # None: not configured
    print(api.estimate(prompts))  # before any money is spent
    replies = api.complete_all(prompts)

The environment says which: `LABKIT_API_URL` (the base, such as https://api.example.com/v1), `LABKIT_API_MODEL`,
`LABKIT_API_KEY` (servers on your own machine may need none), and, for costs, `LABKIT_API_PRICE_IN` and
`LABKIT_API_PRICE_OUT` (money per million tokens). The key is read when a request is sent and kept nowhere: no object,
file or message holds it.

A table of many prompts must survive what networks do. What may pass (429, 5xx, timeouts, lost connections) is tried
again, later each time; what remains is a `Reply` with an `error`, never an exception. Every good reply is a file in
the cache, so a second run costs nothing, and an interrupted one loses nothing. The cost: a reply is the one of the
day it was asked, until its file is deleted. Even at temperature 0 most services don't promise the same text twice.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import threading
import time
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tqdm import tqdm  # not tqdm.auto, which scolds notebooks that have no ipywidgets

from labkit.evaluation.request import LONGEST_WAIT, Failed, api_key, post, shown
from labkit.files import write_json_atomic
from labkit.profile import LabError

ATTEMPTS = 5
FIRST_DELAY = 1.0  # seconds before the second attempt; doubled for each further one, and jittered
TIMEOUT = 60.0  # seconds a request may take, from connection to last byte
THREADS = 4
CHARACTERS_A_TOKEN = 4  # a rule of thumb for English


@dataclass(frozen=True)
class Reply:
    """What came back for one prompt; where `error` is not "", it says why there is no `text`.

    `seconds` are those of the request that succeeded, without the ones before it; a cached reply keeps its own. Token
    counts are the server's, None where it sent none. `cut_short`: the text ended because `max_tokens` were reached.
    """

    text: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    cut_short: bool = False
    cached: bool = False
    error: str = ""


class Estimate(NamedTuple):
    """What asking will take: the prompts that are `new` (not cached) and their tokens, roughly, by characters.

    `completion_tokens` and with them `cost` are upper bounds; `cost` is None without prices.
    """

    new: int
    cached: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


@dataclass(frozen=True)
class ApiModel:
    """A model at `url`, its replies kept in the folder `cache`; `prices`: money per million tokens in and out."""

    url: str
    model: str
    cache: Path
    prices: tuple[float, float] | None = None
    max_tokens: int = 512

    def complete(self, prompt: str) -> Reply:
        """The reply to one prompt, from the cache if it is there. Takes `ATTEMPTS` requests at most."""
        return self._complete(prompt, math.inf, _Halt())

    def complete_all(self, prompts: Sequence[str], limit_seconds: float = 600) -> list[Reply]:
        """A reply for every prompt, in their order, whatever happens; equal prompts are asked once.

        After `limit_seconds`, or when the server refuses the key or can't be reached, the rest is not asked. An
        interrupt stops the asking; requests under way end by themselves, and their replies are cached like all others.
        """
        halt, deadline = _Halt(), time.monotonic() + limit_seconds
        pool = ThreadPoolExecutor(THREADS)
        try:
            futures = {p: pool.submit(self._complete, p, deadline, halt) for p in dict.fromkeys(prompts)}
            with tqdm(total=len(futures), desc=f"asking {self.model}", unit="prompt", leave=False) as bar:
                # Requests end by themselves, save those to a server that sends its headers byte by byte.
                with suppress(TimeoutError):
                    for _ in as_completed(futures.values(), timeout=limit_seconds + TIMEOUT):
                        bar.update()
            late = Reply("", error="no answer in time")
            return [futures[prompt].result() if futures[prompt].done() else late for prompt in prompts]
        finally:
            halt.because("interrupted")
            pool.shutdown(wait=False, cancel_futures=True)

    def estimate(self, prompts: Sequence[str]) -> Estimate:
        """What `complete_all(prompts)` would take, without a request."""
        distinct = set(prompts)
        new = [prompt for prompt in distinct if self._load(self._file(prompt)) is None]
        tokens_in = sum(len(prompt) for prompt in new) // CHARACTERS_A_TOKEN
        tokens_out = self.max_tokens * len(new)
        return Estimate(len(new), len(distinct) - len(new), tokens_in, tokens_out, self._price(tokens_in, tokens_out))

    def cost(self, replies: Iterable[Reply]) -> float | None:
        """What the replies cost when they were made; None without prices or if the server didn't count tokens.

        For this run alone, give only those that are not `cached`.
        """
        good = [reply for reply in replies if not reply.error]
        if any(reply.prompt_tokens is None or reply.completion_tokens is None for reply in good):
            return None
        return self._price(sum(r.prompt_tokens or 0 for r in good), sum(r.completion_tokens or 0 for r in good))

    def _price(self, tokens_in: int, tokens_out: int) -> float | None:
        return None if self.prices is None else (tokens_in * self.prices[0] + tokens_out * self.prices[1]) / 1e6

    def _complete(self, prompt: str, deadline: float, halt: _Halt) -> Reply:
        """As `complete`, but no later than `deadline` (monotonic seconds), and not once `halt` is set."""
        if known := self._load(self._file(prompt)):
            return known
        why, attempt = "", 0
        while not halt.is_set() and (left := deadline - time.monotonic()) > 0:
            try:
                reply = self._ask(prompt, min(TIMEOUT, left))
            except Failed as failure:
                why, pause = str(failure), max(failure.wait, _delay(attempt))
                attempt += 1
                if not failure.again or attempt == ATTEMPTS or pause > min(left, LONGEST_WAIT):
                    if failure.for_all:
                        halt.because(why)
                    break
                halt.wait(pause)
            else:
                self._keep(self._file(prompt), reply)
                return reply
        return Reply("", error=why or f"not asked: {halt.reason or 'the time limit was reached'}")

    def _payload(self, prompt: str) -> bytes:
        messages = [{"role": "user", "content": prompt}]
        asked = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": self.max_tokens}
        return json.dumps(asked).encode()

    def _file(self, prompt: str) -> Path:
        return self.cache / f"{hashlib.sha256(self.url.encode() + b' ' + self._payload(prompt)).hexdigest()}.json"

    def _load(self, path: Path) -> Reply | None:
        """The reply in a cache file; None if there is no file or no whole reply in it."""
        try:
            reply = Reply(**json.loads(path.read_text(encoding="utf-8")), cached=True)
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return reply if isinstance(reply.text, str) and reply.text else None

    def _keep(self, path: Path, reply: Reply) -> None:
        names = ("text", "prompt_tokens", "completion_tokens", "seconds", "cut_short")
        try:
            write_json_atomic(path, {name: getattr(reply, name) for name in names})
        except OSError as error:  # the reply is there and paid for: the table may have it
            warnings.warn(f"a reply could not be cached and will be paid for again ({error})", stacklevel=2)

    def _ask(self, prompt: str, timeout: float) -> Reply:
        """One request. Raises `Failed`."""
        begun = time.monotonic()
        raw = post(f"{self.url}/chat/completions", self._payload(prompt), timeout)
        seconds = round(time.monotonic() - begun, 3)
        try:
            answer = json.loads(raw)
            choice = answer["choices"][0]
            # A lone surrogate is legal in JSON, and in no file.
            text = (choice["message"]["content"] or "").strip().encode("utf-8", "replace").decode()
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            raise Failed(f"the answer is no chat completion ({shown(raw)}): check LABKIT_API_URL") from None
        ending = choice.get("finish_reason")
        if not text:
            raise Failed(f"the reply is empty (it ended by {str(ending)[:40]!r}): for 'length', raise max_tokens")
        usage = answer.get("usage")
        tokens = (_count(usage, name) for name in ("prompt_tokens", "completion_tokens"))
        return Reply(text, *tokens, seconds=seconds, cut_short=ending == "length")


def configured(cache: Path) -> ApiModel | None:
    """The model that the environment names, its replies kept in the folder `cache`; None if it names none.

    Raises `LabError` for half a configuration, and for values that can't be right.
    """
    url, model = (os.environ.get(f"LABKIT_API_{name}", "").strip() for name in ("URL", "MODEL"))
    key = api_key()
    if not (url or model or key):
        return None
    if not url or not model:
        missing = "LABKIT_API_MODEL" if url else "LABKIT_API_URL"
        raise LabError(f"{missing} is not set, other LABKIT_API_… variables are: set it, or none of them")
    if not _is_plain(url):
        raise LabError("LABKIT_API_URL is no plain address: give one such as https://api.example.com/v1")
    return ApiModel(url.rstrip("/"), model, Path(cache), _prices())


def _is_plain(url: str) -> bool:
    """Whether it is an address of the web with nothing in it but host, port and path."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # which raises if it is no number
    except ValueError:
        return False
    more = "@" in parts.netloc or parts.query or parts.fragment
    return parts.scheme in ("http", "https") and bool(host) and not more


def _prices() -> tuple[float, float] | None:
    said = [os.environ.get(f"LABKIT_API_PRICE_{side}", "").strip() for side in ("IN", "OUT")]
    if said == ["", ""]:
        return None
    try:
        prices = float(said[0]), float(said[1])
    except ValueError:
        prices = math.nan, math.nan
    if not all(0 <= price < math.inf for price in prices):
        raise LabError(
            "LABKIT_API_PRICE_IN and _OUT must both be numbers, money per million tokens: 0.27 and 1.10, say"
        )
    return prices


class _Halt(threading.Event):
    """Set once nothing more is to be asked."""

    reason = ""

    def because(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.set()


def _delay(attempt: int) -> float:
    """Seconds to wait after a failed `attempt`; jittered, lest all threads come back at once."""
    # An own generator: this must not draw from the one that notebooks seed.
    return FIRST_DELAY * 2**attempt * random.SystemRandom().uniform(0.5, 1.5)


def _count(counts: Any, name: str) -> int | None:
    """A token count, if it is one."""
    value = counts.get(name) if isinstance(counts, dict) else None
    return value if type(value) is int and value >= 0 else None
