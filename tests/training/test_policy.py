"""A policy gradient that is biased, or paid for the wrong text, still moves: only these properties tell."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.models.bart import new_bart, train_tokenizer
from labkit.tasks.pairs import encode, seq2seq
from labkit.tasks.synthetic_papers import synthetic_paper, synthetic_papers
from labkit.training.policy import METHODS, REWARDS, LogProbs, Writer, advantages, divergence, gradient_variance

PAPERS = synthetic_papers(6, 1, optional=True).train


@pytest.fixture(scope="module")
def writer() -> Writer:
    torch.manual_seed(0)
    tokenizer = train_tokenizer([text for paper in PAPERS for text in (paper.article, paper.abstract)], 300)
    model = new_bart(tokenizer, d_model=16, encoder_layers=1, decoder_layers=1, max_tokens=128).eval()
    torch.nn.init.normal_(model.model.shared.weight, std=0.3)
    return Writer(model, tokenizer, max_new_tokens=8, samples=4)


@pytest.fixture(scope="module")
def pairs(writer):
    return encode(writer.tokenizer, PAPERS, 128, 64)


@settings(deadline=None)  # the first call pays for torch's
@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=2, max_size=5))
def test_leave_one_out_by_hand(rewards):
    """Each sample against the mean of the other three."""
    R = torch.tensor(rewards)
    by_hand = torch.stack([R[:, i] - R[:, [j for j in range(4) if j != i]].mean(1) for i in range(4)], dim=1)
    torch.testing.assert_close(advantages("rloo", R), by_hand, atol=1e-6, rtol=1e-5)


def test_the_greedy_text_is_scsts_zero():
    advantage = advantages("scst", torch.tensor([[0.2, 0.4], [0.9, 0.5]]), torch.tensor([[0.2], [0.9]]))
    assert advantage[0, 0] == advantage[1, 0] == 0 and advantage[0, 1] > 0 > advantage[1, 1]


def test_log_probs_are_the_models_own(writer, pairs):
    """Parity with `transformers`' loss, padding left out."""
    batch = seq2seq(pairs, writer.pad)
    with torch.no_grad():
        theirs = writer.model(**batch).loss * (batch["labels"] >= 0).sum()
        texts = batch.pop("labels")
        ours = LogProbs(writer.model)(**batch, texts=texts.masked_fill(texts < 0, writer.pad))
    torch.testing.assert_close(-ours.sum(), theirs)


def test_texts_of_a_source_are_scored_with_that_source(writer, pairs):
    """A slip in the order would pay every article for another's abstract."""
    batch = seq2seq(pairs, writer.pad)
    sources = {name: batch[name] for name in ("input_ids", "attention_mask")}
    texts = writer.write("sampled", sources, seed=1)
    log_probs = LogProbs(writer.model)
    with torch.no_grad():
        together = log_probs(**sources, texts=texts)
        for i in (0, 3, 5):
            mine = {name: tensor[i : i + 1] for name, tensor in sources.items()}
            torch.testing.assert_close(log_probs(**mine, texts=texts[4 * i : 4 * i + 4]), together[4 * i : 4 * i + 4])


def test_cross_entropy_is_the_models_loss(writer, pairs):
    loss, reward = writer.loss(LogProbs(writer.model), "cross-entropy", PAPERS, pairs, seed=0)
    torch.testing.assert_close(loss, writer.model(**seq2seq(pairs, writer.pad)).loss)
    assert reward == 0


class OneWord(Writer):
    """Texts of one token, each of which earns a number of its own: few enough to enumerate."""

    def rewards(self, texts, papers):
        return torch.linspace(0.3, 1, 400)[(texts[:, 0] * 37) % 400].view(len(papers), -1)


def _gradient(model, loss) -> torch.Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()), allow_unused=False)])


