"""The controls are named after papers and compared with other people's: each must be the one that everybody means."""

from __future__ import annotations

import pytest
import torch
import transformers

from labkit.evaluation.controls import Controls, ban_repeats, keep_min_p, keep_top_k, keep_top_p, penalise
from labkit.models.gpt2 import GPT2, GPT2Config

SEEDS = range(40)


def drawn(seed: int, batch: int = 5, time: int = 30, vocab: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    """Random texts of few words, so that they repeat themselves, and random logits."""
    generator = torch.Generator().manual_seed(seed)
    few = vocab // 8 + 2
    return (
        torch.randint(few, (batch, time), generator=generator),
        torch.randn(batch, vocab, generator=generator) * 3,
    )


@pytest.mark.parametrize(
    "ours, theirs, value",
    [
        *[(penalise, "RepetitionPenaltyLogitsProcessor", value) for value in (0.7, 1.2, 5.0)],
        *[(ban_repeats, "NoRepeatNGramLogitsProcessor", value) for value in (2, 3, 5, 30, 31)],
        *[(lambda _, x, k: keep_top_k(x, k), "TopKLogitsWarper", value) for value in (1, 7, 99)],
        *[(lambda _, x, p: keep_top_p(x, p), "TopPLogitsWarper", value) for value in (1e-6, 0.3, 0.9, 0.999)],
        *[(lambda _, x, p: keep_min_p(x, p), "MinPLogitsWarper", value) for value in (0.01, 0.1, 0.6, 1.0)],
    ],
)
def test_each_control_equals_the_one_of_transformers(ours, theirs, value):
    """On a batch of random texts and logits, some of them −∞ already."""
    reference, changed = getattr(transformers, theirs)(value), False
    for seed in SEEDS:
        ids, logits = drawn(seed)
        if seed % 2:
            logits[:, ::5] = -torch.inf
        before, found = logits.clone(), ours(ids, logits, value)
        assert torch.equal(found, reference(ids, logits)), seed
        assert torch.equal(logits, before), "the model's logits are the caller's"
        changed |= not torch.equal(found, logits)
    assert changed or value >= 30, "a control that does nothing would be equal, too"


@pytest.mark.parametrize(
    "controls",
    [
        Controls(),
        Controls(temperature=0),
        Controls(temperature=0, repetition_penalty=1.3, no_repeat_ngram=2),
        Controls(temperature=1.7, top_k=12, top_p=0.8, min_p=0.05, repetition_penalty=1.2, no_repeat_ngram=3),
        Controls(temperature=0.5, top_p=0.9),
        Controls(min_p=0.2),
    ],
)
def test_all_together_equal_what_transformers_generates_with(controls):
    """`for_transformers` says the same to `generate`: the order counts, and so do defaults, such as its top_k of 50."""
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size=80, block_size=40, n_layer=1, n_head=1, n_embd=32))
    with torch.no_grad():
        model.wte.weight.mul_(20)
    out = model.to_hf().generate(
        torch.randint(80, (4, 5)), attention_mask=torch.ones(4, 5, dtype=torch.long), max_new_tokens=30, pad_token_id=0,
        return_dict_in_generate=True, output_scores=True, output_logits=True, **controls.for_transformers(),
    )  # fmt: skip
    assert len(out.scores) == 30
    for t, (logits, scores) in enumerate(zip(out.logits, out.scores, strict=True), start=5):
        ours = controls.look_back(out.sequences[:, :t], logits)
        if controls.temperature:
            ours = controls.truncate(ours)
        assert torch.equal(ours, scores)


def test_the_nucleus_is_the_smallest_set_with_the_probability_p():
    """From the definition, in numbers that anybody can add up."""
    logits = torch.tensor([[0.1, 0.5, 0.15, 0.25]]).log()
    for p, kept in ((0.4, [1]), (0.6, [1, 3]), (0.8, [1, 2, 3]), (0.95, [0, 1, 2, 3])):
        assert keep_top_p(logits, p)[0].isfinite().nonzero().flatten().tolist() == kept
    assert keep_min_p(logits, 0.4)[0].isfinite().nonzero().flatten().tolist() == [1, 3]


def test_controls_that_are_off_are_not_computed():
    """Plain sampling is in the inner loop of every notebook: not an operation more."""
    ids, logits = drawn(0)
    assert Controls().look_back(ids, logits) is logits
    assert torch.equal(Controls().truncate(logits), logits)


def test_a_control_holds_for_each_row_by_itself():
    """Rows of a batch are different texts: what one has said is new to another."""
    ids, logits = drawn(3)
    every = Controls(repetition_penalty=1.5, no_repeat_ngram=2, top_p=0.7, min_p=0.01, top_k=9)
    together = every.truncate(every.look_back(ids, logits))
    alone = [every.truncate(every.look_back(ids[i : i + 1], logits[i : i + 1])) for i in range(len(ids))]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.1}, {"min_p": -0.1}, {"min_p": 2.0},
        {"repetition_penalty": 0.0}, {"no_repeat_ngram": 1}, {"no_repeat_ngram": -3}, {"temperature": float("nan")},
    ],
)  # fmt: skip
def test_senseless_values_say_which_they_are(wrong):
    """A top_p of 95 would keep everything, a top_k of 0 fail deep inside, in another's words."""
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name} must be .*, not {value}"):
        Controls(**wrong)
