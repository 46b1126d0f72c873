"""The bug museum of fine-tuning: mistakes of the report's code, planted in batches that have none.

    loader = DataLoader(pairs, collate_fn=lambda rows: unshifted(causal(rows, pad_id)))

Each is a line that was wrong, as a function of the right batch; none raises an error. The report's loss didn't fall,
or its ROUGE did, and it blamed cross-entropy. `teacher_forced` is how it measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from labkit.tasks.pairs import IGNORE

if TYPE_CHECKING:
    from transformers import BartForConditionalGeneration, PreTrainedTokenizerFast

Batch = dict[str, Tensor]


def unshifted(batch: Batch) -> Batch:
    """Asks at each place for the token that was just read there: copying it is all that is learnt."""
    labels = batch["labels"]
    return batch | {"labels": batch["input_ids"].where(labels != IGNORE, labels)}


def overwritten(batch: Batch) -> Batch:
    """The list of labels is made anew for every row, and the last row's is what all rows are left with."""
    return batch | {"labels": batch["labels"][-1:].expand_as(batch["labels"])}


def padding_counted(batch: Batch, pad_id: int, width: int) -> Batch:
    """Abstracts are padded to `width` tokens, and the loss asks for the padding, too."""
    labels = batch["labels"]
    labels = nn.functional.pad(labels, (0, max(0, width - labels.shape[1])), value=IGNORE)
    return batch | {"labels": labels.masked_fill(labels == IGNORE, pad_id)}


@torch.no_grad()
def teacher_forced(model: BartForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, batch: Batch) -> list[str]:
    """The likeliest token at each place *after the reference so far*, as texts: the report scored these.

    Nobody could use them: the model sees the right abstract up to the word before, whatever it would have written.
    """
    batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
    ids = model(**batch).logits.argmax(-1).masked_fill(batch["labels"] == IGNORE, tokenizer.pad_token_id)
    return tokenizer.batch_decode(ids, skip_special_tokens=True)
