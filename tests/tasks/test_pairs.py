"""A batch decides what the loss asks: one wrong label column and a model learns something else."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from labkit.models.bart import train_tokenizer
from labkit.tasks.bpe import TrainedBPE
from labkit.tasks.pairs import IGNORE, SEPARATOR, causal, encode, encode_causal, seq2seq, shuffled
from labkit.tasks.synthetic_papers import synthetic_papers

PAPERS = synthetic_papers(40, 1).train
TEXTS = [text for paper in PAPERS for text in (paper.article, paper.abstract)]


@pytest.fixture(scope="module")
def bpe(tmp_path_factory) -> TrainedBPE:
    return TrainedBPE.train(TEXTS, 600, tmp_path_factory.mktemp("bpe") / "tokenizer.json")


def test_seq2seq_pads_sources_with_pad_and_labels_with_ignore():
    pairs = [(torch.tensor([0, 5, 2]), torch.tensor([0, 7, 8, 2])), (torch.tensor([0, 2]), torch.tensor([0, 2]))]
    batch = seq2seq(pairs, pad_id=1)
    assert batch["input_ids"].tolist() == [[0, 5, 2], [0, 2, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [[0, 7, 8, 2], [0, 2, IGNORE, IGNORE]]


def test_causal_labels_are_the_next_token_of_the_target_alone():
    batch = causal([(torch.tensor([10, 11, 12]), torch.tensor([20, 21])), (torch.tensor([10]), torch.tensor([20]))], 9)
    assert batch["input_ids"].tolist() == [[10, 11, 12, 20], [10, 9, 9, 9]]
    assert batch["labels"].tolist() == [[IGNORE, IGNORE, 20, 21], [20, IGNORE, IGNORE, IGNORE]]


def test_padding_changes_no_loss():
    """Parity: a short pair alone, and beside a long one."""
    torch.manual_seed(0)
    short, long = (torch.tensor([1, 2]), torch.tensor([3, 4])), (torch.arange(5), torch.arange(5))
    table = torch.randn(10, 10)

    def loss(batch: dict[str, torch.Tensor], row: int) -> torch.Tensor:
        logits = table[batch["input_ids"][row]]
        return F.cross_entropy(logits, batch["labels"][row], ignore_index=IGNORE)

    torch.testing.assert_close(loss(causal([short], 0), 0), loss(causal([long, short], 0), 1))


def test_encoded_papers_keep_their_frame_when_cut():
    """A source that lost its end, or a target its <eot>, would never teach where to begin or to stop."""
    tokenizer = train_tokenizer(TEXTS, 600)
    for source, target in encode(tokenizer, PAPERS, 20, 12):
        assert len(source) <= 20 and len(target) <= 12
        assert source[0] == target[0] == 0 and source[-1] == target[-1] == 2


def test_causal_sources_end_with_the_separator_when_cut(bpe):
    separator = bpe.encode(SEPARATOR)
    for source, target in encode_causal(bpe, PAPERS, 30, 12):
        assert len(source) <= 30 and source[-len(separator) :].tolist() == separator
        assert len(target) <= 12 and target[-1] == bpe.eot


def test_an_empty_article_is_a_prompt_of_the_separator_alone(bpe):
    from labkit.tasks.papers import Paper

    ((source, _),) = encode_causal(bpe, [Paper("0", (), "An abstract.")], 30, 12)
    assert source.tolist() == bpe.encode(SEPARATOR)


def test_batches_come_in_an_order_that_the_seed_alone_decides():
    """Else two arms of a comparison would train on other batches as soon as one of them drops out a unit."""

    def order(seed: int) -> list[list[int]]:
        torch.rand(3)  # somebody else's draw
        pairs = [(torch.tensor([i]), torch.tensor([i])) for i in range(20)]
        loader = shuffled(pairs, 4, partial(seq2seq, pad_id=0), seed)
        return [batch["labels"].flatten().tolist() for _ in range(2) for batch in loader]

    assert order(0) == order(0) != order(1)
    first, second = ([i for batch in half for i in batch] for half in (order(0)[:5], order(0)[5:]))
    assert first != second and sorted(first) == sorted(second) == list(range(20))
