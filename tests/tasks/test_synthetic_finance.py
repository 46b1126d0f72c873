"""What notebook 08 concludes rests on these sentences being what they are said to be."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice, pairwise

import pytest

from labkit.evaluation.classification import majority, score, tfidf_logistic
from labkit.tasks.labelled import key
from labkit.tasks.sentiment import LABELS
from labkit.tasks.synthetic_finance import (
    BAD,
    GOOD,
    NEITHER,
    SHARES,
    endless,
    finance_notes,
    finance_text,
    synthetic_sentences,
)


@pytest.fixture(scope="module")
def data():
    return synthetic_sentences(2_400, 400)


def test_the_same_numbers_give_the_same_sentences(data):
    assert synthetic_sentences(50, 10) == synthetic_sentences(50, 10)
    assert synthetic_sentences(50, 10).train == data.train[:50]
    assert finance_text(0, 20) == finance_text(0, 30)[:20] != finance_text(1, 20)


def test_nothing_of_the_test_is_seen_in_training_or_pretraining(data):
    """Else memory would pass for understanding, as in the report's split."""
    test = {key(sentence.text) for sentence in data.validation + data.test}
    seen = [sentence.text for sentence in data.train] + finance_text(0, 3_000)
    seen += [text.split(" . ")[0] for text in finance_notes(0, 3_000)]
    assert test.isdisjoint(map(key, seen)) and len(test) == 800
    trained = {sentence.combination for sentence in data.train}
    assert sum(sentence.combination not in trained for sentence in data.test) > 100


def test_labels_are_as_common_as_in_the_real_files(data):
    """On both sides: a held-out side with other shares would shift the majority class."""
    for split in (data.train, data.test):
        counts = Counter(LABELS[sentence.label] for sentence in split)
        assert {label: n / len(split) for label, n in counts.items()} == pytest.approx(SHARES, abs=0.05)


def _news(quantity: str, direction: int) -> int:
    """An independent reading: what a change (1 up, −1 down) of a quantity means."""
    return direction * (1 if quantity in GOOD else -1 if quantity in BAD else 0)


def _direction(word: str) -> int:
    down = r"fell|decreased|declined|dropped|fall|decrease|decline|lower|smaller|missed|below|under"
    return -1 if re.search(down, word) else 1


def test_the_label_is_what_the_sentence_means():
    """Read anew from what is written: quantity, direction, numbers, main clause, the end of a rise."""
    sentences = list(islice(endless("meaning", test=False), 3_000))
    checked = Counter()
    for sentence in sentences:
        text, wording = sentence.text, sentence.combination.split(" | ")[0]
        if "{q}" not in wording:
            assert LABELS[sentence.label] == "neutral"
            continue
        quantity = sentence.combination.split(" | ")[1]
        assert quantity.lower() in text.lower() and quantity in GOOD + BAD + NEITHER
        numbers = re.search(r"was (?:EUR )?(\d+).*compared with (?:EUR )?(\d+)", text)
        went = re.search(r"went from (?:EUR )?(\d+).* to (?:EUR )?(\d+)", text)
        if numbers or went:
            new, old = map(int, numbers.groups() if numbers else reversed(went.groups()))
            kind, direction = "numbers", 1 if new > old else -1
        elif "{d}" not in wording or "will say" in wording:
            kind, direction = "fact", 0
        else:
            direction = _direction(sentence.combination.split(" | ")[2])
            kind = "end" if "halt" in text or "an end" in text else "plain"
            direction = -direction if kind == "end" else direction
            if to_from := re.search(r"to (?:EUR )?(\d+).* from (?:EUR )?(\d+)", text):
                assert (int(to_from[1]) > int(to_from[2])) == (direction > 0)
        assert sentence.label == 1 + _news(quantity, direction), sentence
        checked[kind] += 1
    assert min(checked[kind] for kind in ("numbers", "fact", "end", "plain")) > 50


def test_word_counts_get_some_right_and_not_all(data):
    """If one word gave the label away, a lesson on understanding would be one on counting."""
    truth = [sentence.label for sentence in data.test]
    counts = score(truth, tfidf_logistic(data.train, data.test), 3)
    assert score(truth, majority(data.train, data.test), 3).accuracy + 0.1 < counts.accuracy < 0.88
    assert counts.macro_f1 < 0.75


def test_stricter_levels_are_subsets_and_easier():
    """As in the real files, where every baseline rises with agreement."""
    sets = [synthetic_sentences(2_400, 400, level) for level in (50, 66, 75, 100)]
    sizes = [len(data.train) for data in sets]
    assert sizes == sorted(sizes, reverse=True)
    assert all({s.text for s in a.train} > {s.text for s in b.train} for a, b in pairwise(sets))
    loose, strict = sets[0], sets[-1]
    correct = [p == s.label for p, s in zip(tfidf_logistic(loose.train, loose.test), loose.test, strict=True)]
    agreed = [c for c, s in zip(correct, loose.test, strict=True) if s in strict.test]
    assert sum(agreed) / len(agreed) > sum(correct) / len(correct)


def test_a_note_names_the_right_label_once_and_plain_text_none():
    """A remark with the wrong word would teach the wrong lesson; a label word in the plain text, the lesson unasked."""
    sentences = endless("notes 3", False, dict.fromkeys(LABELS, 1))
    for note, sentence in zip(finance_notes(3, 500), sentences, strict=False):
        assert note.startswith(f"{sentence.text} ") and note.endswith(" .")
        assert re.findall("|".join(LABELS), note) == [LABELS[sentence.label]]
    assert not re.search("|".join(LABELS), " ".join(finance_text(0, 2_000)))
