"""What many tests share: one cache for the corpora they build, and a machine they can't overload."""

from __future__ import annotations

import os
import signal

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in a script's background, where Ctrl-C is ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)  # some tests press it
os.environ["OMP_NUM_THREADS"] = "1"  # tests compare numbers; the number of threads changes their last digits
for variable in ("LABKIT_SOURCE", "LABKIT_RESULTS"):
    os.environ.pop(variable, None)


@pytest.fixture(scope="session")
def corpus_cache(tmp_path_factory):
    """A cache of its own for the session, in the environment so that child processes use it too."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("LABKIT_CACHE")
    os.environ["LABKIT_CACHE"] = str(folder)
    yield folder
    if before is None:
        os.environ.pop("LABKIT_CACHE")
    else:
        os.environ["LABKIT_CACHE"] = before
