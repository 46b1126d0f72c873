r"""Novels in chapters, to pretrain further on; whole books are held out.

    novels = load_novels(resolve("laptop"))
    text = "\n\n".join(book.text for book in novels.train)
    print(novels.name, novels.heldout[0].chapters[1].text)

Novel-GPT trains on some 500 novels and holds two whole books out: a chapter kept back from a known book is no test, as
its people and places are known. So here: two books, or one where there are three at most.

`embedded` novels are synthetic, each with a world that is known (`synthetic_novels`). `local` are the files of
`LABKIT_DATA/novels/en` and `zh`, one book each; `hub` are books of Project Gutenberg that have chapters and in which
people speak: the repository doesn't say which are novels, and some of these may be memoirs.

Files come in three layouts (a paragraph a line; wrapped lines with blank ones between; wrapped lines without) and
in many styles of headings. A book's style is the first of `HEADINGS` that occurs three times; one without any is cut
every `FALLBACK` paragraphs, into chapters without headings (`Book.headings` says so). What stands before the first
heading (title, contents, preface) is dropped, and so are chapters of fewer than `MIN_CHAPTER` characters, which are
lines of a table of contents. What else is cleaned away is listed in `RULES`. English paragraphs are joined with spaces;
Chinese ones are not, and keep their full-width punctuation. 10 MB of books take about 2 s.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.profile import Lab, LabError, data_dir, unknown
from labkit.tasks.documents import fingerprint
from labkit.tasks.labelled import place
from labkit.tasks.rows import Files, Rows, read_row

if TYPE_CHECKING:
    from pathlib import Path

    from labkit.tasks.synthetic_novels import World

LANGUAGES = {"en": "English", "zh": "Chinese"}
# How many synthetic novels to train on, and how many of the Hub's ("500+" in Novel-GPT).
COUNTS = {"smoke": 12, "laptop": 300, "full": 2_000}
HUB_COUNTS = {"smoke": 10, "laptop": 40, "full": 500}
# One file of 52 has more English books than are asked for.
HUB_FILES = {
    "en": "data/en-00000-of-00052-7cda8f63c262acf8.parquet",
    "zh": "data/zh-00000-of-00001-bca42330c6f1826c.parquet",
}
FALLBACK = 50  # paragraphs a chapter, in a book without headings
MIN_CHAPTER = 200  # characters
MIN_REPEAT = {"en": 80, "zh": 20}  # characters; shorter paragraphs ("Yes," said he.) may well occur twice

# What is taken out of a text, in this order: name, pattern, and what takes its place.
RULES = [
    (name, re.compile(pattern, re.MULTILINE), instead)
    for name, pattern, instead in (
        ("licence", r"\A(?s:.*?)\*\*\* ?START OF TH.*\*\*\*|^\W*END OF (?:TH\w+|THE) PROJECT GUTENBERG(?s:.*)\Z", ""),
        ("licence", r"^(?i:end of (?:the )?project gutenberg|produced by |e-text prepared by ).*$", ""),
        ("blurb", r"\A(?s:.{0,400}?)^[ 　]*内容简介(?s:.*?)(?=^第[一1][回章])", ""),
        ("advert", r"^.*(?:https?://|www\.|电子书下载).*$", ""),
        ("illustration", r"\[(?:Illustration|插图)[^\]]*\]", ""),
        ("page number", r"\[(?:Pg|p\.) ?\d+\]|\{\d+\}|^[ \t　]*(?:Page \d+|[-—] ?\d+ ?[-—]|第 ?\d+ ?页)[ \t]*$", ""),
        ("asterisks", r"^[ \t]*(?:[*＊][ \t]*){2,}$", ""),
        ("italics", r"(?<!\w)_([^_\n][^_]{0,200}?)_(?!\w)", r"\1"),
        ("end", r"^[ \t　]*(?:THE END|FINIS|（(?:全书)?完）|《.*》至此终。)\.?\s*\Z", ""),
    )
]
_NUMERAL = r"(?=[IVXLC])C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_IN_WORDS = (
    r"(?i:(?:the )?(?:twenty|thirty|forty|fifty)?-?(?:one|first|two|second|three|third|four\w*|fi[fv]\w+|six\w*|"
    r"seven\w*|eigh\w+|nin\w+|ten\w*|eleven\w*|twel\w+|thir\w+|twent\w+|last))"
)
HEADINGS = {
    "chapter": re.compile(rf"^[ \t　]*(?i:chapter)\s+(?:{_NUMERAL}|\d+|{_IN_WORDS})\b.{{0,80}}$", re.MULTILINE),
    "回": re.compile(r"^[ \t　]*第[〇零一二三四五六七八九十百\d]{1,5}[回章](?:[\s　：].{0,40})?$", re.MULTILINE),
    "numeral": re.compile(rf"^[ \t　]*(?![CL]\. ){_NUMERAL}(?:\.?|\. [A-Z].{{0,70}})[ \t]*$", re.MULTILINE),
    "number": re.compile(r"^[ \t　]*\d{1,3}\.?[ \t]*$", re.MULTILINE),
}
_SPEECH = re.compile('["“”「」『』]')


class Chapter(NamedTuple):
    """A heading, on one line ("" if the book has none), and paragraphs, none of them empty."""

    heading: str
    paragraphs: tuple[str, ...]

    @property
    def text(self) -> str:
        """Heading and paragraphs, one blank line apart."""
        return "\n\n".join(filter(None, (self.heading, *self.paragraphs)))


@dataclass(frozen=True)
class Book:
    """A novel.

    `style` says whose hand it is: a synthetic novel's style, a real one's author ("" if not known). `headings` is
    which of `HEADINGS` its chapters have, or "". `world` is what a synthetic novel tells of; a real one has none.
    """

    title: str
    chapters: list[Chapter]
    style: str = ""
    headings: str = "chapter"
    world: World | None = None

    @property
    def text(self) -> str:
        """All chapters, one blank line apart."""
        return "\n\n".join(chapter.text for chapter in self.chapters)


@dataclass(frozen=True)
class Novels:
    """Books to train on and whole books to test on; no long paragraph of a held-out one is in another book.

    `name` is what the data is to be called wherever a number of it is shown. `dropped` counts what was left out: by
    rule (`RULES`), "front matter" and "repeats" in paragraphs, "short chapters", and whole books as "repeated books"
    and "no novels".
    """

    train: list[Book]
    heldout: list[Book]
    name: str
    language: str
    dropped: Mapping[str, int]


def load_novels(lab: Lab, language: str = "en") -> Novels:
    """The novels of the lab's source, in English ("en") or Chinese ("zh").

    Which books are held out is decided by a hash of their titles: the same ones in every run. Raises `LabError` for
    an unknown language, Chinese embedded novels, and for files or a Hub that are missing or malformed.
    """
    if language not in LANGUAGES:
        raise unknown("language", language, LANGUAGES)
    if lab.source == "embedded":
        return _synthetic(lab, language)
    dropped: Counter[str] = Counter()
    if lab.source == "local":
        books, name = _local(language, dropped), f"{LANGUAGES[language]} novels"
    else:
        books = list(islice(_hub(language, dropped), HUB_COUNTS[lab.profile.name] + 2))
        name = f"Project Gutenberg, {LANGUAGES[language]} books in chapters"
    books = list(_unrepeated(sorted(books, key=lambda book: place(book.title)), language, dropped))
    if len(books) < 2:
        raise LabError(f"{name}: {len(books)} can't be split: put a second book there, or take SOURCE=embedded")
    n, said = (2, "two held out") if len(books) > 3 else (1, "one held out")
    return Novels(books[n:], books[:n], f"{name}, {said}", language, dict(dropped))


def _synthetic(lab: Lab, language: str) -> Novels:
    from labkit.tasks.synthetic_novels import synthetic_novels

    if language != "en":
        raise LabError("embedded novels are synthetic, and English: take language='en', or SOURCE=local or hub")
    return synthetic_novels(COUNTS[lab.profile.name])


def _local(language: str, dropped: Counter[str]) -> list[Book]:
    folder = data_dir() / "novels" / language
    paths = sorted(folder.glob("*.txt"))
    if not paths:
        raise LabError(f"no .txt files in {folder}: put novels there, a UTF-8 file each, or take SOURCE=embedded")
    return [_local_book(path, language, dropped) for path in paths]


def _local_book(path: Path, language: str, dropped: Counter[str]) -> Book:
    text = decode(path.read_bytes(), str(path), language)
    author, _, rest = path.stem.partition("_")  # Doyle_Hound_1902
    book = read_book(path.stem, text, language, dropped, style=author if rest else path.stem)
    if not book.chapters:
        raise LabError(
            f"{path} is empty once it is cleaned (no chapter has {MIN_CHAPTER} characters): take it out of the folder"
        )
    if sum(len(chapter.paragraphs) for chapter in book.chapters) == 1:
        raise LabError(
            f"line 1 of {path} is the whole book, or its lines have lost their ends: "
            "put each paragraph on a line of its own, or fetch the file again"
        )
    return book


def _hub(language: str, dropped: Counter[str]) -> Iterator[Book]:
    """The books of the file that look like novels, in its order; no more are read than are asked for."""
    rows = Files("novels", {}, {language: HUB_FILES[language]}).open("hub")[language]
    for _, book in read_novels(rows, language, dropped):
        yield book


def read_novels(rows: Rows, language: str, dropped: Counter[str]) -> Iterator[tuple[str, Book]]:
    """Texts that look like novels, as the Hub has them, and what `read_book` makes of them."""
    for title, text in rows.read(partial(read_row, _parse, "book")):
        author = re.search(r"^(?:Author|作者)[:：]\s*(.+)$", text[:5_000], re.MULTILINE)
        book = read_book(title, text, language, dropped, style=author[1].strip() if author else "")
        if _is_novel(book):
            yield text, book
        else:
            dropped["no novels"] += 1


def _parse(row: Mapping[str, Any]) -> tuple[str, str]:
    if not isinstance(row["text"], str) or not row["text"]:
        raise ValueError("its text is empty")
    return str(row["id"]), row["text"].replace("\r\n", "\n")


def _is_novel(book: Book) -> bool:
    """Five chapters with headings of their own, and speech in every fifth paragraph."""
    paragraphs = [paragraph for chapter in book.chapters for paragraph in chapter.paragraphs]
    spoken = sum(bool(_SPEECH.search(paragraph)) for paragraph in paragraphs)
    return bool(book.headings) and len(book.chapters) >= 5 and spoken >= 0.2 * len(paragraphs)


def decode(data: bytes, where: str, language: str = "en") -> str:
    """A file's text. Raises `LabError`, naming `where` and the line, if it isn't UTF-8 (a BOM may stand before it)."""
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line, likely = data[: error.start].count(b"\n") + 1, {"en": "CP1252", "zh": "GB18030"}[language]
        raise LabError(
            f"line {line} of {where} is not UTF-8 (byte 0x{data[error.start]:02x}): "
            f"convert the file, for instance with `iconv -f {likely} -t UTF-8`, or take it out of the folder"
        ) from None


def read_book(title: str, text: str, language: str, dropped: Counter[str], style: str = "") -> Book:
    """The text, cleaned and cut into chapters; what is left out is added to `dropped`."""
    for name, pattern, instead in RULES:
        text, n = pattern.subn(instead, text)
        dropped[name] += n
    headings = next((name for name, pattern in HEADINGS.items() if len(pattern.findall(text)) >= 3), "")
    split = _splitter(text, language)
    if not headings:
        all_of_it = split(text)
        chapters = [Chapter("", tuple(all_of_it[i : i + FALLBACK])) for i in range(0, len(all_of_it), FALLBACK)]
    else:
        found = list(HEADINGS[headings].finditer(text))
        dropped["front matter"] += len(split(text[: found[0].start()]))
        ends = [*(match.start() for match in found[1:]), len(text)]
        chapters = [_chapter(m[0], text[m.end() : end], split) for m, end in zip(found, ends, strict=True)]
    kept = [chapter for chapter in chapters if sum(map(len, chapter.paragraphs)) >= MIN_CHAPTER]
    dropped["short chapters"] += len(chapters) - len(kept)
    return Book(title, kept, style, headings)


def _chapter(heading: str, body: str, split: Callable[[str], list[str]]) -> Chapter:
    """A chapter whose title may stand on the lines below "CHAPTER I": all in capitals, or set apart by a blank line."""
    lines = body.lstrip("\n").split("\n")
    title = [heading.strip()]
    while len(lines) > 1 and len(title) < 4 and _is_title(*lines[:2]):
        title.append(lines.pop(0).strip())
        while len(lines) > 1 and not lines[0].strip():
            lines.pop(0)
    return Chapter(" ".join(title), tuple(split("\n".join(lines))))


def _is_title(line: str, following: str) -> bool:
    line = line.strip()
    apart = line.isupper() or not following.strip()
    return apart and 0 < len(line) <= 80 and line[-1] not in ".,;:!?—-" and not set(line) & set("。，；：！？")


def _splitter(text: str, language: str) -> Callable[[str], list[str]]:
    """What cuts this text into paragraphs, by its layout."""
    lengths = sorted(len(line) for line in text.split("\n") if line.strip()) or [0]
    usual = lengths[int(0.9 * len(lengths))]
    if usual > 100:
        pattern = r"\n"  # lines this long are paragraphs
    elif len(re.findall(r"\n\s*\n", text)) > 0.02 * len(lengths):
        pattern = r"\n\s*\n"
    else:  # a paragraph's last line is short, and ends a sentence
        pattern = rf"(?<=[.!?\"'”’。！？])\n(?<!.{{{int(0.85 * usual)}}}\n)"
    gap, line_end = (" ", " ") if language == "en" else ("　", "")

    def split(part: str) -> list[str]:
        joined = (line_end.join(gap.join(line.split()) for line in p.split("\n")) for p in re.split(pattern, part))
        return [paragraph for p in joined if (paragraph := p.strip())]

    return split


def _unrepeated(books: Iterable[Book], language: str, dropped: Counter[str]) -> Iterator[Book]:
    """The books without the long paragraphs that an earlier one has, and none that is half made of such.

    What a book itself repeats, as a refrain, stays.
    """
    seen: set[str] = set()
    for book in books:
        long = [p for c in book.chapters for p in c.paragraphs if len(p) >= MIN_REPEAT[language]]
        keys = {p: fingerprint(p) for p in long}
        repeated = {p for p in long if keys[p] in seen}
        seen.update(keys.values())
        if len(repeated) > len(keys) / 2:
            dropped["repeated books"] += 1
            continue
        dropped["repeats"] += sum(p in repeated for p in long)
        chapters = [c._replace(paragraphs=tuple(p for p in c.paragraphs if p not in repeated)) for c in book.chapters]
        yield replace(book, chapters=[c for c in chapters if c.paragraphs])
