"""No row of the table may be lost, whatever a system or a network does."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from api_server import Server, hang, right

from labkit.evaluation import api
from labkit.evaluation.api import ApiModel
from labkit.evaluation.systems import NOT_CONFIGURED, answer, ask, compare, prompts, row, scores
from labkit.tasks.papers import Paper
from labkit.tasks.synthetic_papers import synthetic_paper

PAPERS = [synthetic_paper(i) for i in range(4)]
NUMBERS = ("papers", "ROUGE-1", "ROUGE-2", "ROUGE-L", "words", "repetition", "novelty", "copied", "right", "wrong",
           "unread", "seconds")  # fmt: skip


def perfect(papers):
    return [paper.abstract for paper in papers]


def picky(papers):
    """Fails whenever it meets the third paper."""
    if PAPERS[2] in papers:
        raise RuntimeError("out of\nmemory")
    return perfect(papers)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Tiny delays, no key, and no proxy between the tests and their own server."""
    monkeypatch.delenv("LABKIT_API_KEY", raising=False)
    monkeypatch.setattr(api, "FIRST_DELAY", 0.005)
    monkeypatch.setattr(api, "TIMEOUT", 0.2)
    monkeypatch.setattr(api, "ATTEMPTS", 3)


def test_a_perfect_system_has_a_perfect_row():
    found = row(answer(perfect, PAPERS, timed=3), PAPERS)
    assert tuple(found) == (*NUMBERS, "notes")
    assert found["papers"] == "4" and found["ROUGE-L"] == "1.000 (1.000–1.000)" and found["notes"] == ""
    assert found["wrong"] == "0.00" and found["unread"] == "0.00" and float(found["right"]) > 3


def test_seconds_are_those_of_single_abstracts_after_a_warm_up():
    """A share of a batch is no waiting time, and a first call pays for what later ones find ready."""
    calls = []

    def noted(papers):
        calls.append(len(papers))
        return perfect(papers)

    given = answer(noted, PAPERS, timed=3)
    assert calls == [4, 1, 1, 1, 1] and len(given.seconds) == 3
    assert answer(noted, PAPERS).seconds == () and row(answer(noted, PAPERS), PAPERS)["seconds"] == "not timed"


def test_a_system_that_fails_on_one_paper_keeps_the_others():
    given = answer(picky, PAPERS, timed=8)
    assert [text is None for text in given.texts] == [False, False, True, False]
    assert given.says == "1 of 4 failed: RuntimeError: out of memory" and len(given.seconds) == 3
    found = row(given, PAPERS)
    assert found["papers"] == "3" and found["ROUGE-L"].startswith("1.000") and found["notes"] == given.says
    assert np.isnan(scores(given, PAPERS)).tolist() == [False, False, True, False]


@pytest.mark.parametrize("system", [lambda papers: 1 / 0, lambda papers: ["one too few"] * (len(papers) - 1)])
def test_a_system_that_fails_on_all_has_a_row_that_says_so(system):
    found = row(answer(system, PAPERS, timed=3), PAPERS)
    assert all(found[name] == "failed" for name in NUMBERS) and "4 of 4 failed" in found["notes"]


def test_an_interrupt_is_no_failure_of_the_system():
    """Otherwise Ctrl-C would be answered by asking about every paper alone."""

    def interrupted(papers):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(interrupted, PAPERS)


def test_empty_abstracts_score_nothing_and_break_nothing():
    """An untrained model ends at once; its row is as good as any, and so is the comparison with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = answer(lambda papers: [""] * len(papers), PAPERS)
        found = row(given, PAPERS)
        nothing = compare(scores(given, PAPERS), scores(given, PAPERS))
    assert found["ROUGE-1"] == "0.000 (0.000–0.000)" and found["words"] == "0.0" and found["right"] == "0.00"
    assert nothing == (0, 0, 0, 1)


def test_systems_are_compared_on_papers_that_both_answered():
    a = np.array([0.5, math.nan, 0.7, 0.9])
    assert compare(a, np.array([0.4, 0.1, math.nan, 0.6])).mean == pytest.approx(0.2)
    assert compare(a, np.array([math.nan, 1, 1, math.nan])) is None, "one pair has no interval"


def test_facts_of_real_papers_are_unknown_and_one_paper_has_no_interval():
    """Counted as 0 right they would look like a finding."""
    real = [Paper("1", ("We measure x.",), "X is measured.")]
    found = row(answer(perfect, real), real)
    assert found["right"] == found["wrong"] == found["unread"] == "unknown" and found["ROUGE-L"] == "1.000 (one paper)"


def test_without_an_api_every_number_says_so():
    given = ask(None, PAPERS, words=20)
    found = row(given, PAPERS)
    assert all(found[name] == NOT_CONFIGURED for name in NUMBERS) and np.isnan(scores(given, PAPERS)).all()


def model(server, tmp_path, **more):
    return ApiModel(server.url, "small-1", tmp_path / "api", prices=(1.0, 2.0), **more)


def test_an_api_is_told_how_many_words_and_its_row_is_like_any_other(tmp_path):
    with Server(right("An abstract.")) as server:
        given = ask(model(server, tmp_path), PAPERS, words=37)
        again = ask(model(server, tmp_path), PAPERS, words=37)
    sent = [request["body"]["messages"][0]["content"] for request in server.asked]
    assert sorted(sent) == sorted(prompts(PAPERS, 37)) and all("37 words" in text for text in sent)
    assert given.texts == ("An abstract.",) * 4 and len(given.seconds) == 4 and given.says == ""
    assert given.cost == pytest.approx(4 * (100 * 1 + 10 * 2) / 1e6) and again.cost == 0
    assert row(given, PAPERS)["words"] == "2.0" and again.texts == given.texts


def test_429_then_a_reply_leaves_no_trace(tmp_path):
    with Server((429, {"Retry-After": "0.01"}, b""), right()) as server:
        assert ask(model(server, tmp_path), PAPERS, words=20).says == ""


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((500, {}, b"oops"), "HTTP 500"),
        ((200, {}, b"<html>Welcome to the hotel</html>"), "no chat completion"),
        (right(""), "empty"),
        (hang, "no answer in time"),
        (lambda handler, body: handler.connection.close(), "no connection"),
    ],
    ids=["500 always", "garbage", "no text", "nothing", "closed"],
)
def test_an_api_that_fails_is_a_row_that_says_why(tmp_path, answers, why):
    with Server(answers) as server:
        given = ask(model(server, tmp_path), PAPERS, words=20)
    found = row(given, PAPERS)
    assert all(found[name] == "failed" for name in NUMBERS)
    assert "4 of 4 failed" in found["notes"] and why in found["notes"]


def test_what_an_api_did_answer_is_scored(tmp_path):
    """One article that is too long for the model must not cost the others' scores."""

    def on_all_but_one(handler, body):
        refused = PAPERS[1].article in body["messages"][0]["content"]
        return (400, {}, b'{"error": "too long"}') if refused else right()

    with Server(on_all_but_one) as server:
        found = row(ask(model(server, tmp_path), PAPERS, words=20), PAPERS)
    assert found["papers"] == "3" and "1 of 4 failed" in found["notes"] and "too long" in found["notes"]


def test_replies_cut_short_are_counted(tmp_path):
    """Their length is the limit's, not the model's."""
    choice = {"message": {"content": "Half a"}, "finish_reason": "length"}
    with Server(right(choices=[choice])) as server:
        given = ask(model(server, tmp_path, max_tokens=9), PAPERS, words=20)
    assert given.says == "4 of 4 cut short at 9 tokens" and row(given, PAPERS)["papers"] == "4"
