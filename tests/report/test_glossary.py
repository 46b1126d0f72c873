"""The glossary: entries in two languages, and links that stand at first uses and nowhere else."""

from __future__ import annotations

import re

import pytest

from labkit.profile import LabError
from labkit.report.glossary import Marker, Word, index, load_glossary, table


def word(name: str, *also: str) -> Word:
    return Word(name, "词", f"Meaning of {name}.", "意思。", also)


def marked(words: list[Word], source: str) -> str:
    return Marker(words).mark(source, "01").replace("(#Words)", "")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("The loss falls. The loss is low.", "The [loss] falls. The loss is low."),
        ("Losses fall.", "[Losses] fall."),
        ("*Loss*: a number", "*[Loss]*: a number"),
        ("lossless, loss-free, glossy, the model's loss.", "lossless, loss-free, glossy, the model's [loss]."),
        ("## The loss\n\nIts loss", "## The loss\n\nIts [loss]"),
        ("| loss | x |\n\n`loss` and $loss$, $$\nloss$$ [loss](a.md) loss", None),
        ("No use.\n\n### Exercise 1 · Loss\n\nThe loss.", "No use.\n\n### Exercise 1 · Loss\n\nThe loss."),
    ],
)
def test_the_first_use_in_prose_is_linked(source, expected):
    """Code, formulas, tables, headings, links and exercises are not touched, and a part of a word is no use of it."""
    expected = expected or source.removesuffix("loss") + "[loss]"
    assert marked([word("loss")], source) == expected


def test_the_longer_word_wins_and_each_word_is_linked_once_in_the_course():
    """Else "entity F1" would be explained as "F1", and every notebook would link everything again."""
    marker = Marker([word("F1"), word("entity F1"), word("BLEU", "bleu score")])
    assert marker.mark("Entity F1 and bleu score.", "01") == "[Entity F1](#Words) and [bleu score](#Words)."
    assert marker.mark("Entity F1, BLEU and F1.", "02") == "Entity F1, BLEU and [F1](#Words)."
    assert {n: [w.word for w in words] for n, words in marker.first.items()} == {
        "01": ["entity F1", "BLEU"],
        "02": ["F1"],
    }


def test_marking_twice_changes_nothing():
    once = Marker([word("loss"), word("nat")]).mark("A loss in nats.", "01")
    assert Marker([word("loss"), word("nat")]).mark(once, "01") == once
    assert Marker([]).mark(once, "01") == "A loss in nats."


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- {word: a, zh: 甲, meaning: x}", "meaning_zh"),
        ("- {word: a, zh: 甲, meaning: x, meaning_zh: 乙, mean: y}", "mean"),
        ("- &a {word: a, zh: 甲, meaning: x, meaning_zh: 乙}\n- {<<: *a, word: b, also: [A]}", "two entries: a"),
        ("- {word: a, zh: 甲, meaning: x, meaning_zh: 乙, see: [c]}", "no entry: c"),
    ],
)
def test_a_faulty_entry_is_refused_by_name(tmp_path, text, complaint):
    path = tmp_path / "glossary.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match=complaint):
        load_glossary(path)


def test_the_course_s_entries_say_something_in_both_languages():
    words = load_glossary()
    assert len(words) >= 80
    for w in words:
        assert w.meaning[0] != " " and w.meaning.endswith(".") and 10 <= len(w.meaning) <= 260, w.word
        assert re.search(r"[\u4e00-\u9fff]", w.meaning_zh) and w.meaning_zh.endswith(("。", "）")), w.word
        assert "|" not in w.meaning + w.meaning_zh, f"{w.word}: a bar would end the table's cell"
        assert not re.search(r"[\u4e00-\u9fff][,.;:?!]", w.meaning_zh), f"{w.word}: full-width punctuation in Chinese"
    # Latin names keep their letters; everything else has a Chinese name.
    assert sum(bool(re.search(r"[\u4e00-\u9fff]", w.zh)) for w in words) == len(words)


def test_tables_and_index_are_in_alphabetical_order():
    words = [word("nat"), word("Adam"), word("(IA)³")]
    assert [row.split("**")[1] for row in table(words).splitlines()[2:]] == ["(IA)³", "Adam", "nat"]
    assert index({"01": words}, {"01": "01_x.ipynb"}).split("\n\n") == [
        "**A** · Adam 词 [01](01_x.ipynb#Words)",
        "**I** · (IA)³ 词 [01](01_x.ipynb#Words)",
        "**N** · nat 词 [01](01_x.ipynb#Words)",
    ]
