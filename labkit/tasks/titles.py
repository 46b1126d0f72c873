"""Title → abstract: papers with their titles, and the instruction that asks for the one by the other.

    papers, task = load_titles(lab), instruction(lab)              # or instruction(lab, "abstract->title")
    print(task.prompt(papers.test[0]), "→", papers.test[0].abstract)
    pairs = encode_titles(tokenizer, papers.train, task, source_tokens=64, target_tokens=96)

`embedded` is synthetic (`synthetic_titles`). `local` and `hub` are abstracts of Chinese journals (Li et al. 2022, "CSL:
a large-scale Chinese scientific literature dataset"), and their instructions are in Chinese.

`local` is its summarisation benchmark: 1,000 papers to test with, as published, and 1,000 to train on, which are its
development set, for there is no other; up to a tenth of them are for validation. `hub` is all of it, some 396,000
papers in one file of 116 MB, without splits, as the NeuCLIR track of TREC distributes them: those whose abstract has
the smallest hash are for testing, the next for validation, the next for training. The whole file is read for that, a
paper at a time. A paper whose abstract or title an earlier one has, up to case, space and punctuation, is left out; the
local test set comes first. Runs of white space become a space. The files write < and > around the title of a book;
these, and a rare <br>, stay.
"""

from __future__ import annotations

import gzip
import heapq
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from labkit.hub import download, repository
from labkit.profile import Lab, LabError, data_dir, unknown
from labkit.tasks.labelled import place
from labkit.tasks.pairs import Pair
from labkit.tasks.papers import Paper, Papers
from labkit.tasks.rows import read_row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TEST, DEV = "csl/ts_test.tsv", "csl/ts_dev.tsv"
LONGEST_LINE = 1 << 20  # bytes of a paper: an archive of 100 kB can hold one of 100 MB
MOST_BYTES = 4 << 30  # of all papers; CSL has some 0.4 GB
TASK = "to title"  # the first column of every line
ARCHIVE = "data/csl.jsonl.gz"


@dataclass(frozen=True)
class TitledPaper(Paper):
    """A paper with its title; a real one has no body."""

    title: str = ""


class Instruction(NamedTuple):
    """Words around a source, and the space between them and the target; both are named as a paper's attributes."""

    source: str
    target: str
    begin: str
    end: str
    space: str

    def prompt(self, paper: TitledPaper) -> str:
        """All that stands before the target, without the space between."""
        return self.begin + getattr(paper, self.source) + self.end


ENGLISH = {
    "title->abstract": Instruction("title", "abstract", "Write the abstract of this paper: ", "\nAbstract:", " "),
    "abstract->title": Instruction("abstract", "title", "Write the title of this paper: ", "\nTitle:", " "),
}
CHINESE = {
    "title->abstract": Instruction("title", "abstract", "写出这篇论文的摘要：", "\n摘要：", ""),
    "abstract->title": Instruction("abstract", "title", "写出这篇论文的标题：", "\n标题：", ""),
}


def instruction(lab: Lab, direction: str = "title->abstract") -> Instruction:
    """How to ask, in the language of the lab's papers. Raises `LabError` for an unknown direction."""
    instructions = ENGLISH if lab.source == "embedded" else CHINESE
    if direction not in instructions:
        raise unknown("direction", direction, instructions)
    return instructions[direction]


