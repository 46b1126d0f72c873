"""A style is named from how something is said, not from who it is about."""

from __future__ import annotations

import os

import pytest

from labkit.evaluation.style import StyleClassifier
from labkit.profile import data_dir
from labkit.tasks.novels import Book
from labkit.tasks.synthetic_novels import synthetic_novels


def passages(books: list[Book]) -> tuple[list[str], list[str]]:
    """The events of each chapter, and their book's style."""
    found = [(chapter.paragraphs[-1], book.style) for book in books for chapter in book.chapters[1:]]
    return [passage for passage, _ in found], [style for _, style in found]


@pytest.fixture(scope="module")
def data():
    return synthetic_novels(12, 12)


def test_it_names_the_style_of_new_books_and_of_single_sentences(data):
    classifier = StyleClassifier().fit(*passages(data.train))
    texts, styles = passages(data.heldout)
    assert classifier.accuracy(texts, styles) > 0.98
    assert classifier.accuracy([text.split(". ")[0] for text in texts], styles) > 0.9


def test_without_a_style_there_is_nothing_to_find(data):
    """Labels that mean nothing must not be named: else the accuracy would say nothing either."""
    plain = [book for book in data.train + data.heldout if book.style == "plain"]
    texts, _ = passages(plain)
    labels = ["odd" if i % 2 else "even" for i in range(len(texts))]
    half = len(texts) // 2
    assert StyleClassifier().fit(texts[:half], labels[:half]).accuracy(texts[half:], labels[half:]) < 0.7


def test_chinese_without_spaces():
    old = [f"话说{name}大怒，喝道：“汝等休走！”众人皆惊，{name}遂引兵而去。" for name in "张王李赵刘陈杨黄周吴"]
    new = [f"{name}先生很生气，他说：“你们不要走！”大家都害怕了，他就走了。" for name in "张王李赵刘陈杨黄周吴"]
    classifier = StyleClassifier().fit(old[:6] + new[:6], ["old"] * 6 + ["new"] * 6)
    assert classifier.predict([old[8], new[9]]) == ["old", "new"]


def test_a_style_that_was_never_learnt_is_missed(data):
    classifier = StyleClassifier().fit(["a b c", "x y z"], ["abc", "xyz"])
    assert classifier.accuracy(["a b c", "a b c"], ["abc", "def"]) == 0.5


def test_unequal_numbers_and_a_single_style_are_errors():
    with pytest.raises(ValueError, match="inconsistent numbers"):
        StyleClassifier().fit(["a b", "c d"], ["x"])
    with pytest.raises(ValueError, match="classes"):
        StyleClassifier().fit(["a b", "c d"], ["x", "x"])
    with pytest.raises(ValueError, match="shorter"):
        StyleClassifier().fit(["a b", "c d"], ["x", "y"]).accuracy(["a b", "c d"], ["x"])


def test_real_authors_are_known_by_their_other_book():
    """Less well than by the same one, where the people's names help."""
    if not os.environ.get("LABKIT_DATA"):
        pytest.skip("LABKIT_DATA is not set")
    authors = ("Burnett", "Doyle", "Forster", "Hardy", "Haggard")
    books = {author: sorted((data_dir() / "novels" / "en").glob(f"{author}_*.txt")) for author in authors}

    def cut(number: int, begin: int) -> tuple[list[str], list[str]]:
        texts = {author: paths[number].read_text("utf-8") for author, paths in books.items()}
        found = [(text[i : i + 1_000], author) for author, text in texts.items() for i in range(begin, 300_000, 30_000)]
        return [passage for passage, _ in found], [author for _, author in found]

    classifier = StyleClassifier().fit(*cut(0, 5_000))
    assert 0.4 < classifier.accuracy(*cut(1, 5_000)) < classifier.accuracy(*cut(0, 20_000))
