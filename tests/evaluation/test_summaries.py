"""The numbers beside ROUGE have to catch a summary that earns its ROUGE by cheating, and the baselines be fair ones."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.evaluation.rouge import rouge_n
from labkit.evaluation.summaries import best_lead, copied, describe, lead, length, novelty, oracle, repetition
from labkit.tasks.papers import Paper

ARTICLE = "We train a model. It reads papers, slowly. The result is 3.5 points better! Others disagree."


def test_known_values():
    assert length("We train, don't we?") == 5  # "don" and "t" are two, as for ROUGE
    assert repetition("a b c a b c a b c") == pytest.approx(4 / 7)  # 7 trigrams, 3 different
    assert novelty("we train the model", ARTICLE) == pytest.approx(2 / 3)  # but for "we train"
    assert novelty("we train the model", ARTICLE, n=1) == 0
    assert copied("so we train a model now", ARTICLE) == pytest.approx(4 / 6)


def test_a_copy_is_a_copy_and_new_words_are_new():
    """The two ends of each scale."""
    assert (copied(ARTICLE, ARTICLE), novelty(ARTICLE, ARTICLE), repetition(ARTICLE)) == (1, 0, 0)
    assert (copied("x y z w", ARTICLE), novelty("x y z w", ARTICLE)) == (0, 1)


def test_two_words_in_a_row_are_not_copying():
    """Else "of the" would be, and every summary half copied."""
    assert copied("we train nothing, it reads nothing", ARTICLE) == 0


words = st.lists(st.sampled_from("abc"), max_size=12).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(words, words)
def test_shares_are_shares(summary, source):
    """Also of texts too short for an n-gram: a mean over a test set must not stop at an empty summary."""
    for share in (repetition(summary), novelty(summary, source), copied(summary, source)):
        assert 0 <= share <= 1
    # Every token by itself, from the definition: does some run of three around it stand in the source?
    tokens, text = summary.split(), f" {source} "
    runs = [range(i, i + 3) for i in range(len(tokens) - 2)]
    taken = [
        any(i in run and f" {' '.join(tokens[j] for j in run)} " in text for run in runs) for i in range(len(tokens))
    ]
    assert copied(summary, source) == (sum(taken) / len(tokens) if tokens else 0)


def test_describe_has_the_means_and_tells_a_cheat_from_a_summary():
    """Saying it twice keeps every word right: ROUGE-1 recall is full, and only the columns beside it object."""
    honest, twice = "we train a better model", "we train a model we train a model we train a model"
    good, bad = (describe([text], [ARTICLE], [honest]) for text in (honest, twice))
    assert list(good) == ["words", "repetition", "novelty", "copied", "rouge1", "rouge2", "rougeL", "rougeLsum"]
    assert bad["repetition"] > 0.5 > good["repetition"] == 0 and bad["words"] > 2 * good["words"]
    assert bad["copied"] > good["copied"]
    both = describe([honest, twice], [ARTICLE] * 2, [honest] * 2)
    assert both == pytest.approx({name: (good[name] + bad[name]) / 2 for name in good})


@pytest.mark.parametrize("texts", [([], [], []), (["a"], ["a"], []), (["a"], [], ["a"])])
def test_describe_refuses_none_and_unequal_numbers(texts):
    """A column shorter than the others would be the mean of something else."""
    with pytest.raises(ValueError):
        describe(*texts)


def test_lead_is_the_beginning_across_paragraphs():
    assert lead(["One. Two.", "Three. Four."], 3) == ["One.", "Two.", "Three."]
    assert lead(["One."], 3) == ["One."] and lead([], 3) == []
    with pytest.raises(TypeError, match="list of texts"):
        lead(ARTICLE, 3)


def test_the_best_lead_is_as_long_as_the_abstracts_ask():
    """A baseline of any length but the best makes every model look good."""
    body = ("One fine day. Two came along. Three left again.", "Four remained.")
    papers = [Paper(str(n), body, " ".join(lead(body, n))) for n in (2, 2, 3)]
    assert best_lead(papers) == 2 and best_lead(papers[2:]) == 3 and best_lead(papers, most=1) == 1


def test_oracle_takes_what_the_abstract_says_in_the_order_of_reading():
    abstract = "The result is 3.5 points better. We train a model."
    assert oracle(ARTICLE, abstract) == ["We train a model.", "The result is 3.5 points better!"]
    assert oracle(ARTICLE, "") == oracle("", abstract) == oracle(ARTICLE, "unheard of") == []


def test_oracle_is_near_the_best_of_all_choices_and_above_lead():
    """A ceiling that a model can pass by choosing better sentences would be none."""
    rng = random.Random(0)
    reached = []
    for _ in range(20):
        # A point after a single letter would end no sentence.
        every = [" ".join(rng.choices("abcdefgh", k=5)) + " end." for _ in range(7)]
        article, abstract = " ".join(every), " ".join(rng.choices("abcdefgh", k=12))

        def score(chosen, abstract=abstract):
            text = " ".join(chosen)
            return (rouge_n(text, abstract, 1) + rouge_n(text, abstract, 2)) / 2

        best = max(score(choice) for n in range(1, 8) for choice in combinations(every, n))
        assert score(oracle(article, abstract)) <= best
        reached.append((score(oracle(article, abstract)) / best, score(lead([article], 2)) / best))
    oracle_s, lead_s = (sum(column) / len(column) for column in zip(*reached, strict=True))
    assert oracle_s > 0.85 and oracle_s > lead_s + 0.1
