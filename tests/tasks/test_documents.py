"""Nothing twice, and nothing of the validation text in training."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.profile import LabError
from labkit.tasks import docstrings, documents
from labkit.tasks.documents import Document, deduplicate, fingerprint, is_validation, split

PARAGRAPHS = st.lists(
    st.sampled_from([f"paragraph {c}{d}, " * 3 for c in "abcdef" for d in ("", "1", ".")]), max_size=6
)


@given(st.lists(PARAGRAPHS, min_size=2, max_size=12))
def test_no_paragraph_is_in_both_halves(lists):
    """The validation loss of text seen in training would be a lie."""
    kept = deduplicate([Document(f"d{i}", paragraphs) for i, paragraphs in enumerate(lists)], min_chars=1)
    everything = [fingerprint(p) for document in kept for p in document.paragraphs]
    assert len(everything) == len(set(everything))
    assert set(everything) == {fingerprint(p) for paragraphs in lists for p in paragraphs}
    if len(kept) > 1:
        train, val = split(kept, 0.3)
        assert train and val and sorted(d.name for d in train + val) == sorted(d.name for d in kept)


def test_what_is_left_of_a_repeating_document_may_be_too_short():
    """A licence that every file carries is kept once; files with nothing else go."""
    licence = "All rights reserved, and so on and on. " * 10
    kept = deduplicate([Document("a", [licence, "x" * 30]), Document("b", [licence.upper(), "y" * 30])])
    assert kept == [Document("a", [licence, "x" * 30])]


def test_the_split_depends_on_the_name_alone():
    """Adding a package must not move other documents between the halves."""
    names = [f"package/module_{i}.py" for i in range(4_000)]
    kept = [name for name in names if is_validation(name, 0.05)]
    assert 150 < len(kept) < 250
    train, val = split([Document(name, ["text"]) for name in reversed(names)])
    assert sorted(d.name for d in val) == sorted(kept)
    assert len(train) == len(names) - len(kept)


def test_two_documents_are_split_and_one_is_too_few():
    """A tiny corpus has a validation text too, or an error that says what is missing."""
    train, val = split([Document("a", ["x"]), Document("b", ["y"])])
    assert len(train) == len(val) == 1
    with pytest.raises(LabError, match="too few"):
        split([Document("a", ["x"])])


@pytest.mark.parametrize("module", [documents, docstrings])
def test_the_examples_in_the_docstrings_are_true(module):
    """What the documentation shows is what happens."""
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
