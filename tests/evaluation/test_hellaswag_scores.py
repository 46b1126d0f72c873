"""Two scorers, one answer: the quick one may not change a number that a reader compares with published ones."""

from __future__ import annotations

import math
import os
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.evaluation import hellaswag
from labkit.evaluation.hellaswag import (
    Accuracy,
    Encoded,
    batches,
    encode,
    plant,
    row_length,
    row_losses,
    score,
    score_row_by_row,
    tree_losses,
    tree_mask,
)
from labkit.evaluation.intervals import wilson
from labkit.models.gpt2 import GPT2, GPT2Config
from labkit.profile import resolve
from labkit.tasks.hellaswag import Question, load_hellaswag

VOCAB, BLOCK = 61, 48


def far_from_uniform(model: GPT2) -> GPT2:
    with torch.no_grad():  # so that equal losses are no accident
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.2)
    return model.eval()


@pytest.fixture(scope="module")
def model() -> GPT2:
    torch.manual_seed(0)
    return far_from_uniform(GPT2(GPT2Config(VOCAB, BLOCK, n_layer=2, n_head=2, n_embd=32)))


class Letters:
    """A tokenizer of one token a character."""

    vocab_size, eot = VOCAB, 0

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        return [[ord(c) % VOCAB for c in text] for text in texts]


def some_questions(n: int, seed: int = 0, longest: int = 30) -> list[Question]:
    rng = random.Random(seed)

    def text() -> str:
        return "".join(chr(rng.randint(65, 120)) for _ in range(rng.randint(1, longest)))

    return [Question(text(), (text(), text(), text(), text()), rng.randrange(4)) for _ in range(n)]


ids = st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=BLOCK // 2)
encoded = st.builds(Encoded, ids, st.lists(ids, min_size=4, max_size=4))


@settings(max_examples=40, deadline=None)
@given(st.lists(encoded, min_size=1, max_size=5))
def test_a_tree_gives_the_losses_of_its_rows(model, questions):
    """Whatever the lengths, and whoever shares the batch: an ending sees its context, itself and nothing else."""
    rows = torch.stack([row_losses(model, question) for question in questions])
    torch.testing.assert_close(tree_losses(model, questions), rows, rtol=1e-5, atol=2e-5)


def test_a_row_s_loss_is_transformers_loss_of_the_ending(model):
    """The reference against a reference: labels of -100 leave the context out of transformers' mean."""
    theirs = model.to_hf()
    for context, endings in encode(some_questions(5), Letters(), BLOCK):
        for ending, ours in zip(endings, row_losses(model, Encoded(context, endings)), strict=True):
            tokens = torch.tensor([context + ending])
            labels = torch.tensor([[-100] * len(context) + ending])
            with torch.no_grad():
                assert ours.item() == pytest.approx(theirs(input_ids=tokens, labels=labels).loss.item(), abs=1e-5)


@pytest.mark.parametrize("fault", ["sisters", "positions"])
def test_the_comparison_would_find_a_fault(model, monkeypatch, fault):
    """Endings that see their sisters, or that stand where the row has them, must give other losses."""
    questions = encode(some_questions(4), Letters(), BLOCK)
    if fault == "sisters":
        monkeypatch.setattr(hellaswag, "tree_mask", lambda branches: tree_mask(torch.zeros_like(branches)))
    else:
        arange = torch.arange(BLOCK)
        monkeypatch.setattr(hellaswag, "plant", lambda q: (t := plant(q))._replace(
            positions=arange[: t.ids.shape[1]].expand_as(t.ids)))  # fmt: skip
        questions = [Encoded(context[:5], [ending[:6] for ending in endings]) for context, endings in questions]
    rows = torch.stack([row_losses(model, question) for question in questions])
    assert (tree_losses(model, questions) - rows).abs().max() > 1e-3


def test_the_answers_are_in_the_questions_order_and_equal(model):
    """Sorting by length must not mix up whose answer is whose."""
    questions = some_questions(150)
    tree, rows = score(model, Letters(), questions), score_row_by_row(model, Letters(), questions)
    assert tree.predictions == rows.predictions and len(set(tree.predictions)) == 4
    assert tree.correct == sum(p == q.label for p, q in zip(tree.predictions, questions, strict=True))
    assert (tree.n, tree.accuracy, tree.chance) == (150, tree.correct / 150, 0.25)
    assert tree.ci95 == wilson(tree.correct, 150)


