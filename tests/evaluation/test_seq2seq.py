"""The sampling loop is what reinforcement learns from: a token too many or a wrong mask, and it learns noise."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import BartForConditionalGeneration

from labkit.evaluation.seq2seq import write
from labkit.models.bart import new_bart, train_tokenizer

EOS, PAD = 2, 1


@pytest.fixture(scope="module")
def model() -> BartForConditionalGeneration:
    torch.manual_seed(1)
    tokenizer = train_tokenizer(["so far labels are scarce"], 280)
    bart = new_bart(tokenizer, d_model=32, encoder_layers=1, decoder_layers=2, max_tokens=40).eval()
    torch.nn.init.normal_(bart.model.shared.weight, std=0.2)  # so that greedy texts differ and some end
    return bart


@pytest.fixture(scope="module")
def sources() -> tuple[torch.Tensor, torch.Tensor]:
    """Sixteen sources of different lengths, padded."""
    torch.manual_seed(2)
    lengths = torch.randint(3, 20, (16, 1))
    mask = (torch.arange(20) < lengths).long()
    return torch.randint(4, 250, (16, 20)).masked_fill(mask == 0, PAD), mask


def test_greedy_equals_generate(model, sources):
    """Parity with `transformers`, padding and early ends included."""
    ids, mask = sources
    theirs = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=15, do_sample=False, num_beams=1)[:, 1:]
    assert torch.equal(write(model, ids, mask, 15), theirs)


def test_a_batch_writes_what_its_rows_write_alone(model, sources):
    ids, mask = sources
    together = write(model, ids, mask, 10)
    for i in (0, 5, 11):
        n = int(mask[i].sum())
        alone = write(model, ids[i : i + 1, :n], mask[i : i + 1, :n], 10)
        assert torch.equal(together[i, : alone.shape[1]], alone[0])


def test_samples_stand_beside_their_source_and_repeat_with_the_seed(model, sources):
    ids, mask = sources
    draw = [write(model, ids, mask, 6, 1.0, torch.Generator().manual_seed(s), samples=3) for s in (0, 0, 1)]
    assert len(draw[0]) == 48 and torch.equal(draw[0], draw[1]) and draw[0].tolist() != draw[2].tolist()
    cold = write(model, ids, mask, 6, 1e-4, torch.Generator().manual_seed(0), samples=3)
    assert torch.equal(cold, write(model, ids, mask, 6).repeat_interleave(3, dim=0))


def test_samples_are_drawn_from_the_models_own_distribution(model, sources):
    """Tempered or truncated samples would bias a policy gradient."""
    ids, mask = (t[:1] for t in sources)
    first = write(model, ids, mask, 1, 1.0, torch.Generator().manual_seed(0), samples=4_000)[:, 0]
    with torch.no_grad():
        p = model(input_ids=ids, attention_mask=mask, decoder_input_ids=torch.tensor([[EOS]])).logits[0, -1].softmax(-1)
    share = torch.bincount(first, minlength=len(p)) / len(first)
    assert (share - p).abs().max() < 0.04


def test_nothing_but_padding_follows_the_end(model, sources):
    ids, mask = sources
    texts = write(model, ids, mask, 30, 1.0, torch.Generator().manual_seed(0), samples=4, eos_bias=2.0)
    ended = (texts == EOS).any(1)
    assert ended.any()
    for row in texts[ended].tolist():
        assert set(row[row.index(EOS) + 1 :]) <= {PAD}


def test_a_bias_against_the_end_makes_texts_longer(model, sources):
    def mean_length(bias: float) -> float:
        rows = write(model, *sources, 30, 1.0, torch.Generator().manual_seed(0), samples=8, eos_bias=bias)
        return (rows != PAD).sum(1).float().mean().item()

    assert mean_length(-5.0) > mean_length(0.0) > mean_length(5.0)


def test_every_attention_of_transformers_leaves_padding_out(model, sources):
    """A mask of yes and no is added as 1 and 0 by the plain attention: padding would be read."""
    ids, mask = sources
    expected = write(model, ids, mask, 10)
    plain = copy.deepcopy(model)
    plain.set_attn_implementation("eager")
    assert plain.config._attn_implementation == "eager"
    assert torch.equal(write(plain, ids, mask, 10), expected)
