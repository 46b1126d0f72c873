"""Sentences from financial news: good news for an investor, bad news, or none.

    data = load_sentiment(resolve("laptop"))                       # unique sentences, disjoint splits
    leaky = leaky_split(resolve("laptop"))                         # the GPT-Neo report's; see leaky.leak_share

Financial PhraseBank (Malo et al. 2014, "Good debt or bad debt"): 4,846 sentences, each labelled by 5 to 8 people, in
four files by how many of them agreed: at least 50, 66, 75 or 100 %. Each stricter file is a subset of the looser ones,
and has 5 to 8 sentences twice. So a model trained on one file and tested on another, as in the report, is tested on
what it was trained on. `load_sentiment` keeps each sentence once and splits by a hash of its words: 80 / 10 / 10 %,
the same in every run, and a test sentence at one level of agreement is never a training sentence at another.

`embedded` is a synthetic dataset of the same schema (`synthetic_finance`), `local` the original files, `hub` the
archive of them: the repository there has a script, which `datasets` 4 refuses.
"""

from __future__ import annotations

import random
import re
import zipfile
import zlib
from dataclasses import dataclass
from itertools import pairwise

from labkit.hub import download, repository
from labkit.profile import Lab, LabError, data_dir, unknown
from labkit.tasks.labelled import Labelled, key, place

LABELS = ("negative", "neutral", "positive")
LEVELS = (50, 66, 75, 100)  # at least so many per cent of the people agreed
MEMBERS = {level: f"Sentences_{'All' if level == 100 else level}Agree.txt" for level in LEVELS}
FOLDER = "financial_phrasebank"
ARCHIVE = "data/FinancialPhraseBank-v1.0.zip"
ARCHIVE_FOLDER = "FinancialPhraseBank-v1.0"
MEMBER_LIMIT = 64 << 20  # bytes; the largest has 0.7 MB
# What reading a damaged archive raises; the last one, an encrypted one.
DAMAGED = (zipfile.BadZipFile, KeyError, EOFError, zlib.error, RuntimeError)
# How many synthetic sentences to train on, and to validate and test on each.
COUNTS = {"smoke": (240, 60), "laptop": (2_400, 400), "full": (3_876, 485)}

# The GPT-Neo report's, as far as it can be read. Its listing has, damaged, `f"(text_column): {x} Label : "`, where the
# column is "sentence"; its scorer looks for `"Label" : negative` with quotation marks, and finds it, so the prompt had
# them. Uncertain: the quotation marks around "sentence", and the space after it. On its final space see `labelled`.
PROMPT = '"sentence" : {text} "Label" :'
# Put before the prompt, in the report, only where a model is asked before any tuning.
INSTRUCTION = "Classify if the sentence is neutral, negative, positive:"


@dataclass(frozen=True)
class Sentence:
    """A sentence, its label as an index of `LABELS`, and the highest of `LEVELS` at which people agreed on it.

    `combination` says how a synthetic sentence is built; a real one's is empty.
    """

    text: str
    label: int
    agreement: int
    combination: str = ""

    @property
    def prompt(self) -> str:
        """See `labelled.Example`."""
        return PROMPT.format(text=self.text)


def load_sentiment(lab: Lab, agreement: int = 50) -> Labelled[Sentence]:
    """Unique sentences of at least that agreement; no sentence is in two splits.

    A sentence that a looser file has once more, with another label (two do), keeps the one that more people gave.
    Raises `LabError` if a file or the Hub is missing or malformed, and for an unknown level.
    """
    if agreement not in LEVELS:
        raise unknown("agreement", agreement, map(str, LEVELS))
    if lab.source == "embedded":
        return _synthetic(lab, agreement)
    files = read_files(lab, agreement)
    unique: dict[str, Sentence] = {}
    for level in sorted(files, reverse=True):  # the strictest first: it knows the agreement
        for sentence in files[level]:
            unique.setdefault(key(sentence.text), sentence)
    shuffled = sorted(unique.values(), key=lambda sentence: place(sentence.text))
    places = [place(sentence.text) for sentence in shuffled]
    return Labelled(
        LABELS,
        train=[s for s, p in zip(shuffled, places, strict=True) if p >= 0.2],
        validation=[s for s, p in zip(shuffled, places, strict=True) if 0.1 <= p < 0.2],
        test=[s for s, p in zip(shuffled, places, strict=True) if p < 0.1],
        name=f"Financial PhraseBank, {agreement} % agreement",
        dropped=len(files[agreement]) - len(unique),
    )


