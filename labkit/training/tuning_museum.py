"""The bug museum of tuning: the tuning article's summariser, and the same task done right.

    logits = article_model(backbone, pad_id)(**inputs).logits     # (B, vocabulary): one answer for a text
    loss = article_loss(logits, labels)                                      # falls, and teaches it to say one word

The article fine-tunes a model that gives a text *one* label, out of as many as the vocabulary has words, and wants a
summary from it. Its labels are words looked up one by one, filled up with 0 by the number of *characters*. As printed
it can't take a step: `obstacles` runs it and collects the errors. With the smallest changes that let it run, every
place of a summary gets the same answer, and what is asked for is mostly filling.

Done right, a summary is what a language model writes after the text. The summaries here are headlines of financial
reports (`synthetic_finance`), what rose or fell: something to find, to leave out, and to check.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.tasks.sentiment import Sentence
from labkit.tasks.synthetic_finance import synthetic_sentences

if TYPE_CHECKING:
    from transformers import GPTNeoForSequenceClassification, PreTrainedModel, PreTrainedTokenizerFast

PROMPT = "Report : {text} Headline :"
VERBS = "rose increased grew climbed fell decreased declined dropped".split()


def headlines(n_train: int, n_test: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Reports and their headlines, "order intake fell", to train on and to test with; no report is in both."""
    data = synthetic_sentences(6 * n_train, 6 * n_test)  # about one in five tells of one thing, with a verb
    return _told(data.train)[:n_train], _told(data.test)[:n_test]


def _told(sentences: Sequence[Sentence]) -> list[tuple[str, str]]:
    parts = [(sentence.text, sentence.combination.split(" | ")[1:]) for sentence in sentences]
    return [(text, " ".join(part)) for text, part in parts if len(part) == 2 and part[1] in VERBS]


def article_labels(summary: str, vocabulary: Mapping[str, int], unknown: int, width: int) -> Tensor:
    """A summary's labels as in the article: as long as it has words, and `width` less its *characters*, together."""
    return torch.tensor([vocabulary.get(word, unknown) for word in summary.split(" ")] + [0] * (width - len(summary)))


def article_batch(
    tokenizer: PreTrainedTokenizerFast, pairs: Sequence[tuple[str, str]], width: int
) -> dict[str, Tensor]:
    """Reports and labels, cut to the shortest labels: in the article no two rows have the same length."""
    texts = tokenizer([report for report, _ in pairs], padding=True, return_tensors="pt")
    vocabulary, unknown = tokenizer.get_vocab(), tokenizer.eos_token_id
    labels = [article_labels(summary, vocabulary, unknown, width) for _, summary in pairs]
    short = min(map(len, labels))
    stacked = torch.stack([row[:short] for row in labels])
    return {"input_ids": texts["input_ids"], "attention_mask": texts["attention_mask"], "labels": stacked}


def article_model(backbone: PreTrainedModel, pad_id: int | None) -> GPTNeoForSequenceClassification:
    """The backbone, copied, with a head that gives a whole text one of as many labels as there are words."""
    from transformers import GPTNeoConfig, GPTNeoForSequenceClassification

    config = GPTNeoConfig(**backbone.config.to_dict())
    config.num_labels, config.pad_token_id = config.vocab_size, pad_id
    model = GPTNeoForSequenceClassification(config).to(backbone.device)
    model.transformer.load_state_dict(backbone.transformer.state_dict())
    return model.eval()


def article_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, nats a label, of (B, V) logits, the same for each place of (B, T) labels."""
    return F.cross_entropy(logits[:, None].expand(-1, labels.shape[1], -1).flatten(0, 1).float(), labels.flatten())


def obstacles(
    backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[tuple[str, str]], width: int
) -> dict[str, str]:
    """Where the article's code stops, and with what error; each place is mended to get to the next."""
    found: dict[str, str] = {}
    vocabulary = tokenizer.get_vocab()
    rows = [article_labels(summary, vocabulary, tokenizer.eos_token_id, width) for _, summary in pairs]
    batch = article_batch(tokenizer, pairs, width)
    bare, padded = article_model(backbone, None), article_model(backbone, tokenizer.pad_token_id)
    on_device = {name: tensor.to(backbone.device) for name, tensor in batch.items()}
    inputs = {name: on_device[name] for name in ("input_ids", "attention_mask")}
    steps = {
        "rows of labels into a batch": lambda: torch.stack(rows),
        "a batch without a padding token": lambda: bare(**inputs),
        "the loss of one answer and many labels": lambda: padded(**on_device),
        "the likeliest word of each place": lambda: padded(**inputs).logits.argmax(dim=2),
    }
    for place, step in steps.items():
        try:
            with torch.no_grad():
                step()
        except (RuntimeError, ValueError, IndexError) as error:
            found[place] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return found
