"""How does it go on? A context and four endings, one of them the true one.

    questions = load_hellaswag(resolve("laptop"))
    print(questions[0])

HellaSwag (Zellers et al. 2019, "HellaSwag: Can a Machine Really Finish Your Sentence?") asks for the next step in a
video's caption or a how-to article; the wrong ones were written by a model, and chosen to deceive models. `local` and
`hub` read its 10,042 validation questions. They are hard: chance is 25 %, GPT-2 small reaches 29 %.

A model that has trained for three minutes is at chance on them. `embedded` is a synthetic, in-domain task of the same
shape ("HellaSwag-shaped"): how does this paragraph of a held-out document end? It asks whether a model heeds its
context, not for common sense, and its numbers compare with nothing published.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from labkit.profile import Lab, LabError
from labkit.tasks import rows
from labkit.tasks.corpus import Corpus
from labkit.tasks.documents import fingerprint
from labkit.tasks.webtext import load_webtext

VALIDATION = "data/validation-00000-of-00001.parquet"
FILES = rows.Files("hellaswag", {"validation": "hellaswag/hellaswag_val.jsonl"}, {"validation": VALIDATION})
NAMES = {
    "embedded": "HellaSwag-shaped questions from held-out documents (synthetic, in-domain)",
    "local": "HellaSwag, validation",
    "hub": "HellaSwag, validation",
}
COUNTS = {"smoke": 64, "laptop": 400, "full": 10_042}  # 400 take seconds, and leave ± 5 points
CHOICES = 4
CONTEXT_WORDS = 48
ENDING_WORDS = 8


@dataclass(frozen=True)
class Question:
    """Which of four `endings` follows `context` and a space? The one at `label`."""

    context: str
    endings: tuple[str, ...]
    label: int

    def __str__(self) -> str:
        """For a reader: the endings below the context, an arrow at the true one."""
        marks = ("→" if i == self.label else " " for i in range(len(self.endings)))
        return "\n".join([self.context, *(f"{mark} … {e}" for mark, e in zip(marks, self.endings, strict=True))])


def load_hellaswag(lab: Lab, corpus: Corpus | None = None, count: int | None = None) -> list[Question]:
    """Up to `count` questions (default: the profile's in `COUNTS`); a function of profile, source and seed.

    `corpus` saves the embedded source from loading its text again. `NAMES[lab.source]` is what the questions are to be
    called wherever their accuracy is shown. Raises `LabError` if the file or the Hub is missing or answers with
    something else, and for a text too short to ask about.
    """
    count = COUNTS[lab.profile.name] if count is None else count
    if lab.source == "embedded":
        corpus = corpus or load_webtext(lab)
        return make_questions(held_out(corpus), unigram_loss(corpus), lab.seed)[:count]
    questions = list(FILES.open(lab.source)["validation"].read(read_row))
    random.Random(lab.seed).shuffle(questions)  # the file has the captions first, then the articles
    return questions[:count]


class Tail(NamedTuple):
    """The end of a paragraph and what stands before it."""

    document: int
    context: str
    ending: str


def make_questions(documents: Sequence[str], loss: Callable[[str], float], seed: int) -> list[Question]:
    """As many questions as the documents give, four by four: the endings of four paragraphs, for each of the four.

    The four come from different documents, have equally many words, and are neighbours by `loss` (`unigram_loss`):
    a rare word in one of them would weigh more than anything the context says. Whoever judges an ending without
    reading the context gives the same answer four times and is right once, so all such judges, by length, by fluency,
    by vocabulary, score 25 % exactly. Labels are balanced too. Raises `LabError` if there are too few paragraphs.
    """
    rng = random.Random(seed)
    tails = {fingerprint(tail.ending): tail for i, text in enumerate(documents) for tail in _tails(i, text)}
    fours = list(_fours(sorted(tails.values(), key=lambda tail: loss(tail.ending))))
    if not fours:
        raise LabError(
            f"{len(tails)} long paragraphs in {len(documents)} held-out documents are too few for a question with "
            f"{CHOICES} endings: take a larger profile, or SOURCE=local or hub"
        )
    rng.shuffle(fours)
    questions = []
    for four in fours:
        for tail, label in zip(four, rng.sample(range(CHOICES), CHOICES), strict=True):
            endings = [other.ending for other in four if other is not tail]
            rng.shuffle(endings)
            endings.insert(label, tail.ending)
            questions.append(Question(tail.context, tuple(endings), label))
    return questions


def held_out(corpus: Corpus) -> list[str]:
    """The corpus's validation documents, decoded; for corpora of one shard, as the embedded are."""
    tokens = corpus.val.window(np.array([0]), len(corpus.val))[0]
    ends = np.flatnonzero(tokens == corpus.tokenizer.eot) + 1  # the token: a document may spell its name
    return [corpus.tokenizer.decode(ids[:-1]) for ids in np.split(tokens, ends)[:-1]]


def unigram_loss(corpus: Corpus) -> Callable[[str], float]:
    """A text's mean loss (nats a token) under the simplest model: how often its tokens occur in the training text."""
    tokens = corpus.train.window(np.array([0]), len(corpus.train))[0]
    counts = np.bincount(tokens, minlength=corpus.tokenizer.vocab_size) + 1  # none is impossible
    losses = np.log(counts.sum()) - np.log(counts)
    return lambda text: float(losses[corpus.tokenizer.encode(" " + text)].mean())


def _tails(document: int, text: str) -> Iterator[Tail]:
    """Every paragraph at least twice as long as an ending, and with a full context before its ending."""
    words = list(re.finditer(r"\S+", text))
    begin = 0
    for i, word in enumerate(words):
        if i + 1 < len(words) and "\n\n" not in text[word.end() : words[i + 1].start()]:
            continue
        cut = i + 1 - ENDING_WORDS
        if cut - begin >= ENDING_WORDS and cut >= CONTEXT_WORDS:
            context = text[words[cut - CONTEXT_WORDS].start() : words[cut - 1].end()]
            yield Tail(document, context, text[words[cut].start() : word.end()])
        begin = i + 1


def _fours(tails: Iterable[Tail]) -> Iterator[list[Tail]]:
    """Groups of four from different documents; a tail that would be its document's second is left out."""
    four: list[Tail] = []
    for tail in tails:
        if tail.document not in (other.document for other in four):
            four.append(tail)
        if len(four) == CHOICES:
            yield four
            four = []


def _parse(row: Mapping[str, Any]) -> Question:
    context, endings = clean(row["ctx"]), tuple(clean(ending) for ending in row["endings"])
    label = int(row["label"])  # the Hub has it as text
    if len(endings) != CHOICES or not 0 <= label < CHOICES:
        raise ValueError(f"{len(endings)} endings, label {label}")
    return Question(context, endings, label)


read_row = partial(rows.read_row, _parse, "HellaSwag question")


def clean(text: str) -> str:
    """The text without the markers of its how-to articles: a title becomes a sentence, the others vanish.

    >>> clean("[header] How to nap [title] Lie down. [step] Close your eyes.")
    'How to nap. Lie down. Close your eyes.'
    """
    text = re.sub(r"\[(?:header|title|step|substeps)\]", " ", text.replace(" [title]", ". "))
    return re.sub(" {2,}", " ", text).strip()
