"""The words of the course, explained where it first uses them, in English and in Chinese.

    words = load_glossary()                        # data/glossary.yaml
    marker = Marker(words)
    marker.mark("The loss is in nats.", "02")      # "The [loss](#Words) is in [nats](#Words)."
    table(marker.first["02"])                      # the Markdown table that the links lead to

A word is one entry, whatever its forms: plurals in -s and -es are found by themselves, others stand under `also`. Of
two words at one place the longer counts ("entity F1" is no use of "F1"). What is prose is decided by a regular
expression: headings, tables, code, formulas and links are passed over, and whatever follows the head of an exercise.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from labkit.profile import ROOT, LabError

GLOSSARY = ROOT / "data" / "glossary.yaml"
LINK = re.compile(r"\[([^\]]+)\]\(#Words\)")
_SKIPPED = r"```.*?```|`[^`\n]+`|\$\$.*?\$\$|\$[^$\n]+\$|!?\[[^\]\n]*\]\([^)\n]*\)|<[^>\n]+>|^#.*?$|^\|.*?$"
_EXERCISE = re.compile(r"^### Exercise.*", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Word:
    """An entry: the word and its meaning in both languages, other forms of it, and words to look up with it."""

    word: str
    zh: str
    meaning: str
    meaning_zh: str
    also: tuple[str, ...] = ()
    see: tuple[str, ...] = ()


def load_glossary(path: Path = GLOSSARY) -> list[Word]:
    """The entries, sorted by their words. Raises `LabError` for what isn't an entry, or is there twice."""
    words: list[Word] = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
        wrong = entry.keys() ^ {f.name for f in fields(Word)} - ({"also", "see"} - entry.keys())
        if wrong:
            raise LabError(f"{path.name}: {entry.get('word', entry)}: missing or unknown: {', '.join(sorted(wrong))}")
        words.append(Word(**{k: tuple(v) if isinstance(v, list) else v.strip() for k, v in entry.items()}))
    forms = [form.lower() for word in words for form in (word.word, *word.also)]
    if twice := sorted({form for form in forms if forms.count(form) > 1}):
        raise LabError(f"{path.name}: in two entries: {', '.join(twice)}: leave each in one")
    known = {word.word for word in words}
    if lost := sorted({see for word in words for see in word.see} - known):
        raise LabError(f"{path.name}: `see` names no entry: {', '.join(lost)}")
    return sorted(words, key=lambda word: word.word.lower())


class Marker:
    """Links words at their first use, notebook by notebook; `first` holds the words of each notebook."""

    def __init__(self, words: Iterable[Word]) -> None:
        forms = [(form, word) for word in words for form in (word.word, *word.also)]
        forms.sort(key=lambda pair: -len(pair[0]))
        self._owners = [word for _, word in forms]
        known = "|".join(f"({_form(form)})" for form, _ in forms)
        self._pattern = re.compile(rf"{_SKIPPED}|(?<![\w-])(?:{known})(?![\w-])", re.DOTALL | re.MULTILINE)
        self._seen: set[Word] = set()
        self.first: dict[str, list[Word]] = defaultdict(list)

    def mark(self, source: str, notebook: str) -> str:
        """A Markdown cell's source with its first uses linked; the links of earlier times are taken out."""
        source = LINK.sub(r"\1", source)
        exercise = _EXERCISE.search(source)
        end = exercise.start() if exercise else len(source)
        return self._pattern.sub(lambda found: self._link(found, notebook), source[:end]) + source[end:]

    def _link(self, found: re.Match[str], notebook: str) -> str:
        word = self._owners[found.lastindex - 1] if found.lastindex else None
        if word is None or word in self._seen:
            return found[0]
        self._seen.add(word)
        self.first[notebook].append(word)
        return f"[{found[0]}](#Words)"


def _form(form: str) -> str:
    """A pattern for a form at the beginning of a sentence, too, and in the plural."""
    start = f"[{form[0]}{form[0].upper()}]" if form[0].islower() else re.escape(form[0])
    return start + re.escape(form[1:]) + ("(?:e?s)?" if form[-1].isalpha() else "")


def table(words: Iterable[Word]) -> str:
    """A Markdown table, a row a word, in alphabetical order."""
    rows = ["| word | meaning | 中文 |", "|---|---|---|"]
    for word in sorted(words, key=lambda word: word.word.lower()):
        see = f" *See* {', '.join(word.see)}." if word.see else ""
        rows.append(f"| **{word.word}** | {word.meaning}{see} | **{word.zh}**：{word.meaning_zh} |")
    return "\n".join(rows)


def index(first: dict[str, list[Word]], notebooks: dict[str, str]) -> str:
    """All words with their Chinese names, and links to the tables that explain them; a line for each letter.

    `notebooks` has the file name of each number.
    """
    lines: dict[str, list[str]] = defaultdict(list)
    places = [(word, number) for number, words in first.items() for word in words]
    for word, number in sorted(places, key=lambda pair: pair[0].word.lower()):
        letter = next(c for c in word.word.upper() if c.isalpha())
        lines[letter].append(f"{word.word} {word.zh} [{number}]({notebooks[number]}#Words)")
    return "\n\n".join(f"**{letter}** · {' · '.join(found)}" for letter, found in sorted(lines.items()))
