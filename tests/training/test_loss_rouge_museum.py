"""Exhibits that change the loss and no text: if one changed a text, it would explain nothing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from tiny_neo import tiny_neo

from labkit.evaluation.generation_time import greedy
from labkit.models.qwen import new_qwen
from labkit.tasks.pairs import Pair, causal
from labkit.training.loss_rouge_museum import losses_by_part, mean_loss, rescaled_losses, temperature

PAD = 0


def qwen():
    torch.manual_seed(0)
    model = new_qwen(97, 32, 2, 4, 2, 40)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model


def pairs(n: int = 40) -> list[Pair]:
    generator = torch.Generator().manual_seed(0)
    sizes = [(3 + i % 4, 2 + i % 5) for i in range(n)]
    return [tuple(torch.randint(1, 97, (size,), generator=generator) for size in pair) for pair in sizes]


def batches() -> list[dict[str, torch.Tensor]]:
    return [causal(pairs()[i : i + 16], PAD) for i in range(0, 40, 16)]


def peft_qwen():
    return get_peft_model(qwen(), LoraConfig(task_type="CAUSAL_LM")).eval()


@pytest.mark.parametrize("make", [qwen, tiny_neo, peft_qwen])
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft 0.21
def test_a_temperature_changes_every_loss_and_no_text(make):
    """Within `temperature` the model has the loss that `rescaled_losses` computes; afterwards it is as before."""
    model = make()
    ids = torch.randint(97, (4, 6), generator=torch.Generator().manual_seed(1))
    written, losses = greedy(model, ids, 12), rescaled_losses(model, batches(), [0.25, 1.0, 4.0])
    assert len({round(loss, 3) for loss in losses}) == 3
    for t, loss in zip([0.25, 1.0, 4.0], losses, strict=True):
        with temperature(model, t):
            assert torch.equal(greedy(model, ids, 12), written)
            assert rescaled_losses(model, batches(), [1.0]) == pytest.approx([loss])
    assert rescaled_losses(model, batches(), [1.0]) == pytest.approx(losses[1:2], rel=1e-12)


def test_the_loss_can_be_anything_above_its_best():
    """5.80 is reached on both sides of the best temperature, where there is no more to gain."""
    ts = [10 ** (i / 10) for i in range(-30, 31)]
    losses = rescaled_losses(qwen(), batches(), ts)
    best = losses.index(min(losses))
    assert losses[:best] == sorted(losses[:best], reverse=True) and losses[best:] == sorted(losses[best:])
    assert losses[0] > 20 and losses[-1] == pytest.approx(torch.tensor(97.0).log().item(), abs=0.01)


def test_a_temperature_a_word_is_a_head_with_rows_of_length_one():
    model = qwen()
    head = model.get_output_embeddings()
    ids = pairs()[0][0][None]
    with torch.no_grad(), temperature(model, head.weight.norm(dim=1)):
        hidden = model.model(ids).last_hidden_state
        assert (model(ids).logits - F.linear(hidden, F.normalize(head.weight))).abs().max() < 1e-5


def test_a_model_left_by_an_error_is_as_before():
    model, ids = qwen(), pairs()[0][0][None]
    before = model(ids).logits
    with pytest.raises(KeyboardInterrupt), temperature(model, 3.0):
        raise KeyboardInterrupt
    assert torch.equal(model(ids).logits, before)


def test_the_parts_are_what_the_batches_of_training_ask_for():
    """Target: `causal`'s labels. All three together: every next token of every row."""
    model, width = qwen(), 12
    parts = losses_by_part(model, pairs(), PAD, width)
    assert parts["target"].loss == pytest.approx(rescaled_losses(model, batches(), [1.0])[0])
    rows = torch.stack([F.pad(row, (0, width - len(row)), value=PAD) for row in map(torch.cat, pairs())])
    everything = [{"input_ids": rows[:, :-1], "labels": rows[:, 1:]}]
    assert mean_loss(parts.values()) == pytest.approx(rescaled_losses(model, everything, [1.0])[0])
    assert sum(part.tokens for part in parts.values()) == 40 * (width - 1)
    assert parts["target"].tokens == sum(len(target) for _, target in pairs())


@settings(max_examples=10, deadline=None)
@given(st.integers(9, 20), st.integers(1, 12))
def test_neither_padding_nor_neighbours_change_a_target_s_loss(width, n):
    """Read as the width of the tensor that it comes in, a loss would depend on its batch."""
    model = qwen()
    longest = max(len(torch.cat(pair)) for pair in pairs(n))
    alone = losses_by_part(model, pairs(n), PAD, longest + 1)
    padded = losses_by_part(model, pairs(n), PAD, longest + 1 + width)
    for name in ("prompt", "target"):
        assert padded[name] == (pytest.approx(alone[name].loss), alone[name].tokens)
    assert padded["padding"].tokens == alone["padding"].tokens + n * width


def test_a_part_of_no_tokens_is_left_out():
    """Its mean would be no number, and with it every mean of parts."""
    parts = losses_by_part(qwen(), pairs(1), PAD, 5)
    assert list(parts) == ["prompt", "target"] and mean_loss(parts.values()) > 0


def test_a_row_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="longer than 8 tokens"):
        losses_by_part(qwen(), pairs(), PAD, 8)