def leaky_split(lab: Lab) -> Labelled[Sentence]:
    """The report's split, kept as an exhibit: train on 90 % of the 50-%-agreement file, test on the 66-% one.

    The other tenth is its validation, drawn with the lab's seed. About nine test sentences in ten are trained on:
    `leak_share`. Nothing is dropped. Raises `LabError` as `load_sentiment` does.
    """
    if lab.source == "embedded":
        data = _synthetic(lab, 50)
        sentences = data.train + data.validation + data.test
        files = {50: sentences, 66: [sentence for sentence in sentences if sentence.agreement >= 66]}
        name = data.name
    else:
        files, name = read_files(lab, 50), "Financial PhraseBank"
    shuffled = random.Random(lab.seed).sample(files[50], len(files[50]))
    tenth = len(shuffled) // 10
    name = f"{name}, trained on 50 % and tested on 66 % agreement (leaks)"
    return Labelled(LABELS, shuffled[tenth:], shuffled[:tenth], files[66], name, dropped=0)


def read_files(lab: Lab, loosest: int = 50) -> dict[int, list[Sentence]]:
    """The sentences of each file of at least the agreement `loosest`, as they stand, duplicates included.

    Raises `LabError` if one is missing or malformed, or lacks a sentence that a stricter one has: then it was cut off,
    or comes in another encoding.
    """
    levels = [level for level in LEVELS if level >= loosest]
    raw = _local(levels) if lab.source == "local" else _hub(levels)
    files = {level: _parse(data, where, level) for level, (where, data) in raw.items()}
    for looser, stricter in pairwise(levels):
        known = {key(sentence.text) for sentence in files[looser]}
        if strange := [s.text for s in files[stricter] if key(s.text) not in known]:
            raise LabError(
                f"{raw[looser][0]} lacks {len(strange)} sentences of {raw[stricter][0]}, the first "
                f"{strange[0][:60]!r}: one of them is incomplete or re-encoded; fetch both again"
            )
    return files


def _synthetic(lab: Lab, agreement: int) -> Labelled[Sentence]:
    from labkit.tasks.synthetic_finance import synthetic_sentences

    return synthetic_sentences(*COUNTS[lab.profile.name], agreement)


def _local(levels: list[int]) -> dict[int, tuple[str, bytes]]:
    files = {}
    for level in levels:
        path = data_dir() / FOLDER / MEMBERS[level]
        try:
            files[level] = str(path), path.read_bytes()
        except OSError as error:
            remedy = "put the file there, or take SOURCE=embedded"
            raise LabError(f"can't read {path} ({error.strerror}): {remedy}") from None
    return files


def _hub(levels: list[int]) -> dict[int, tuple[str, bytes]]:
    where, path = f"{ARCHIVE} of {repository(FOLDER)}", download(FOLDER, ARCHIVE)
    try:
        with zipfile.ZipFile(path) as archive:
            names = {level: f"{ARCHIVE_FOLDER}/{MEMBERS[level]}" for level in levels}
            return {level: (f"{name} in {where}", read_member(archive, name)) for level, name in names.items()}
    except DAMAGED as error:
        raise LabError(f"{where} is no whole archive ({error}): delete {path} and run again") from error


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes. Raises `LabError` for more than `MEMBER_LIMIT`: a small archive can hold a full disk."""
    member = archive.getinfo(name)
    if (size := member.file_size) > MEMBER_LIMIT:
        raise LabError(
            f"{name} would have {size:,} bytes, over the limit of {MEMBER_LIMIT:,}: is it the right archive?"
        )
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(f"{name} is packed by a method that zipfile unpacks without a limit")
    with archive.open(member) as stream:
        return stream.read(size + 1)  # no more: it may hold more than it announces


def _parse(data: bytes, where: str, level: int) -> list[Sentence]:
    """The sentences of a file in latin-1, unless all of it is UTF-8, as one of the four is in copies that circulate.

    Text in latin-1 that happens to be valid UTF-8 is next to impossible; what is neither has control characters.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    lines = text.removesuffix("\n").split("\n")  # not splitlines, which knows ends of lines that aren't
    return [_parse_line(line.rstrip("\r"), f"line {i} of {where}", level) for i, line in enumerate(lines, 1)]


def _parse_line(line: str, where: str, level: int) -> Sentence:
    if control := re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", line):
        raise LabError(
            f"{where} is neither latin-1 nor UTF-8 (it would hold the control character {control[0]!r}): "
            "fetch the original file again"
        )
    text, at, label = line.rpartition("@")  # the last one: a sentence may hold an address
    if not at:
        raise LabError(f"{where} has no '@' before a label ({line[:60]!r}): is the file cut off? Fetch it again")
    if label not in LABELS:
        raise LabError(f"{where}: {unknown('label', label, LABELS)}; is the file cut off? Fetch it again")
    if not text.strip():
        raise LabError(f"{where} has a label and no sentence: fetch the file again")
    return Sentence(text.strip(), LABELS.index(label), level)
