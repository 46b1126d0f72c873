"""An accuracy is as good as the way the model was asked."""

from __future__ import annotations

import copy

import pytest
import torch

from labkit.evaluation.labels import forks, read_answer, score_labels, target_ids, write_answer
from labkit.models.adapters import adapt
from labkit.models.neo import new_neo
from labkit.zoo import train_tokenizer

LABELS = ("negative", "not equivalent", "equivalent")
PROMPTS = ["Profit rose .", "Profit fell by a lot more than anybody had thought , they said .", "Sales ? The tone is"]
TOKENIZER = train_tokenizer([*PROMPTS, *LABELS] * 3)


@pytest.fixture(scope="module", params=["full", "prompt_tuning", "prefix_tuning"])
def model(request):
    torch.manual_seed(0)
    neo = new_neo(len(TOKENIZER), 32, 2, 2, 64, window=8)
    for p in neo.parameters():
        p.data *= 5  # else nothing that stands in a text makes a difference
    return adapt(neo, request.param).eval()


@pytest.mark.parametrize("some", [LABELS, ("not equivalent", "not negative", "not"), ("equivalent", "negative")])
def test_scores_are_the_log_probabilities_that_transformers_gives(model, some):
    """Of the tokens where labels part: after "not", the end of text is one of them."""
    targets = [target_ids(TOKENIZER, label) for label in some]
    scores = score_labels(model, TOKENIZER, PROMPTS, some)
    for i, prompt in enumerate(PROMPTS):
        ids = TOKENIZER(prompt)["input_ids"]
        for j, target in enumerate(targets):
            parts = [token if _parts(targets, target, n) else -100 for n, token in enumerate(target)]
            labels = torch.tensor([[-100] * len(ids) + parts])
            with torch.no_grad():
                loss = model(input_ids=torch.tensor([ids + target]), labels=labels).loss
            told = sum(token != -100 for token in parts)
            assert told and scores[i, j].item() == pytest.approx(-loss.item() * told, rel=1e-4)


def _parts(targets: list[list[int]], target: list[int], n: int) -> bool:
    return any(other[:n] == target[:n] and other[n] != target[n] for other in targets if len(other) > n)


def test_padding_changes_no_answer(model):
    together = score_labels(model, TOKENIZER, PROMPTS, LABELS)
    alone = torch.cat([score_labels(model, TOKENIZER, [prompt], LABELS) for prompt in PROMPTS])
    assert torch.allclose(together, alone, atol=1e-4)


def test_labels_share_one_probability_however_long_they_are(model):
    """Else a label would be likelier than all that begins with it, and no answer comparable."""
    scores = score_labels(model, TOKENIZER, PROMPTS, [*LABELS, "not"])
    assert (scores.exp().sum(1) <= 1).all() and scores.isfinite().all()
    assert len(target_ids(TOKENIZER, "not equivalent")) > len(target_ids(TOKENIZER, "not"))


def test_a_prompt_is_read_once_if_the_labels_part_at_once():
    """Scoring is quick since it doesn't read a prompt for each label."""
    assert list(forks([target_ids(TOKENIZER, label) for label in ("negative", "equivalent")])) == [()]


def test_writing_is_greedy_and_ends_with_the_text():
    torch.manual_seed(0)
    neo = new_neo(len(TOKENIZER), 32, 2, 2, 64, window=8).eval()
    ids = torch.tensor([TOKENIZER(PROMPTS[0])["input_ids"]])
    theirs = neo.generate(ids, max_new_tokens=8, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert write_answer(neo, TOKENIZER, PROMPTS[0]) == TOKENIZER.decode(theirs[0, ids.shape[1] :])
    ends = copy.deepcopy(neo)
    with torch.no_grad():
        ends.transformer.ln_f.weight.zero_()  # whatever it reads, it answers with the embedding of the end of text
        ends.transformer.ln_f.bias.copy_(100 * ends.transformer.wte.weight[TOKENIZER.eos_token_id])
    assert write_answer(ends, TOKENIZER, PROMPTS[0]) == ""


def test_only_a_label_is_an_answer():
    assert read_answer(" not equivalent", LABELS) == 1 and read_answer("negative", LABELS) == 0
    assert read_answer("", LABELS) == read_answer("negative tone", LABELS) == -1
