"""The loss and its units: every number of the course is one of these."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from labkit.evaluation.loss import batch_loss, bits_per_byte, loss_sum, perplexity, validation_starts, windows
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import LabError
from labkit.tasks.shards import Shards, ShardWriter


@pytest.fixture(scope="module")
def model() -> GPT2:
    torch.manual_seed(0)
    return GPT2(GPT2Config(vocab_size=50, block_size=16, n_layer=2, n_head=2, n_embd=32)).eval()


@pytest.fixture
def tokens(tmp_path) -> Shards:
    writer = ShardWriter(tmp_path, "val")
    writer.write(np.arange(100) % 50)
    writer.close()
    return Shards(tmp_path, "val")


def test_loss_is_transformers_loss(model):
    idx = torch.randint(50, (3, 9))
    with torch.no_grad():
        theirs = model.to_hf()(input_ids=idx, labels=idx).loss  # transformers shifts the labels itself
        ours = batch_loss(model, idx[:, :-1], idx[:, 1:])
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)


def test_the_sum_weighs_a_short_last_batch_by_its_tokens(model):
    idx = torch.randint(50, (5, 9))
    batches = [(idx[:4, :-1], idx[:4, 1:]), (idx[4:, :-1], idx[4:, 1:])]
    total, count = loss_sum(partial(batch_loss, model), batches)
    with torch.no_grad():
        assert count == 40 and total / count == pytest.approx(
            batch_loss(model, idx[:, :-1], idx[:, 1:]).item(), abs=1e-6
        )


def test_validation_windows_cover_the_split_once_in_order(tokens):
    starts = validation_starts(tokens, 8, 10_000)
    y = torch.cat([y for _, y in windows(tokens, starts, 8, batch_size=5)])
    assert torch.equal(y.flatten(), torch.arange(1, 97) % 50)  # 99 targets make 12 windows of 8
    assert len(validation_starts(tokens, 8, 24)) == 3


def test_a_text_shorter_than_a_window_says_so(tokens):
    with pytest.raises(LabError, match="100 tokens, too few for one window of 257"):
        validation_starts(tokens, 256, 10_000)


def test_bf16_changes_the_loss_by_rounding_only(model):
    idx = torch.randint(50, (4, 17))
    with torch.no_grad():
        full, half = (
            batch_loss(model, idx[:, :-1], idx[:, 1:], dtype).item() for dtype in (torch.float32, torch.bfloat16)
        )
    assert half == pytest.approx(full, rel=5e-3)


def test_units():
    assert perplexity(math.log(50)) == pytest.approx(50)  # a uniform guess hesitates between all tokens
    assert bits_per_byte(math.log(256), 1.0) == pytest.approx(8)  # and a byte guessed blindly costs eight bits
    assert bits_per_byte(2 * math.log(2), 4.0) == pytest.approx(0.5)