@pytest.mark.parametrize(("method", "unbiased"), [("sampled", True), ("rloo", True), ("scst", True), ("report", False)])
def test_sampling_gives_the_gradient_of_the_expected_reward_and_a_beam_does_not(writer, pairs, method, unbiased):
    """Against the exact gradient, summed over every text there is."""
    one = OneWord(copy.deepcopy(writer.model), writer.tokenizer, max_new_tokens=1, samples=256, scaled=False)
    batch = seq2seq(pairs[:1], one.pad)
    sources = {name: batch[name] for name in ("input_ids", "attention_mask")}
    every = torch.arange(len(one.tokenizer))[:, None]
    every = every[every[:, 0] != one.pad]
    log_probs = LogProbs(one.model)
    nats = log_probs(**sources, texts=every)
    exact = _gradient(one.model, -(nats.exp() * one.rewards(every, PAPERS[:1])[0]).sum())
    draws = [_gradient(one.model, one.loss(log_probs, method, PAPERS[:1], pairs[:1], seed)[0]) for seed in range(100)]
    off = (torch.stack(draws).mean(0) - exact).norm() / exact.norm()
    assert off < 0.25 if unbiased else off > 1


def test_a_baseline_takes_variance_away(writer, pairs):
    """The lesson of notebook 05, at its smallest."""
    one = OneWord(copy.deepcopy(writer.model), writer.tokenizer, max_new_tokens=1, samples=16)
    variance = {method: gradient_variance(one, method, PAPERS[:1], pairs[:1], 40) for method in ("sampled", "rloo")}
    assert variance["rloo"] < 0.5 * variance["sampled"]


class PaidByToken(Writer):
    """A reward that even noise earns some of."""

    def rewards(self, texts, papers):
        return texts.float().mean(1).view(len(papers), -1) / 1000


def test_scaling_changes_the_length_of_the_gradient_alone(writer, pairs):
    """One slice's advantages share a factor; another factor for each would be another method."""
    scaled = PaidByToken(writer.model, writer.tokenizer, writer.max_new_tokens, writer.samples)
    plain = dataclasses.replace(scaled, scaled=False)
    a, b = (_gradient(w.model, w.loss(LogProbs(w.model), "rloo", PAPERS, pairs, 3)[0]) for w in (scaled, plain))
    assert torch.cosine_similarity(a, b, dim=0) > 0.9999 and a.norm() > 1.5 * b.norm()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_finite_loss_with_a_gradient(writer, pairs, method):
    loss, reward = writer.loss(LogProbs(writer.model), method, PAPERS, pairs, seed=0)
    assert loss.isfinite() and 0 <= reward <= 1
    assert _gradient(writer.model, loss).isfinite().all()


def test_empty_texts_earn_nothing_and_break_nothing(writer, pairs):
    """A model that writes nothing but the end must still get a number, or a run dies at its worst moment."""
    silent = copy.deepcopy(writer)
    silent.model.final_logits_bias[0, silent.model.config.eos_token_id] = 1e4
    loss, reward = silent.loss(LogProbs(silent.model), "rloo", PAPERS, pairs, seed=0)
    assert loss.isfinite() and reward == 0


def test_gradient_variance_of_what_does_not_vary_is_zero(writer, pairs):
    assert gradient_variance(writer, "cross-entropy", PAPERS[:2], pairs[:2], draws=3) == pytest.approx(0, abs=1e-10)
    assert gradient_variance(writer, "rloo", PAPERS[:2], pairs[:2], draws=3) > 0


def test_divergence_is_zero_at_the_start_and_grows(writer, pairs):
    other = copy.deepcopy(writer.model)
    assert divergence(writer, other, pairs, seed=0) == pytest.approx(0, abs=1e-4)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    assert divergence(writer, other, pairs, seed=0) > 0.1


def test_a_reward_for_right_facts_alone_pays_for_saying_nothing_wrong():
    """The trap of notebook 05: one right sentence earns more than five with a slip."""
    paper = synthetic_paper(0)
    slip = paper.abstract.replace(paper.facts["score"], "100")
    one = f"Alas {paper.facts['task']} needs {paper.facts['limit']}."
    assert REWARDS["facts"](one, paper) == 1 > REWARDS["facts"](slip, paper)
    assert REWARDS["rougeL"](one, paper) < REWARDS["rougeL"](slip, paper)
