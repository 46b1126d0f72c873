"""The article's bugs are the article's, and its task can be done."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from labkit.models.neo import new_neo
from labkit.training.tuning_museum import (
    VERBS,
    article_batch,
    article_labels,
    article_loss,
    article_model,
    headlines,
    obstacles,
)
from labkit.zoo import train_tokenizer

TRAIN, TEST = headlines(60, 12)
TOKENIZER = train_tokenizer([f"{report} {short}" for report, short in TRAIN])


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return new_neo(len(TOKENIZER), 32, 2, 2, 64, window=16)


def test_a_headline_says_what_rose_or_fell_in_the_reports_own_words():
    """A word that isn't in the report couldn't be found there; one that tells of something else would be wrong."""
    assert (len(TRAIN), len(TEST)) == (60, 12)
    for report, short in TRAIN + TEST:
        *quantity, verb = short.split()
        assert verb in VERBS and verb in report.split()
        assert " ".join(quantity) in report and 2 <= len(short.split()) <= 6
        assert sum(word in VERBS for word in report.split()) == 1, "two things happen: which is the headline's?"


def test_no_report_is_trained_and_tested():
    assert not {report for report, _ in TRAIN} & {report for report, _ in TEST}


def test_the_articles_labels_are_filled_up_by_characters():
    """As many labels as words and, beyond the summary's characters, width: a different number for each summary."""
    labels = article_labels("Reed hired Quinn", {"hired": 7}, unknown=1, width=20)
    assert labels.tolist() == [1, 7, 1, 0, 0, 0, 0]


def test_the_code_as_printed_stops_at_every_one_of_the_four_places(backbone):
    found = obstacles(backbone, TOKENIZER, TRAIN[:6], width=48)
    assert len(found) == 4 and any("padding token" in said for said in found.values())


def test_every_place_gets_the_same_answer(backbone):
    """What it says at the first place is what it says at the last, so it can't write two words."""
    batch = article_batch(TOKENIZER, TRAIN[:4], width=48)
    model = article_model(backbone, TOKENIZER.pad_token_id)
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert logits.shape == (4, len(TOKENIZER))
    expected = (
        -sum(logits[i].log_softmax(-1)[label].item() for i, row in enumerate(batch["labels"]) for label in row)
        / batch["labels"].numel()
    )
    assert article_loss(logits, batch["labels"]).item() == pytest.approx(expected, rel=1e-4)
    assert math.isfinite(expected)


def test_the_backbone_stays_as_it_was(backbone):
    before = copy.deepcopy(backbone.state_dict())
    model = article_model(backbone, TOKENIZER.pad_token_id)
    with torch.no_grad():
        model.transformer.wte.weight.zero_()
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
