"""The loader's rows are quoted as "starts in a millisecond, holds nothing": the benchmark must be able to say no."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import loader
from labkit.profile import ROOT
from labkit.tasks.shards import Shards

SIZE = 64_000_000  # bytes; glibc gives blocks above 32 MB back at once, smaller ones could be used again unseen

MEASURE = """
import json, pathlib, sys
from benchmarks import loader
print(json.dumps(loader.measure(pathlib.Path(sys.argv[1]), n_batches=5)))
"""


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return loader.write_shard(tmp_path, SIZE)


def test_the_shard_is_one_file_of_the_size_asked_for(shard):
    """A start-up time "on 1 GB" measured on less would be worthless."""
    assert shard.stat().st_size == SIZE and len(list(shard.parent.iterdir())) == 1
    tokens = Shards(shard.parent, "train").window(np.arange(0, SIZE // 2, SIZE // 20), SIZE // 20)
    assert (tokens != 0).mean() > 0.99  # no holes, which would cost nothing to read


def test_rows_tell_a_map_from_a_copy(shard):
    """The copy must show in the memory column, else the 0 of the map would prove nothing."""
    # A process of its own: this one may keep what other tests have freed, and a copy in it would add nothing.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    mapped, copied = json.loads(
        subprocess.check_output([sys.executable, "-c", MEASURE, shard], env=environment, cwd=ROOT)
    )
    assert list(mapped) == list(copied)
    assert 0 < mapped["opened, ms"] <= mapped["first batch, ms"] and mapped["tokens/s"] > 0
    if sys.platform == "linux":
        assert mapped["memory, MB"] < 10 < 60 < copied["memory, MB"]


def test_both_readers_give_batches_of_the_same_kind(shard):
    """Tokens a second count tokens of equal shape and type."""
    for reader in (loader.memory_map, loader.whole_file):
        x = reader(shard)(3)
        assert x.shape == (loader.BATCH, loader.BLOCK) and x.dtype == torch.int64 and len(x.unique()) > 1000
