"""What both tasks share: what counts as the same text, and where it goes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.tasks.labelled import Labelled, key, place
from labkit.tasks.sentiment import LABELS, Sentence


def test_leak_share_sees_a_sentence_again_in_another_typography():
    """A leak hidden by a capital or a space would be called an unseen sentence."""
    train = [Sentence("Sales rose by 5 % .", 2, 100), Sentence("Sales fell .", 0, 100)]
    test = [Sentence("sales rose by 5%", 2, 50), Sentence("Sales rose by 6 % .", 2, 50)]
    assert Labelled(LABELS, train, [], test, "toy", 0).leak_share == 0.5


@settings(deadline=None)
@given(st.text(alphabet="ab 1.,%"))
def test_texts_that_are_alike_land_on_the_same_side(text):
    """Else a hash of the words would put a sentence in training and its copy into the test set."""
    assert place(text) == place(f"  {text.upper()} . ") and 0 <= place(text) < 1


def test_places_are_spread_evenly():
    """Else a tenth of the hash's range would not be a tenth of the sentences."""
    places = [place(f"sentence {i}") for i in range(4_000)]
    assert all(0.08 < sum(low <= p < low + 0.1 for p in places) / 4_000 < 0.12 for low in (0, 0.1, 0.5, 0.9))


def test_numbers_tell_sentences_apart():
    assert key("up 5 %") != key("up 6 %")