def load_titles(lab: Lab) -> Papers:
    """`TitledPaper`s, as many as the profile has use for; no abstract and no title is there twice.

    Raises `LabError` if a file or the Hub is missing or malformed.
    """
    n_train, n_test = lab.profile.train_papers, lab.profile.test_papers
    if lab.source == "embedded":
        from labkit.tasks.synthetic_titles import synthetic_titles

        return synthetic_titles(n_train, n_test)
    unique = _Unique()
    if lab.source == "local":
        name = "CSL, summarisation benchmark"
        test, rest = list(unique(_local(TEST)))[:n_test], sorted(unique(_local(DEV)), key=place_of)
    else:
        name = "CSL, NeuCLIR"
        published = read_archive(download("csl", ARCHIVE), f"{ARCHIVE} of {repository('csl')}")
        sample = heapq.nsmallest(n_train + 2 * n_test, unique(published), key=place_of)
        test, rest = sample[:n_test], sample[n_test:]
    n_validation = min(n_test, len(rest) // 10)
    validation, train = rest[:n_validation], rest[n_validation:][:n_train]
    return Papers(train, validation, test, name, unique.dropped)


def encode_titles(
    tokenizer: PreTrainedTokenizerFast,
    papers: Sequence[TitledPaper],
    task: Instruction,
    source_tokens: int,
    target_tokens: int,
) -> list[Pair]:
    """Prompts and targets as token ids, up to so many: of a prompt the source is cut; a target ends in end of text."""
    end = tokenizer(task.end, add_special_tokens=False)["input_ids"]
    begun = [task.begin + getattr(paper, task.source) for paper in papers]
    targets = [task.space + getattr(paper, task.target) for paper in papers]
    begun, targets = (tokenizer(texts, add_special_tokens=False)["input_ids"] for texts in (begun, targets))
    return [
        (
            torch.tensor(ids[: source_tokens - len(end)] + end),
            torch.tensor([*target[: target_tokens - 1], tokenizer.eos_token_id]),
        )
        for ids, target in zip(begun, targets, strict=True)
    ]


class _Unique:
    """Lets a paper through if it has a title and an abstract, both new since the first call, and counts the others."""

    def __init__(self) -> None:
        self.seen: set[float] = set()
        self.dropped = 0

    def __call__(self, papers: Iterable[TitledPaper]) -> Iterator[TitledPaper]:
        for paper in papers:
            places = {place(paper.title), place(paper.abstract)}
            if paper.title and paper.abstract and self.seen.isdisjoint(places):
                self.seen |= places
                yield paper
            else:
                self.dropped += 1


def place_of(paper: TitledPaper) -> float:
    """See `labelled.place`."""
    return place(paper.abstract)


def _local(name: str) -> list[TitledPaper]:
    path = data_dir() / name
    try:
        lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    except OSError as error:
        raise LabError(f"can't read {path} ({error.strerror}): put the file there, or take SOURCE=embedded") from None
    return [_parse_line(line, f"line {i} of {path}", f"{path.stem}-{i}") for i, line in enumerate(lines, 1)]


def _parse_line(line: bytes, where: str, name: str) -> TitledPaper:
    try:
        columns = [_clean(column) for column in line.decode("utf-8-sig").split("\t")]
    except UnicodeDecodeError as error:
        raise LabError(f"{where} is not UTF-8 ({error.reason}): fetch the original file again") from None
    if len(columns) != 3 or columns[0] != TASK:
        raise LabError(f"{where} isn't {TASK!r}, an abstract and a title, with tabs between: fetch the file again")
    if not all(columns):
        raise LabError(f"{where} lacks its abstract or its title: fetch the file again")
    return TitledPaper(name, (), columns[1], title=columns[2])


def read_archive(path: Path, where: str) -> Iterator[TitledPaper]:
    """The papers of the Hub's file. Raises `LabError`, naming `where`, for one that is cut off or holds no paper."""
    try:
        with gzip.open(path) as lines:
            for number, line in enumerate(iter(partial(lines.readline, LONGEST_LINE), b""), 1):
                if lines.tell() > MOST_BYTES:
                    raise LabError(f"{where} has over {MOST_BYTES:,} bytes, unpacked: is it the right archive?")
                yield read_row(_parse_row, "CSL record", line, where, number)
    except (OSError, EOFError, zlib.error) as error:
        raise LabError(f"{where} is no whole archive ({error}): delete {path} and run again") from error


def _parse_row(row: Mapping[str, Any]) -> TitledPaper:
    return TitledPaper(str(row["doc_id"]), (), _clean(row["abstract"]), title=_clean(row["title"]))


def _clean(text: str) -> str:
    return " ".join(str.split(text))  # a TypeError for what is no text
