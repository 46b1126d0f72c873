"""Each planted bug is exactly the one that is meant, and nothing else changes."""

from __future__ import annotations

import torch

from labkit.models.bart import new_bart, train_tokenizer
from labkit.tasks.pairs import IGNORE, causal, encode, seq2seq
from labkit.tasks.synthetic_papers import synthetic_papers
from labkit.training.finetune_museum import overwritten, padding_counted, teacher_forced, unshifted

PAIRS = [(torch.tensor([10, 11, 12]), torch.tensor([20, 21])), (torch.tensor([13]), torch.tensor([22]))]


def test_unshifted_labels_are_the_tokens_read_where_targets_were_asked():
    right = causal(PAIRS, pad_id=9)
    wrong = unshifted(right)
    assert wrong["labels"].tolist() == [[IGNORE, IGNORE, 12, 20], [13, IGNORE, IGNORE, IGNORE]]
    assert right["labels"][0, 2] == 20, "the right batch was changed"


def test_overwritten_labels_are_the_last_rows():
    right = causal(PAIRS, pad_id=9)
    assert overwritten(right)["labels"].tolist() == 2 * [right["labels"][-1].tolist()]
    torch.testing.assert_close(overwritten(right)["input_ids"], right["input_ids"])


def test_counted_padding_is_asked_for_and_widens_short_batches_only():
    right = seq2seq(PAIRS, pad_id=1)
    assert padding_counted(right, 1, 4)["labels"].tolist() == [[20, 21, 1, 1], [22, 1, 1, 1]]
    assert padding_counted(right, 1, 1)["labels"].tolist() == [[20, 21], [22, 1]]


def test_teacher_forced_texts_see_the_reference():
    """A model that knows nothing but how to repeat its input one step later would score well here."""
    papers = synthetic_papers(8, 1).train
    tokenizer = train_tokenizer([p.article + p.abstract for p in papers], 400)
    torch.manual_seed(0)
    model = new_bart(tokenizer, 16, 1, 1, 256)
    pairs = encode(tokenizer, papers, 200, 100)
    batch = seq2seq(pairs, tokenizer.pad_token_id)
    changed = batch | {"labels": batch["labels"].flip(0)}
    texts = teacher_forced(model, tokenizer, batch)
    assert len(texts) == 8 and texts != teacher_forced(model, tokenizer, changed)
