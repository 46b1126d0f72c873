"""Pairs of sentences from the news, and whether both say the same.

    data = load_paraphrase(resolve("laptop"))
    print(data.test[0].prompt, "→", data.labels[data.test[0].label])

The Microsoft Research Paraphrase Corpus (MRPC, Dolan and Brockett 2005): pairs with many words in common, of which two
in three were judged equivalent. 4,076 are for training and 1,725 for testing, 1,147 of them equivalent: who always
answers "equivalent" is right in 66.5 %. Some pairs occur twice, or in both files; the test set stays as it is, for the
sake of comparison, and the others are dropped from training. What stays: 275 test pairs share *one* sentence with a
training pair.

`local` are the original files. GLUE cut their training file into 3,668 and 408 pairs by a list that is not in them, so
here every tenth pair, by a hash of its words, is for validation. `hub` is GLUE, split as there, its texts with spaces
around punctuation. `embedded` is a synthetic dataset of the same schema (`synthetic_paraphrase`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from labkit.profile import Lab, LabError, data_dir
from labkit.tasks.labelled import Labelled, key, place
from labkit.tasks.rows import Files, read_row

LABELS = ("not equivalent", "equivalent")
FOLDER = "mrpc"
MEMBERS = {"train": "msr_paraphrase_train.txt", "test": "msr_paraphrase_test.txt"}
HEADER = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
SPLITS = ("train", "validation", "test")
FILES = Files(
    FOLDER,
    local={},  # their format is their own: see `_read`
    hub={split: f"mrpc/{split}-00000-of-00001.parquet" for split in SPLITS},
)
# How many synthetic pairs to train on, and to validate and test on each.
COUNTS = {"smoke": (240, 60), "laptop": (4_000, 400), "full": (3_668, 408)}

# The GPT-Neo report's, from a prompt and an answer that it shows; both stand in square brackets, with the answer within
# them, which are taken for how Python printed a list. It shows no code for this task. On the space see `labelled`.
PROMPT = '"Sentence1": {first} "Sentence2": {second} "Label":'
# Put before the prompt, in the report, only where a model is asked before any tuning.
INSTRUCTION = "Classify if the two sentences are equivalent or not:"


@dataclass(frozen=True)
class Pair:
    """Two sentences, and whether they are equivalent, as an index of `LABELS`.

    `change` says which fact of a synthetic pair was changed; it is empty if they are equivalent, and for real pairs.
    """

    first: str
    second: str
    label: int
    change: str = ""

    @property
    def text(self) -> str:
        """Both, one after the other."""
        return f"{self.first} {self.second}"

    @property
    def prompt(self) -> str:
        """See `labelled.Example`."""
        return PROMPT.format(first=self.first, second=self.second)


def load_paraphrase(lab: Lab) -> Labelled[Pair]:
    """The pairs of the lab's source; no pair, in either order, is in two splits or twice in training.

    Raises `LabError` if a file or the Hub is missing or malformed.
    """
    if lab.source == "embedded":
        from labkit.tasks.synthetic_paraphrase import synthetic_pairs

        return synthetic_pairs(*COUNTS[lab.profile.name])
    if lab.source == "local":
        splits = {split: _read(split) for split in MEMBERS}
    else:
        read = partial(read_row, _parse, "MRPC pair")
        splits = {split: list(rows.read(read)) for split, rows in FILES.open(lab.source).items()}
    taken = {_key(pair) for pair in splits["test"]}
    validation = _fresh(splits.get("validation", []), taken)
    train = _fresh(splits["train"], taken)
    dropped = sum(map(len, splits.values())) - len(splits["test"]) - len(train) - len(validation)
    if lab.source == "local":
        train.sort(key=lambda pair: place(_key(pair)))
        tenth = len(train) // 10
        validation, train = train[:tenth], train[tenth:]
    return Labelled(LABELS, train, validation, splits["test"], "MRPC", dropped)


def _key(pair: Pair) -> str:
    return " | ".join(sorted((key(pair.first), key(pair.second))))


def _fresh(pairs: Iterable[Pair], taken: set[str]) -> list[Pair]:
    """The pairs that aren't taken, each once; now they are. Of two with different labels the first stays."""
    fresh = []
    for pair in pairs:
        if _key(pair) not in taken:
            taken.add(_key(pair))
            fresh.append(pair)
    return fresh


def _read(split: str) -> list[Pair]:
    """An original file: UTF-8 with a byte-order mark, CRLF, a header, tabs."""
    path = data_dir() / FOLDER / MEMBERS[split]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LabError(f"can't read {path} ({error.strerror}): put the file there, or take SOURCE=embedded") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise LabError(f"row {row} of {path} is not UTF-8 ({error.reason}): fetch the file again") from None
    if not text.endswith("\n"):
        raise LabError(f"row {text.count(chr(10)) + 1} of {path}, the last, has no end: fetch the file again")
    # Not by `csv`, unless with QUOTE_NONE: a quotation mark is text here, and would merge rows until the next one.
    header, *rows = (line.removesuffix("\r").split("\t") for line in text.removesuffix("\n").split("\n"))
    if header != HEADER:
        raise LabError(f"{path} begins with {header}, not with {HEADER}: is it the original file?")
    return [_parse_row(row, f"row {number} of {path}") for number, row in enumerate(rows, 2)]


def _parse_row(row: list[str], where: str) -> Pair:
    if len(row) != len(HEADER):
        raise LabError(f"{where} has {len(row)} fields, not {len(HEADER)}: fetch the file again")
    quality, _, _, first, second = row
    if quality not in ("0", "1"):
        raise LabError(f"{where} has the label {quality!r}, not 0 or 1: fetch the file again")
    if not first.strip() or not second.strip():
        raise LabError(f"{where} lacks a sentence: fetch the file again")
    return Pair(first.strip(), second.strip(), int(quality))


def _parse(row: Mapping[str, Any]) -> Pair:
    first, second = (str.strip(row[name]) for name in ("sentence1", "sentence2"))  # a TypeError if it is no text
    label = row["label"]
    if label not in (0, 1) or not first or not second:
        raise ValueError(f"label {label}, sentences {first!r} and {second!r}")
    return Pair(first, second, int(label))
