"""Named entities in biomedical abstracts: BioNLP2004, five kinds of names.

    data = load_ner(resolve("laptop"), n_train=1_000, n_test=200)
    for token, tag in zip(data.test[0].tokens, data.test[0].tags): print(token, tag)

A sentence is a list of words, each with a tag in IOB2: B- begins an entity, I- goes on with it, O is outside. So two
entities side by side stay apart, and an I- with nothing of its kind before it means nothing: in data that is an error,
in predictions it is no entity (`labkit.evaluation.entities`).

`local` reads the original files of the shared task (Collier and Kim 2004, "Introduction to the Bio-entity Recognition
Task at JNLPBA"): a word, a tab and its tag a line, blank lines between sentences. A `###MEDLINE:` line begins an
abstract in the training and test files, a `-DOCSTART-` line in the development file. `hub` reads `tner/bionlp2004`,
whose training and validation sentences are split otherwise; its test sentences are the same.

A hundred of the training sentences stand in the test set too, word for word. The test set is left whole, to be
comparable with what was published, and they are left out of the training set; likewise those of the validation set.
A file that was cut off at the end of a line can't be told from a whole one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from labkit.profile import Lab, LabError
from labkit.tasks.rows import Files, Rows, read_row

KINDS = ("DNA", "protein", "cell_type", "cell_line", "RNA")
# In the order of the Hub's label2id (as its page has it) and of the report, so that ids agree.
LABELS = ("O", *(f"{prefix}-{kind}" for kind in KINDS for prefix in "BI"))

FILES = Files(
    "bionlp2004",
    local={
        "train": "bionlp2004/train.iob2",
        "validation": "bionlp2004/devel.tsv",
        "test": "bionlp2004/test.iob2",
    },
    hub={"train": "dataset/train.json", "validation": "dataset/valid.json", "test": "dataset/test.json"},
)
N_TRAIN, N_TEST = 2_000, 400  # synthetic sentences, where nobody says how many
_DOC_START = b"-DOCSTART-"
_BREAKS = (b"###MEDLINE:", _DOC_START)
_AGAIN = "fetch the file again; was it cut off?"


@dataclass(frozen=True)
class Sentence:
    """Words and their tags. Raises `ValueError` for what is no sentence in IOB2: see `find_fault`."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        if fault := find_fault(self.tokens, self.tags):
            raise ValueError(f"word {fault[0] + 1}: {fault[1]}")


@dataclass(frozen=True)
class TaggedSentences:
    """A dataset of tagged sentences; no sentence of its training set is in another.

    `name` is what it is to be called wherever a number of it is shown; `dropped` counts what was left out, by reason.
    """

    train: list[Sentence]
    validation: list[Sentence]
    test: list[Sentence]
    name: str
    dropped: Mapping[str, int]


def find_fault(tokens: Sequence[str], tags: Sequence[str]) -> tuple[int, str] | None:
    """The first thing wrong with a sentence, as the place of a word and a complaint; None if all is well."""
    if len(tokens) != len(tags) or not tokens:
        return min(len(tokens), len(tags)), f"{len(tokens)} words and {len(tags)} tags, where each word has one"
    before = "O"
    for i, (token, tag) in enumerate(zip(tokens, tags, strict=True)):
        if not isinstance(token, str) or token.split() != [token]:
            return i, f"{token!r} is no word"
        if tag not in LABELS:
            return i, f"unknown label {tag!r} (known: {', '.join(LABELS)})"
        if tag.startswith("I-") and before[2:] != tag[2:]:
            return i, f"{tag} follows {before}, but in IOB2 an entity begins with B-"
        before = tag
    return None


def load_ner(lab: Lab, n_train: int | None = None, n_test: int | None = None) -> TaggedSentences:
    """The sentences of the lab's source: the first `n_train` to train on, `n_test` for validation and test each.

    None takes all of real data, and `N_TRAIN` and `N_TEST` of synthetic ones. Raises `LabError` if a file or the Hub is
    missing or malformed, naming the file, the line and what to do.
    """
    if lab.source == "embedded":
        from labkit.tasks.synthetic_ner import synthetic_ner  # which makes this module's sentences

        return synthetic_ner(N_TRAIN if n_train is None else n_train, N_TEST if n_test is None else n_test)
    splits, doc_starts = {}, 0
    for split, rows in FILES.open(lab.source).items():
        lines = list(rows.rows)
        if lab.source == "local":
            splits[split] = list(read_iob2(lines, rows.where))
            doc_starts += sum(line.startswith(_DOC_START) for line in lines)
        else:
            splits[split] = list(Rows(rows.where, lines).read(partial(read_row, parse, "tagged sentence")))
        if not splits[split]:
            raise LabError(f"{rows.where} has no sentence: fetch the file again")
    validation = _without(splits["validation"], splits["test"])
    train = _without(splits["train"], [*splits["validation"], *splits["test"]])
    duplicates = len(splits["train"]) - len(train) + len(splits["validation"]) - len(validation)
    return TaggedSentences(
        train[:n_train],
        validation[:n_test],
        splits["test"][:n_test],
        name={"local": "BioNLP2004", "hub": "BioNLP2004 (tner's split)"}[lab.source],
        dropped={"duplicates across splits": duplicates, "-DOCSTART- blocks": doc_starts},
    )


def read_iob2(lines: Iterable[bytes], where: str) -> Iterator[Sentence]:
    """The sentences of a file's lines. Raises `LabError` that names `where` and the line of the first fault."""
    tokens, tags, first = [], [], 1
    for number, line in enumerate([*lines, b""], 1):
        if not line.strip() or line.startswith(_BREAKS):
            if tokens:
                yield _sentence(tokens, tags, where, first)
            tokens, tags, first = [], [], number + 1
            continue
        try:
            token, tab, tag = line.decode("utf-8").partition("\t")
        except UnicodeDecodeError as error:
            raise LabError(f"line {number} of {where} is no UTF-8 ({error}): fetch the file again") from None
        if not tab:
            raise LabError(f"line {number} of {where} has no tab between word and tag ({token!r}): {_AGAIN}")
        tokens.append(token)
        tags.append(tag)


def _sentence(tokens: list[str], tags: list[str], where: str, first: int) -> Sentence:
    """Checked here, where the fault's line is known."""
    try:
        return Sentence(tuple(tokens), tuple(tags))
    except ValueError as error:
        place, complaint = find_fault(tokens, tags) or (0, str(error))
        raise LabError(f"line {first + place} of {where}: {complaint}: {_AGAIN}") from None


def parse(row: Mapping[str, Any]) -> Sentence:
    """A row of the Hub's: its tags are places in `LABELS`."""
    if not isinstance(row["tokens"], list):
        raise TypeError("tokens must be a list of words")  # a text would be read letter by letter
    labels = dict(enumerate(LABELS))  # not the tuple: a tag of -1 must not be its last
    return Sentence(tuple(row["tokens"]), tuple(labels[tag] for tag in row["tags"]))


def _without(sentences: Iterable[Sentence], others: Iterable[Sentence]) -> list[Sentence]:
    """The sentences whose words aren't those of another one."""
    seen = {sentence.tokens for sentence in others}
    return [sentence for sentence in sentences if sentence.tokens not in seen]
