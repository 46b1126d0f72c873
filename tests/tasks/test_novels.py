"""Novels: files in many layouts become whole, clean books, and no held-out text is trained on."""

from __future__ import annotations

import os
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import Hub, run_in_child, served

from labkit.hub import REPOSITORIES
from labkit.profile import LabError, resolve
from labkit.tasks import novels
from labkit.tasks.novels import FALLBACK, HUB_FILES, RULES, load_novels, read_book

WORDS = "the old house by the river was empty but for a cat that slept on the stairs all day".split()


def paragraph(number: int, chars: int = 300) -> str:
    """A paragraph unlike all others in letters, in sentences."""
    name = "".join("abcdefghij"[int(digit)] for digit in str(number))
    return " ".join(f"In {name} {word} {' '.join(WORDS[i:])}." for i, word in enumerate(WORDS))[:chars].strip() + "."


def chapters(first: int, headings) -> str:
    return "\n\n".join(f"{heading}\n\n{paragraph(first + i)}" for i, heading in enumerate(headings))


NUMBERED = [f"CHAPTER {n}" for n in ("I", "II", "III", "IV")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    for language in ("en", "zh"):
        (tmp_path / "novels" / language).mkdir(parents=True)
    return tmp_path / "novels"


def local(language: str = "en"):
    return load_novels(resolve("smoke", "local"), language)


def write(folder, name: str, text: str, language: str = "en") -> None:
    (folder / language / f"{name}.txt").write_bytes(text.encode("utf-8-sig"))


def read(text: str, language: str = "en"):
    dropped: Counter[str] = Counter()
    return read_book("a book", text, language, dropped), dropped


@pytest.mark.parametrize(
    ("headings", "style"),
    [
        (NUMBERED, "chapter"),
        (["Chapter 1", "Chapter 2: The Door", "Chapter 3. In Which", "Chapter 4"], "chapter"),
        (["Chapter the First", "Chapter the Second", "CHAPTER THE TWENTY-THIRD", "Chapter Last"], "chapter"),
        (["I", "II.", "  III", "XXXIX. THE END OF IT"], "numeral"),
        (["1", "2.", " 3", "104"], "number"),
        (["第一回 灵根育孕", "第十二回　黑风山", "第一百二十回", "第3章 归来"], "回"),
        (["A", "Chapter and verse he knew", "C. Smith", "Part"], ""),
    ],
)
def test_headings_in_many_styles(headings, style):
    """A style that isn't known makes a whole book one lump, or a line of prose a heading."""
    book, _ = read("A TITLE\n\n" + chapters(0, headings))
    assert book.headings == style
    if style:
        assert [chapter.heading for chapter in book.chapters] == [heading.strip() for heading in headings]
        assert [chapter.paragraphs for chapter in book.chapters] == [(paragraph(i),) for i in range(4)]


def test_a_book_without_headings_is_cut_every_so_many_paragraphs():
    """As books of stories are; the parts get no headings, for the author wrote none."""
    book, _ = read("\n\n".join(paragraph(i) for i in range(2 * FALLBACK + 5)))
    assert [len(chapter.paragraphs) for chapter in book.chapters] == [FALLBACK, FALLBACK, 5]
    assert book.headings == "" and book.text.startswith("In a the")


@pytest.mark.parametrize("layout", ["a line each", "a line each, apart", "wrapped, apart", "wrapped"])
def test_every_layout_gives_the_same_paragraphs(layout):
    """Else one book is trained on as paragraphs and another as lines of 70 characters."""
    texts = [paragraph(i, 430) for i in range(8)]

    def wrap(text: str) -> str:
        lines, line = [], ""
        for word in text.split():
            if len(line) + len(word) > 68:
                lines, line = [*lines, line], ""
            line = f"{line} {word}".strip()
        return "\n".join([*lines, line])

    bodies = [wrap(text) if "wrapped" in layout else text for text in texts]
    gap = "\n\n" if "apart" in layout else "\n"
    parts = [f"{heading}\n{gap.join(bodies[2 * i : 2 * i + 2])}" for i, heading in enumerate(NUMBERED)]
    book, _ = read("\n".join(parts))
    assert [p for chapter in book.chapters for p in chapter.paragraphs] == texts


def test_a_title_below_its_number_belongs_to_the_heading_and_verse_does_not():
    text = chapters(
        0, ["CHAPTER I\nTREATS OF A HOUSE\nAND A CAT", "CHAPTER II\n\nMr. Holmes", "CHAPTER III", "CHAPTER IV"]
    )
    book, _ = read(text)
    assert [chapter.heading for chapter in book.chapters][:3] == [
        "CHAPTER I TREATS OF A HOUSE AND A CAT", "CHAPTER II Mr. Holmes", "CHAPTER III",
    ]  # fmt: skip
    verse = "滚滚长江东逝水，浪花淘尽英雄"
    zh, _ = read("\n\n".join(f"第{n}回\n\n{verse}\n\n{'话说天下大势。' * 40}" for n in "一二三"), "zh")
    assert zh.chapters[0].paragraphs[0] == verse


def test_a_table_of_contents_and_a_preface_are_no_chapters():
    contents = "\n".join(f"{heading}. The story so far" for heading in NUMBERED)
    book, dropped = read(f"A TITLE\n\nPreface of sorts.\n\n{contents}\n\n{chapters(0, NUMBERED)}")
    assert [chapter.heading for chapter in book.chapters] == NUMBERED
    assert dropped["short chapters"] == 4 and dropped["front matter"] == 2


@pytest.mark.parametrize(
    ("name", "planted", "left"),
    [
        ("licence", "Junk\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\nkept", "kept"),
        ("licence", "kept\n*** END OF THIS PROJECT GUTENBERG EBOOK X ***\nDonate\nnow", "kept"),
        ("licence", "kept\nProduced by A. Volunteer", "kept"),
        ("blurb", "《某书》作者：某某\n\n内容简介：\n\n　　此书最好。\n\n第一回 始", "第一回 始"),
        ("advert", "kept\n整理：http://www.example.com/\n电子书下载平台。", "kept"),
        ("illustration", "kept [Illustration: A\nhouse]", "kept"),
        ("page number", "kept [Pg 12]\n- 13 -\nPage 14\n第 15 页", "kept"),
        ("asterisks", "kept\n  *  *  *\n", "kept"),
        ("italics", "_kept_", "kept"),
        ("end", "kept\n\n  THE END\n", "kept"),
        ("end", "kept\n（完）", "kept"),
    ],
)
def test_each_rule_takes_out_what_it_is_for(name, planted, left):
    text, found = planted, set()
    for rule, pattern, instead in RULES:
        text, n = pattern.subn(instead, text)
        found |= {rule} if n else set()
    assert text.strip() == left and name in found


@pytest.mark.parametrize(
    "prose", ["snake_case_name and a_b", "He read 12 - 13 pages", "It was the end", "1\n\nSara", "* a list", "完了。"]
)
def test_no_rule_touches_prose(prose):
    for _, pattern, instead in RULES:
        assert pattern.sub(instead, prose) == prose


def test_chinese_keeps_its_punctuation_and_gets_no_spaces():
    text = "\n\n".join(f"第{n}回 题\n\n　　他说：“来了！”\n众人　　大笑，{'天下大势；' * 60}。" for n in "一二三")
    book, _ = read(text, "zh")
    joined = "".join(book.chapters[0].paragraphs)
    assert "他说：“来了！”" in joined and "众人　大笑，" in joined and " " not in joined


def books(folder, n: int, language: str = "en") -> None:
    headings = NUMBERED if language == "en" else [f"第{i}回" for i in "一二三四"]
    for i in range(n):
        write(folder, f"Author{i}_Book_1900", chapters(10 * i, headings), language)


def test_two_whole_books_are_held_out_and_one_of_three(folder):
    books(folder, 5)
    data = local()
    assert len(data.heldout) == 2 and len(data.train) == 3 and "two held out" in data.name
    assert {book.title for book in data.heldout}.isdisjoint(book.title for book in data.train)
    assert data.train[0].style.startswith("Author") and data.train[0].world is None
    assert local() == data
    books(folder, 3, "zh")
    zh = local("zh")
    assert len(zh.heldout) == 1 and len(zh.train) == 2 and "Chinese novels, one held out" == zh.name


def test_what_a_held_out_book_says_is_not_trained_on(folder):
    """Also not in another punctuation; short paragraphs and refrains are no repeats."""
    books(folder, 5)
    heldout, *_ = local().heldout
    other = local().train[0]
    shared = heldout.chapters[0].paragraphs[0]
    extra = f'{shared.replace(".", " !").upper()}\n\n"Yes."\n\n{paragraph(990)}\n\n{paragraph(990)}'
    write(folder, other.title, chapters(500, NUMBERED) + "\n\n" + extra)
    write(folder, "Pirate_Copy_1901", heldout.text)
    data = local()
    assert data.heldout[0] == heldout and heldout.chapters[0].paragraphs[0] == shared
    changed = next(book for book in data.train if book.title == other.title)
    assert changed.chapters[-1].paragraphs[1:] == ('"Yes."', paragraph(990), paragraph(990))
    assert data.dropped["repeats"] == 1 and data.dropped["repeated books"] == 1
    assert "Pirate_Copy_1901" not in {book.title for book in data.train}


@pytest.mark.parametrize(
    ("language", "data", "message"),
    [
        ("en", "One\nCaf\xe9".encode("cp1252"), r"line 2 of .*Bad\.txt is not UTF-8 \(byte 0xe9\).*iconv -f CP1252"),
        ("zh", "第一回\n话说".encode("gb18030"), r"line 1 of .*Bad\.txt is not UTF-8.*iconv -f GB18030"),
        ("en", "One".encode("utf-16"), r"line 1 of .*Bad\.txt is not UTF-8"),
        ("en", b"", r"Bad\.txt is empty once it is cleaned.*take it out"),
        ("en", b"THE END", r"Bad\.txt is empty once it is cleaned"),
        ("en", ("word " * 9_000).encode(), r"line 1 of .*Bad\.txt is the whole book.*put each paragraph on a line"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(folder, language, data, message):
    """An empty book could be one of those held out; a book in mojibake could be trained on."""
    books(folder, 4, language)
    (folder / language / "Bad.txt").write_bytes(data)
    with pytest.raises(LabError, match=message):
        local(language)


def test_missing_books_and_languages_say_what_to_do(folder):
    with pytest.raises(LabError, match=r"no \.txt files in .*novels/en.*SOURCE=embedded"):
        local()
    books(folder, 1)
    with pytest.raises(LabError, match="put a second book there"):
        local()
    with pytest.raises(LabError, match=r"unknown language 'fr'.*known: en, zh"):
        local("fr")
    with pytest.raises(LabError, match=r"embedded novels are synthetic, and English.*SOURCE=local"):
        load_novels(resolve("smoke", "embedded"), "zh")


def test_embedded_novels_are_called_synthetic_and_know_their_world():
    data = load_novels(resolve("smoke", "embedded"))
    assert "synthetic" in data.name and len(data.heldout) == 2 and len(data.train) == novels.COUNTS["smoke"]
    assert all(book.world and "synthetic" in book.title for book in data.train + data.heldout)


def test_the_real_files():
    if not os.environ.get("LABKIT_DATA"):
        pytest.skip("LABKIT_DATA is not set")
    zh = local("zh")
    assert sorted(len(book.chapters) for book in zh.train + zh.heldout) == [100, 120, 120]
    for book in zh.train + zh.heldout:
        assert book.headings == "回" and book.chapters[0].heading.startswith("第一回")
        assert not any(junk in book.text for junk in ("内容简介", "http", "下载", "（完）"))
    en = local()
    assert len(en.heldout) == 2 and len(en.train) == 18
    found = {book.title: len(book.chapters) for book in en.train + en.heldout}
    known = {"Cbronte_Jane_1847": 38, "Dickens_Oliver_1839": 53, "Doyle_Hound_1902": 15, "Haggard_She_1887": 28,
             "Hardy_Tess_1891": 59, "Stevenson_Treasure_1883": 34, "Burnett_Princess_1905": 19}  # fmt: skip
    assert {title: found[title] for title in known} == known
    assert all("\ufeff" not in book.text and "\r" not in book.text for book in en.train)


def gutenberg(number: int, text: str) -> str:
    return (
        f"The Project Gutenberg eBook of Book {number}\r\n\r\nTitle: Book\r\nAuthor: Ann Author\r\n\r\n"
        f"*** START OF THE PROJECT GUTENBERG EBOOK BOOK ***\r\n\r\n{text}\r\n\r\n"
        "*** END OF THE PROJECT GUTENBERG EBOOK BOOK ***\r\nDonations are welcome.\r\n"
    )


def spoken(first: int) -> str:
    five = [*NUMBERED, "CHAPTER V"]
    return "\n\n".join(f'{heading}\n\n"Come," said she.\n\n{paragraph(first + i)}' for i, heading in enumerate(five))


LOAD = """
from labkit.profile import PROFILES, Lab
from labkit.tasks.novels import load_novels
data = load_novels(Lab(PROFILES["smoke"], "hub", 0))
book = data.heldout[0]
print(len(data.train), len(data.heldout), data.dropped["no novels"], book.style, "Donations" in book.text, data.name)
"""


def parquet(path, texts: list[object]) -> None:
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"id": [f"{i}-0" for i in range(len(texts))], "text": texts}), path)


def test_the_hub_s_books_are_read_at_the_pinned_revision(tmp_path):
    texts = [gutenberg(i, spoken(10 * i)) for i in range(14)]
    texts[1] = gutenberg(1, chapters(10, [*NUMBERED, "CHAPTER V"]))  # nobody speaks: a treatise
    texts[2] = gutenberg(2, '"Hear, hear!"\n\n' * 40)  # no chapters: a play
    parquet(served(tmp_path / "hub", "novels") / HUB_FILES["en"], texts)
    with Hub(tmp_path / "hub") as hub:
        said = run_in_child(LOAD, hub.env(tmp_path / "home"))
        assert said == "10 2 2 Ann Author False Project Gutenberg, English books in chapters, two held out"
        assert any(REPOSITORIES["novels"].revision in request for request in hub.requests)


def test_a_malformed_row_is_refused_with_its_number(tmp_path):
    parquet(served(tmp_path / "hub", "novels") / HUB_FILES["en"], [gutenberg(0, spoken(0)), None])
    caught = f"try:\n    {LOAD.strip().splitlines()[2]}\nexcept Exception as error:\n    print(error)"
    with Hub(tmp_path / "hub") as hub:
        said = run_in_child("\n".join([*LOAD.strip().splitlines()[:2], caught]), hub.env(tmp_path / "home"))
    assert f"row 2 of {HUB_FILES['en']} of {REPOSITORIES['novels'].id}" in said and "fetch the file again" in said
