"""The page of abstracts: what models write stays text, and every row says what became of it."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup

from labkit.profile import LabError
from labkit.report.sidebyside import Row, write_side_by_side
from labkit.tasks.papers import Paper

EVIL = '</p><script>alert("x")</script><img src="https://evil.example/x.png" onerror=alert(1)> & <b>bold</b> {{ 7*7 }}'
PAPERS = [
    Paper("p-1", ("One.", "Two three."), "An abstract."),
    Paper("p-2", ("Four.",), "Another one.", "method first"),
]


def page(tmp_path, systems, papers=PAPERS):
    write_side_by_side(tmp_path / "made" / "abstracts.html", papers, systems)
    return BeautifulSoup((tmp_path / "made" / "abstracts.html").read_text(encoding="utf-8"), "html.parser")


def cards(soup, paper=1):
    return {card["aria-label"]: card for card in soup.find(id=f"paper-{paper}").find_all("article")}


def test_each_paper_shows_its_reference_and_each_system_with_its_scores(tmp_path):
    """Rows that slip by one would put every abstract beside the wrong reference."""
    rows = [Row("It is so.", {"ROUGE-L": 0.31234, "facts": "3 right, 1 wrong"}), Row("Else.", {"ROUGE-L": None})]
    soup = page(tmp_path, {"lead-3": rows})
    first, second = cards(soup, 1), cards(soup, 2)
    assert list(first) == ["Reference", "lead-3"] and "An abstract." in first["Reference"].p
    scores = [div.get_text(" ", strip=True) for div in first["lead-3"].dl.find_all("div")]
    assert scores == ["ROUGE-L 0.3123", "facts 3 right, 1 wrong", "words 3"]
    assert "Another one." in second["Reference"].p and "Else." in second["lead-3"].p
    assert "ROUGE-L" not in second["lead-3"].get_text(), "an unknown score is no score"
    details = soup.find(id="paper-1").details
    assert [p.string for p in details.find_all("p")] == ["One.", "Two three."] and "3 words" in details.summary.string
    assert not details.has_attr("open"), "a long article is folded away"


def test_all_text_is_escaped(tmp_path):
    """A model may write anything, and a page that runs it harms its reader."""
    row = Row(EVIL, {EVIL: EVIL})
    papers = [Paper(EVIL, (EVIL,), EVIL, EVIL), Paper("q", ("Q.",), "Q.")]
    soup = page(tmp_path, {EVIL: [row, Row("", {}, EVIL)], "API": []}, papers)
    assert len(soup.find_all("script")) == 1 and "alert" not in soup.script.string
    assert not soup.find_all(["img", "b"]) and not [tag for tag in soup.find_all() if "onerror" in tag.attrs]
    assert cards(soup, 1)[EVIL].find_all("p")[-1].string == EVIL
    assert cards(soup, 2)[EVIL].p.string == EVIL and cards(soup, 1)["Reference"].p.string == EVIL


def test_nothing_is_fetched(tmp_path):
    """The page must open on a train, and tell nobody that it was opened."""
    soup = page(tmp_path, {"a": [Row("x"), Row("y")]})
    assert not soup.find_all(["link", "iframe", "img"]) and not soup.find_all(src=True)
    assert all(link["href"].startswith("#paper-") for link in soup.find_all(href=True))
    assert not re.search(r"https?:|url\(|@import|fetch\(", str(soup))


def test_what_failed_and_what_was_never_asked_say_so(tmp_path):
    """An empty card would pass for a model that had nothing to say."""
    rows = [Row("", {"ROUGE-L": 0.5}, "HTTP 401: the key was refused"), Row(" \n", {"ROUGE-L": 0.0})]
    soup = page(tmp_path, {"API": rows, "other API": []})
    failed = cards(soup, 1)["API"]
    assert failed.find("p", class_="bad").string == "HTTP 401: the key was refused"
    assert not failed.dl, "an error has no scores"
    assert cards(soup, 2)["API"].find("p", class_="wait").string == "It wrote nothing."
    assert [cards(soup, n)["other API"].p.string for n in (1, 2)] == ["not configured"] * 2


def test_rows_that_do_not_match_the_papers_are_refused(tmp_path):
    with pytest.raises(LabError, match="'lead-3' has 1 rows for 2 papers"):
        page(tmp_path, {"lead-3": [Row("x")]})
    assert not (tmp_path / "made").exists()


def test_it_is_made_for_phones_and_screen_readers_in_light_and_dark(tmp_path):
    """Labels that point nowhere, or links to no paper, leave some readers with nothing."""
    soup = page(tmp_path, {"a": [Row("x"), Row("y")]})
    assert soup.html["lang"] == "en" and "width=device-width" in soup.find("meta", {"name": "viewport"})["content"]
    assert "prefers-color-scheme: dark" in soup.style.string
    ids = [tag["id"] for tag in soup.find_all(id=True)]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in soup.nav.find_all("a")} == {"paper-1", "paper-2"} <= set(ids)
    assert {section["aria-labelledby"] for section in soup.find_all("section")} <= set(ids)
    label = soup.find("label")
    assert label["for"] in ids and label.has_attr("hidden"), "the filter shows itself only where scripts run"
    assert soup.find(id="found")["role"] == "status"


def test_a_page_of_nothing_can_be_made(tmp_path):
    assert not page(tmp_path, {"API": []}, []).find_all("section")