def test_the_shares_of_several_processes_add_up(model):
    questions = some_questions(31)
    shares = [score(model, Letters(), questions[rank::4]) for rank in range(4)]
    whole = score(model, Letters(), questions)
    assert Accuracy(sum(s.correct for s in shares), sum(s.n for s in shares)).ci95 == whole.ci95


def test_batches_hold_every_question_once_within_the_budget():
    questions = encode(some_questions(100), Letters(), BLOCK)
    groups = list(batches(questions, 400))
    assert sorted(i for group in groups for i in group) == list(range(100))
    assert all(len(group) * max(row_length(questions[i]) for i in group) <= 400 for group in groups)
    assert [len(group) for group in batches(questions, 1)] == [1] * 100  # one too long for the budget goes alone


def test_a_long_context_loses_its_beginning(model):
    """What stands next to the ending matters most; and a question of any length must not stop a training run."""
    questions = some_questions(20, longest=5 * BLOCK)
    for q, (context, endings) in zip(questions, encode(questions, Letters(), BLOCK), strict=True):
        assert len(context) + max(map(len, endings)) <= BLOCK and context and all(endings)
        assert Letters().encode_batch([q.context])[0][-len(context) :] == context
        whole = Letters().encode_batch([" " + ending for ending in q.endings])
        assert all(w[: len(e)] == e and len(e) >= min(len(w), BLOCK - 1) for w, e in zip(whole, endings, strict=True))
    assert score(model, Letters(), questions).predictions == score_row_by_row(model, Letters(), questions).predictions
    empty = Question("", ("a", "b", "c", "d"), 0)
    assert encode([empty], Letters(), BLOCK)[0].context == [Letters.eot]


def test_bf16_changes_losses_by_rounding_only(model):
    questions = encode(some_questions(10), Letters(), BLOCK)
    full, half = tree_losses(model, questions), tree_losses(model, questions, torch.bfloat16)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=3e-2, atol=3e-2)


def test_real_questions_get_equal_answers_from_both():
    """Real lengths, GPT-2's own vocabulary."""
    folder = Path(os.environ.get("LABKIT_DATA", ""))
    if not os.environ.get("LABKIT_DATA") or not (folder / "gpt2_bpe").is_dir():
        pytest.skip("LABKIT_DATA has no gpt2_bpe/")
    from labkit.tasks.bpe import load_tokenizer

    tokenizer = load_tokenizer(folder / "gpt2_bpe")
    questions = load_hellaswag(resolve("laptop", "local"), count=60)
    torch.manual_seed(0)
    model = far_from_uniform(GPT2(GPT2Config(tokenizer.vocab_size, 256, n_layer=2, n_head=2, n_embd=16)))
    assert score(model, tokenizer, questions).predictions == score_row_by_row(model, tokenizer, questions).predictions


@pytest.mark.long
def test_the_laptop_model_is_above_chance_and_an_untrained_one_at_it(tmp_path, corpus_cache):
    """The lesson of notebook 02: a few minutes of training are seen in the answers."""
    from labkit.models.files import load_model
    from labkit.profile import pick_device, pick_dtype
    from labkit.tasks.webtext import load_webtext
    from labkit.training.pretrain import PretrainConfig, pretrain

    lab = resolve("laptop", "embedded")
    pretrain(PretrainConfig(out=str(tmp_path), profile="laptop", source="embedded"))
    trained, tokenizer = load_model(tmp_path / "model")
    questions, dtype = load_hellaswag(lab, load_webtext(lab)), pick_dtype(pick_device())
    assert score(trained, tokenizer, questions, dtype).ci95[0] > 0.25
    low, high = score(GPT2(trained.config), tokenizer, questions, dtype).ci95
    assert low < 0.25 < high


def test_wilson_s_interval():
    """Known values, and the promise itself: at least about 95 % of intervals hold the true proportion."""
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10)[1] == 1.0
    for n, p in [(20, 0.25), (100, 0.02), (400, 0.3)]:
        held = sum(
            math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1) if wilson(k, n)[0] <= p <= wilson(k, n)[1]
        )
        assert 0.93 < held < 0.985
    for successes, n in [(0, 0), (3, 2), (-1, 2)]:
        with pytest.raises(ValueError, match="no interval"):
            wilson(successes, n)
