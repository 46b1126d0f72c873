"""Generation is how every later notebook looks at a model: wrong here is wrong in each sample and each reward."""

from __future__ import annotations

import pytest
import torch

from labkit.evaluation.controls import Controls
from labkit.evaluation.generate import generate, sample
from labkit.models.gpt2 import GPT2, GPT2Config


@pytest.fixture(scope="module")
def model() -> GPT2:
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size=61, block_size=24, n_layer=2, n_head=2, n_embd=32))
    with torch.no_grad():  # far from uniform, so that equal tokens are no accident
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.2)
    return model.eval()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("new", [10, 40])  # 40 slides past the context of 24
def test_cache_gives_the_tokens_of_the_naive_loop(model, temperature, new):
    prompt = torch.randint(61, (3, 6))
    cached, naive = (generate(model, prompt, new, temperature, use_cache=use) for use in (True, False))
    assert cached.shape == (3, 6 + new)
    assert torch.equal(cached, naive)


def test_greedy_equals_transformers_generate(model):
    prompt = torch.randint(61, (1, 6))
    theirs = model.to_hf().generate(prompt, max_new_tokens=12, do_sample=False, pad_token_id=0)
    assert torch.equal(generate(model, prompt, 12, temperature=0), theirs)


STYLES = {
    "greedy, held back": Controls(temperature=0, repetition_penalty=1.3, no_repeat_ngram=3),
    "nucleus": Controls(temperature=1.2, top_k=40, top_p=0.9, min_p=0.01, repetition_penalty=1.1),
}


@pytest.mark.parametrize("slide", [1, 7, 12, 24])
@pytest.mark.parametrize("controls", STYLES.values(), ids=STYLES)
def test_a_sliding_window_gives_the_tokens_of_its_definition(model, controls, slide):
    """Written out: the window begins at the first multiple of `slide` from which the text fits."""
    idx = torch.randint(61, (3, 30), generator=torch.Generator().manual_seed(0))  # longer than the context of 24
    cached, naive = (generate(model, idx, 60, controls=controls, slide=slide, use_cache=use) for use in (True, False))
    assert torch.equal(cached, naive)
    if controls.temperature == 0:
        with torch.no_grad():
            for _ in range(60):
                begin = next(b for b in range(0, 999, slide) if idx.shape[1] - b <= 24)
                logits = controls.look_back(idx, model(idx[:, begin:])[:, -1])
                idx = torch.cat([idx, logits.argmax(1, keepdim=True)], dim=1)
        assert torch.equal(cached, idx)


def test_a_slide_changes_nothing_until_the_window_is_full(model):
    prompt = torch.randint(61, (2, 6))
    assert torch.equal(generate(model, prompt, 19), generate(model, prompt, 19, slide=12))  # the last is read at 24
    assert not torch.equal(generate(model, prompt, 40, temperature=0), generate(model, prompt, 40, 0.0, slide=12))


def test_half_a_window_at_a_time_reads_two_positions_a_token(model):
    """What long texts cost: the whole window for every token otherwise."""
    read = []
    hook = model.wte.register_forward_hook(lambda _, ids, out: read.append(ids[0].shape[1]))
    costs = {}
    for slide in (1, 12):
        generate(model, torch.zeros(1, 1, dtype=torch.long), 24 + 120, slide=slide)
        costs[slide] = sum(read)
        read.clear()
    hook.remove()
    assert costs == {1: 24 + 120 * 24, 12: 24 + 120 * 2}


def test_greedy_with_controls_equals_transformers_generate(model):
    """The controls see the prompt, too, as theirs do."""
    prompt, controls = torch.randint(61, (3, 6)), STYLES["greedy, held back"]
    theirs = model.to_hf().generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=18, pad_token_id=0,
                                    **controls.for_transformers())  # fmt: skip
    ours = generate(model, prompt, 18, controls=controls)
    assert torch.equal(ours, theirs) and not torch.equal(ours, generate(model, prompt, 18, temperature=0))


def test_no_ngram_comes_twice_in_a_long_text(model):
    """Beyond the window as well: the control looks back at the whole text."""
    for n in (2, 4):
        text = generate(model, torch.zeros(2, 1, dtype=torch.long), 150, slide=12,
                        controls=Controls(temperature=0, no_repeat_ngram=n))  # fmt: skip
        for row in text:
            assert len(row.unfold(0, n, 1).unique(dim=0)) == len(row) - n + 1


def test_a_seed_repeats_and_another_seed_differs(model):
    prompt = torch.zeros(2, 1, dtype=torch.long)
    one = generate(model, prompt, 15, seed=1)
    torch.rand(3)  # somebody else draws a number
    assert torch.equal(one, generate(model, prompt, 15, seed=1))
    assert not torch.equal(one, generate(model, prompt, 15, seed=2))


def test_a_model_can_be_trained_on_what_was_generated(model):
    """Reinforcement and distillation do; tensors made in inference_mode refuse to take part in a backward pass."""
    for new in (0, 5):
        tokens = generate(model, torch.zeros(1, 1, dtype=torch.long), new)
        loss = model(tokens).logsumexp(-1).mean()
        assert all(grad.isfinite().all() for grad in torch.autograd.grad(loss, list(model.parameters())))


def test_top_k_keeps_the_k_best_and_top_1_is_greedy():
    logits = torch.randn(500, 20)
    drawn = sample(logits, 1.0, 3, torch.Generator().manual_seed(0))
    ranks = (logits > logits.gather(1, drawn)).sum(dim=1)
    assert set(ranks.tolist()) == {0, 1, 2}
    assert torch.equal(sample(logits, 1.0, 1, torch.Generator()), logits.argmax(1, keepdim=True))


def test_temperature_sharpens_frequencies_as_the_formula_says():
    logits = torch.tensor([[0.0, 1.0]]).expand(20_000, 2)
    for temperature in (0.5, 2.0):
        share = sample(logits, temperature, None, torch.Generator().manual_seed(0)).float().mean().item()
        assert share == pytest.approx(torch.tensor(1 / temperature).sigmoid().item(), abs=0.015)


def test_senseless_requests_say_so(model):
    with pytest.raises(ValueError, match="empty"):
        generate(model, torch.zeros(1, 0, dtype=torch.long), 3)
    with pytest.raises(ValueError, match="temperature"):
        generate(model, torch.zeros(1, 1, dtype=torch.long), 3, temperature=-1.0)
    with pytest.raises(ValueError, match="give them there"):  # one of the two would be ignored
        generate(model, torch.zeros(1, 1, dtype=torch.long), 3, temperature=0, controls=Controls(top_p=0.9))
    for slide in (0, 25):
        with pytest.raises(ValueError, match="slide must be from 1 to the context of 24"):
            generate(model, torch.zeros(1, 1, dtype=torch.long), 3, slide=slide)


def test_samples_come_as_often_as_their_probability_says():
    """The draw is written by hand: off by one, and every text is of the neighbour words."""
    logits = torch.tensor([0.0, 2.0, -torch.inf, 1.0, -torch.inf]).expand(100_000, -1)
    drawn = sample(logits, 1.0, None, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn.flatten(), minlength=5) / len(drawn)
    torch.testing.assert_close(counts, logits[0].softmax(0), atol=0.005, rtol=0)
    assert counts[2] == counts[4] == 0
