"""Local text files: whole paragraphs, whole articles, and errors that name the file."""

from __future__ import annotations

import pytest

from labkit.profile import LabError
from labkit.tasks.plaintext import SECTION_CHARS, read_documents, text_files


@pytest.fixture
def data(tmp_path, monkeypatch):
    for name in ("educational", "wikitext2"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    return tmp_path


def test_a_book_is_cut_between_paragraphs(data):
    """Sections of a useful size; byte-order mark, CRLF and line breaks in a paragraph leave no trace."""
    paragraphs = [f"Paragraph {i} " + "word " * (50 + i) for i in range(90)]
    (data / "educational" / "book.txt").write_bytes(("\ufeff" + "\r\n \r\n".join(paragraphs)).encode())
    (data / "educational" / "a.txt").write_text(
        "A line\nand another.\n\n\n\n" + "x" * 2 * SECTION_CHARS + "\n\nThe end."
    )
    documents = read_documents("educational")
    assert [d.name for d in documents][:4] == ["a.txt#00000", "a.txt#00001", "a.txt#00002", "book.txt#00000"]
    assert documents[0].paragraphs == ["A line and another."]
    assert [p for d in documents[3:] for p in d.paragraphs] == [p.strip() for p in paragraphs]
    sizes = [sum(map(len, d.paragraphs)) for d in documents[3:]]
    assert all(SECTION_CHARS / 2 < size <= SECTION_CHARS for size in sizes[:-1]) and len(sizes) > 2


def test_an_article_begins_at_its_title(data):
    """Sub-headings don't begin an article."""
    (data / "wikitext2" / "test.txt").write_text(
        " \n = First ( film ) = \n \n It is a film . \n \n = = Plot = = \n \n Much happens . \n"
        " = Second = \n It = that . \n"
    )
    assert [d.paragraphs for d in read_documents("wikitext2")] == [
        ["= First ( film ) =", "It is a film .", "= = Plot = =", "Much happens ."],
        ["= Second =", "It = that ."],
    ]


def test_another_encoding_is_named_with_its_place(data):
    """Replacement characters in the training text would go unnoticed."""
    (data / "educational" / "old.txt").write_bytes("plain caf\xe9".encode("latin-1"))
    with pytest.raises(LabError, match=r"old\.txt is not UTF-8 \(byte 9 is 0xe9\): convert it"):
        read_documents("educational")


def test_unknown_name_missing_folder_and_empty_folder(data, monkeypatch):
    """Each says what to do."""
    with pytest.raises(LabError, match="did you mean 'educational'"):
        read_documents("educationl")
    with pytest.raises(LabError, match=r"no \.txt files in .*wikitext2"):
        text_files("wikitext2")
    monkeypatch.delenv("LABKIT_DATA")
    with pytest.raises(LabError, match="LABKIT_DATA is not set"):
        text_files("educational")
