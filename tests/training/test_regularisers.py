"""What EWC and its kin defend must be what the old task hangs on, or they defend nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from labkit.training.regularisers import copy_of, distance, distillation, fisher


class Bigrams(nn.Module):
    """Logistic regression of the next token on this one: a table of logits (vocabulary, vocabulary)."""

    def __init__(self, table: list[list[float]]) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table))
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)

    def forward(self, input_ids, logits_to_keep):
        return SimpleNamespace(logits=self.table[input_ids[:, logits_to_keep]])


def pair(prompt: list[int], answer: list[int]):
    return torch.tensor(prompt), torch.tensor(answer)


def test_the_fisher_of_a_logistic_model_is_p_times_1_minus_p():
    """The textbook's, in each row of the table times the share of prompts that end there, whatever was answered."""
    model = Bigrams([[0.0, 1.0], [2.0, -1.0]])
    p = model.table.detach().softmax(1)
    found = fisher(model, [pair([1, 0], [0]), pair([0, 0], [0]), pair([0, 0], [1]), pair([0, 1], [1])])
    assert found.keys() == {"table"} and model.table.grad is None
    torch.testing.assert_close(found["table"], p * (1 - p) * torch.tensor([[3 / 4], [1 / 4]]))


def test_only_answers_that_occur_count_and_long_ones_as_a_whole():
    """0 → 0 → 0 has p = 1/4 and, twice, the derivative 1/2: summed to 1 before it is squared."""
    model = Bigrams([[0.0, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(fisher(model, [pair([0], [0])])["table"][0], torch.full((2,), 1 / 2 * 1 / 4))
    torch.testing.assert_close(fisher(model, [pair([0], [0, 0])])["table"][0], torch.full((2,), 1 / 4))


def test_what_is_learnt_well_still_has_information():
    """Of right answers alone, the squared derivative would be (1 − p)², here a hundredth of this."""
    model = Bigrams([[4.6, 0.0], [0.0, 0.0]])  # p = 0.99
    found = fisher(model, [pair([0], [0]), pair([0], [1])])["table"][0, 0].item()
    assert found == pytest.approx(0.99 * 0.01, rel=0.02)


def test_distance_weighs_each_number_and_pulls_it_back():
    model = Bigrams([[0.0, 1.0], [2.0, -1.0]])
    before = copy_of(model)
    assert before.keys() == {"table"} and distance(model, before).item() == 0
    with torch.no_grad():
        model.table += torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert distance(model, before).item() == 5
    importance = {"table": torch.tensor([[3.0, 9.0], [9.0, 0.5]])}
    found = distance(model, before, importance)
    assert found.item() == 3 * 1 + 0.5 * 4
    found.backward()
    torch.testing.assert_close(model.table.grad, torch.tensor([[6.0, 0.0], [0.0, 2.0]]))


def test_a_penalty_on_nothing_is_nothing():
    assert distance(Bigrams([[0.0]]), {}) == 0


def test_distillation_is_cross_entropy_less_what_can_t_be_helped():
    """And no smaller for a teacher's copy than 0."""
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 5, 7)
    soft = (teacher / 3).softmax(-1)
    entropy = -(soft * soft.log()).sum(-1).mean()
    expected = 9 * (F.cross_entropy(student / 3, soft) - entropy)
    assert distillation(student, teacher, 3.0).item() == pytest.approx(expected.item(), rel=1e-4)
    assert distillation(teacher + 5.0, teacher).item() == pytest.approx(0, abs=1e-5)
