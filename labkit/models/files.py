"""Models on disk, as `transformers` keeps them: a folder with config.json, weights, and the tokenizer's files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.models.gpt2 import GPT2
from labkit.profile import LabError
from labkit.tasks.bpe import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def save_model(model: GPT2, tokenizer: Path, folder: Path) -> None:
    """The model as `transformers` saves it, with the files of its tokenizer, which lie in the folder `tokenizer`."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # one file; its bar would be the last thing a reader sees
    model.to_hf().save_pretrained(folder)
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):  # trained here, or GPT-2's own
        if (tokenizer / name).exists():
            shutil.copy(tokenizer / name, folder)


def load_model(folder: Path) -> tuple[GPT2, Tokenizer]:
    """The model and tokenizer that `save_model` wrote, ready to evaluate. Raises `LabError` if they aren't there."""
    from transformers import GPT2LMHeadModel
    from transformers.utils import logging

    if not (folder / "config.json").exists():
        raise LabError(f"no model in {folder}: train it first (notebook 02)")
    logging.disable_progress_bar()
    return GPT2.from_hf(GPT2LMHeadModel.from_pretrained(folder)).eval(), load_tokenizer(folder)


def save_pretrained(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """A model and a tokenizer of `transformers`' own, as it saves them."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
