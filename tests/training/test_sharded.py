"""A model cut over several processes must learn what it would learn in one."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny_neo import tiny_neo
from training.conftest import gloo_threads

from labkit.profile import LabError
from labkit.training.sharded import ShardedConfig, tune_sharded, work
from labkit.training.tuning import tune


def examples(n: int = 9):
    torch.manual_seed(0)
    return [(torch.randint(2, 50, (5 + i % 3,)), torch.randint(2, 50, (1 + i % 2,))) for i in range(n)]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """The same tuning by one process and by two; nine rows in batches of four leave one for both."""
    alone = tiny_neo().double()  # which autocast leaves alone: in bf16 a sum depends on how it is parted
    together = copy.deepcopy(alone)
    before = copy.deepcopy(alone.state_dict())
    rows = tune(alone, examples(), 2, 1e-2, batch_size=4)
    with gloo_threads(tmp_path_factory.mktemp("sharded") / "threads") as left:
        said = tune_sharded(together, examples(), 2, 1e-2, batch_size=4, nproc=2)
    assert not any(left().values())
    return before, alone, together, rows, said


def test_two_processes_take_the_steps_of_one(tuned):
    """Else the shares of a loss don't add up to its mean, and every number of a sharded run is off."""
    before, alone, together, _, _ = tuned
    for name, p in alone.state_dict().items():
        torch.testing.assert_close(together.state_dict()[name], p, rtol=1e-4, atol=1e-5)
    assert any((p - before[name]).abs().max() > 1e-2 for name, p in together.state_dict().items())


def test_its_log_is_the_whole_batch_s_loss(tuned):
    *_, rows, said = tuned
    assert [row["loss"] for row in said] == pytest.approx([row["loss"] for row in rows], abs=1e-4)


def test_one_process_is_told_what_to_do(tmp_path):
    with pytest.raises(LabError, match=r"start several with torchrun, or take tune\(\)"):
        work(ShardedConfig(str(tmp_path), 1, 1e-3))
