"""What the course takes from the Hugging Face Hub: one table of repositories, and one way to get a file of theirs.

    path = download("mrpc", "mrpc/test-00000-of-00001.parquet")

A file comes from the library's cache if it is there, offline too, and else over the network, from HF_ENDPOINT if that
is set. Whatever goes wrong is a `LabError` that says what to do; if no Hub answers it comes within three seconds, where
the libraries would try for half a minute. Nothing is ever loaded that runs code: no dataset script, no pickle but
through torch's `weights_only`, no `trust_remote_code`.
"""

from __future__ import annotations

import errno
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from queue import Empty, Queue

from labkit.profile import LabError, unknown
from labkit.secrets import said

PROBE_SECONDS = 2.5


@dataclass(frozen=True)
class Repository:
    """A repository at a commit; `kind` is "dataset" or "model", `licence` what its page or its authors say."""

    id: str
    revision: str
    licence: str
    kind: str = "dataset"

    def __str__(self) -> str:
        return f"{self.id} at {self.revision[:7]}"


# By the name of their folder in LABKIT_DATA, or in LABKIT_MODELS. Pinned, so that the same bytes come back in a year.
# The commits are taken from public references, not checked against the Hub itself: if it answers "revision not found",
# look up the current one and put it here.
REPOSITORIES = {
    "fineweb_edu": Repository(
        "HuggingFaceFW/fineweb-edu", "3c452cb1c31a957685cf2699bfd051afacd37422", "ODC-By 1.0"
    ),
    "pubmed": Repository(
        "ccdv/pubmed-summarization", "6b30a2cae59b11ed77cb19959bffccbbd18e1106", "none stated (from PubMed Central)"
    ),
    # A commit of the Hub's own conversion to Parquet, since the repository holds a script: in doubt take
    # "refs/convert/parquet".
    "scitldr": Repository("allenai/scitldr", "7caf0ec1eea7ba4510ec826242ba88e710f1380d", "Apache 2.0"),
    "bionlp2004": Repository(
        "tner/bionlp2004", "8d75081cb3dae70b3f59db7e8d851dbc42f9275d", "GENIA corpus licence; annotations CC BY 3.0"
    ),
    "financial_phrasebank": Repository(
        "takala/financial_phrasebank", "8d3fe0c36d5feec6b3cc5e455b0fcb4820fb9964", "CC BY-NC-SA 3.0: not for commerce"
    ),
    "mrpc": Repository("nyu-mll/glue", "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c", "Microsoft's, for research"),
    "hellaswag": Repository("Rowan/hellaswag", "218ec52e09a7e7462a5400043bb9a69a41d06b76", "MIT"),
    "novels": Repository(
        "manu/project_gutenberg", "164853d214065df26a630ee1ab91a0c39e461caf", "public domain in the USA, book by book"
    ),
    "csl": Repository("neuclir/csl", "20f8f70abf85c4c7854b8b78270f339c10af7d2f", "Apache 2.0"),
    "gpt2_bpe": Repository(
        "openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e", "MIT", kind="model"
    ),
    "neo": Repository("EleutherAI/gpt-neo-1.3B", "dbe59a7f4a88d01d1ba9798d78dbe3fe038792c8", "MIT", kind="model"),
    "qwen": Repository("Qwen/Qwen2.5-0.5B", "060db6499f32faf8b98477b0a26969ef7d8b9987", "Apache 2.0", kind="model"),
    "distilbart": Repository(
        "sshleifer/distilbart-cnn-6-6", "d2fde4ca965ba893255479612e4b801aa6500029", "Apache 2.0", kind="model"
    ),
}  # fmt: skip


def repository(name: str) -> Repository:
    """The repository of that folder. Raises `LabError` for an unknown name."""
    if name not in REPOSITORIES:
        raise unknown("dataset or model", name, REPOSITORIES)
    return REPOSITORIES[name]


def download(name: str, file: str) -> Path:
    """A file of the repository `name`, where the library keeps it. Raises `LabError` if it can't be had."""
    from huggingface_hub import hf_hub_download

    reach(name, file)
    from_ = repository(name)
    with hub_errors(f"giving {file} of {from_}"):
        return Path(hf_hub_download(from_.id, file, repo_type=from_.kind, revision=from_.revision))


def endpoint() -> str:
    """The Hub's address. Raises `LabError` if a name or password is in it: the libraries would log it."""
    from huggingface_hub import constants

    if "@" in constants.ENDPOINT:
        raise LabError("HF_ENDPOINT holds a name or a password: give a plain address, and set HF_TOKEN to a token")
    return constants.ENDPOINT


def reach(name: str, file: str) -> None:
    """Raise `LabError` at once if `file` is not in the library's cache and no Hub answers."""
    from huggingface_hub import try_to_load_from_cache

    endpoint()
    from_ = repository(name)
    cached = try_to_load_from_cache(from_.id, file, repo_type=from_.kind, revision=from_.revision)
    if not isinstance(cached, str):
        probe()


def probe() -> None:
    """Raise `LabError` if there is no Hub, within three seconds."""
    from huggingface_hub import constants

    remedy = "or take SOURCE=embedded, which needs no network"
    if constants.HF_HUB_OFFLINE:
        raise LabError(f"SOURCE=hub must download, but HF_HUB_OFFLINE is set: unset it, {remedy}")
    address = endpoint()
    answers: Queue[Exception | None] = Queue()
    threading.Thread(target=lambda: answers.put(_ask(address)), daemon=True).start()
    try:
        error = answers.get(timeout=PROBE_SECONDS)
    except Empty:  # a silent name server holds a process longer than any socket's time limit
        error = TimeoutError(f"no answer in {PROBE_SECONDS} seconds")
    if error:
        raise LabError(
            f"the Hugging Face Hub does not answer at {address} ({said(error)}): "
            f"check the network (HF_ENDPOINT, HTTPS_PROXY), {remedy}"
        )


def _ask(address: str) -> Exception | None:
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return None  # it answered, if with an error for this page
    except (OSError, ValueError, HTTPException) as error:
        return error
    return None


@contextmanager
def hub_errors(doing: str) -> Iterator[None]:
    """Make a `LabError` of whatever the Hub's libraries raise: their errors share no base class."""
    try:
        yield
    except LabError:
        raise
    except Exception as error:
        raise LabError(
            f"the Hugging Face Hub failed while {doing} ({said(error)}): {advice(error)}, or take SOURCE=embedded"
        ) from None  # a traceback would repeat what `said` leaves out


def advice(error: BaseException) -> str:
    """What to do about an error of the Hub's libraries, or of another one that it is the cause of."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    by_type = [
        (errors.GatedRepoError, "accept the licence on the repository's page, then set HF_TOKEN"),
        (errors.RevisionNotFoundError, "look up the current commit and put it into labkit/hub.py"),
        (errors.RemoteEntryNotFoundError, "look up where the file is now, at a newer commit, and change labkit/hub.py"),
        (errors.RepositoryNotFoundError, "is it renamed, or private? Then set HF_TOKEN"),
    ]
    by_status = {401: "set HF_TOKEN", 403: "set HF_TOKEN", 429: "wait some minutes, or set HF_TOKEN for a higher limit"}
    for type_, remedy in by_type:
        if isinstance(error, type_):
            return remedy
    if status in by_status:
        return by_status[status]
    if status and status >= 500:
        return "it is in trouble: run again later"
    if getattr(error, "errno", None) == errno.ENOSPC:
        return "free some space on the disk"
    if error.__cause__:
        return advice(error.__cause__)
    return "check the network and run again"
