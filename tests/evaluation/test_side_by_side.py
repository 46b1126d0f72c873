"""Several ways of choosing in one batch: each row must be what its way alone would have made of it."""

from __future__ import annotations

import pytest
import torch

from labkit.evaluation.controls import Controls
from labkit.evaluation.generate import generate
from labkit.evaluation.side_by_side import SideBySide
from labkit.models.gpt2 import GPT2, GPT2Config


@pytest.fixture(scope="module")
def model() -> GPT2:
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size=40, block_size=16, n_layer=1, n_head=2, n_embd=16)).eval()
    with torch.no_grad():
        model.wte.weight.mul_(20)  # spread logits: no near ties
    return model


def test_greedy_ways_write_what_they_write_alone(model):
    """A part that got another's penalty, or another's history, would write something else."""
    ways = (
        Controls(temperature=0),
        Controls(temperature=0, repetition_penalty=3),
        Controls(top_k=1, no_repeat_ngram=2),
    )
    prompts = torch.randint(40, (3, 5))
    together = generate(model, prompts.repeat(3, 1), 30, controls=SideBySide(ways=ways), slide=8).chunk(3)
    alone = [generate(model, prompts, 30, controls=way, slide=8) for way in ways]
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))
    assert not torch.equal(*together[:2])


def test_chances_are_those_of_each_way():
    """Temperature, nucleus and all: the distribution drawn from is cut by a row's own way only."""
    logits = torch.randn(6, 50)
    ways = (Controls(temperature=0.7, top_k=5), Controls(top_p=0.5), Controls())
    together = SideBySide(ways=ways).truncate(logits)
    apart = [way.truncate(part) for way, part in zip(ways, logits.chunk(3), strict=True)]
    assert torch.equal(together, torch.cat(apart))


@pytest.mark.parametrize("ways", [(), (Controls(), Controls())])
def test_rows_that_do_not_divide_are_refused(ways):
    with pytest.raises(ValueError, match="3 rows don't divide"):
        SideBySide(ways=ways).truncate(torch.randn(3, 5))
