"""The rating sheet: blind, complete and in order from the page to the table, or people judge texts they never saw."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from labkit.profile import LabError
from labkit.report.rating import Item, read_ratings, write_rating_sheet

EVIL = '</p><script>alert("x")</script><img src="https://evil.example/x.png" onerror=alert(1)> & <b>bold</b> {{ 7*7 }}'
ITEMS = [Item(f"p-{i}", f"Context {i}.", {"SysOne": f"One {i}.", "SysTwo": f"Two {i}."}) for i in range(1, 6)]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def sheet(folder, items=ITEMS, **options):
    key = write_rating_sheet(folder / "made" / "sheet.html", items, **options)
    html = (folder / "made" / "sheet.html").read_text(encoding="utf-8")
    return BeautifulSoup(html, "html.parser"), json.loads(key.read_text(encoding="utf-8")), key


def answer(key, rater="Ada"):
    """A file as the page makes it: everything a 3, the first letter preferred."""
    answers = {
        item: {"ratings": {letter: dict.fromkeys(key["criteria"], 3) for letter in letters}, "prefers": "A"}
        for item, letters in key["items"].items()
    }
    return {"sheet": key["sheet"], "rater": rater, "answers": answers}


def write(folder, content, name="ada.json") -> Path:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder / name


def test_letters_hide_the_systems_and_the_key_tells_them(tmp_path):
    """A name in the page's source unblinds it, a key that slips by one blames the wrong system."""
    soup, key, path = sheet(tmp_path)
    assert path == tmp_path / "made" / "sheet.key.json"
    assert not re.search("sysone|systwo", str(soup), re.IGNORECASE)
    sections = soup.find_all("section")
    assert [section["data-item"] for section in sections] == [item.id for item in ITEMS] == list(key["items"])
    for section, item in zip(sections, ITEMS, strict=True):
        assert section.blockquote.string == item.context
        shown = {card["data-position"]: card.find("p", class_="text").string for card in section.find_all("article")}
        assert list(shown) == ["A", "B"]
        assert shown == {letter: item.continuations[system] for letter, system in key["items"][item.id].items()}


@pytest.mark.parametrize("n_systems", [2, 3])
def test_each_system_is_as_often_first_as_the_others(tmp_path, n_systems):
    """Readers favour what they read first; drawn freely, one of two systems may be first in 14 of 20 items."""
    items = [Item(str(i), "c", {name: name for name in "xyz"[:n_systems]}) for i in range(20)]
    orders = []
    for seed in range(5):
        _, key, _ = sheet(tmp_path, items, seed=seed)
        orders.append([tuple(letters.values()) for letters in key["items"].values()])
        for position in range(n_systems):
            times = Counter(order[position] for order in orders[-1])
            assert max(times.values()) - min(times.values()) <= 1 and len(times) == n_systems
    assert len(set(map(tuple, orders))) == 5, "a seed that changes nothing"
    assert all(order[n_systems:] != order[:-n_systems] for order in orders), "taking turns, they could be told apart"


def browse(folder: Path, profile: Path, script: str) -> BeautifulSoup:
    """The sheet after `script` ran in it, as a real browser has it."""
    page = folder / "made" / "sheet.html"
    html = page.read_text(encoding="utf-8")
    (folder / "driven.html").write_text(html.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         f"--user-data-dir={profile}", "--dump-dom", f"file://{folder / 'driven.html'}"],
        capture_output=True, timeout=60,
    )  # fmt: skip
    return BeautifulSoup(done.stdout.decode("utf-8"), "html.parser")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_what_is_clicked_in_a_browser_is_what_is_read(tmp_path):
    """All the way: page, clicks, downloaded file, key, rows. Opened again, the page still knows the answers."""
    items = [*ITEMS[:2], Item('p "3" & <故事>', "萧炎", {"SysOne": "", "SysTwo": "Two 3."})]
    _, key, path = sheet(tmp_path, items, criteria={"logic": "?", 'odd "criterion"': "?"})
    clicked = ["r-1-A-1-5", "r-1-A-2-1", "r-1-B-1-2", "p-1-B", "r-3-A-1-4", "r-3-B-2-3", "p-3-none"]
    # What is downloaded is caught where it is made. The first click is taken back by the last of its question.
    script = (
        f"const clicks = {json.dumps(['r-1-A-1-1', *clicked])};"
        + """
        window.Blob = class extends Blob {
          constructor(parts, type) { super(parts, type); caught.textContent = parts.join(""); }
        };
        const caught = document.body.appendChild(document.createElement("pre"));
        caught.id = "caught";
        const submit = document.querySelector("button.main");
        submit.click();
        document.title = caught.textContent === "" ? "asked for a name" : "nameless";
        rater.value = " Ada L. ";
        for (const id of clicks) document.getElementById(id).click();
        submit.click();
        document.getElementById("next").click();
        document.activeElement.setAttribute("data-focus", "here");
    """
    )
    page = browse(tmp_path, tmp_path / "profile", script)
    assert page.title.string == "asked for a name"
    assert page.find(id="count").string == "7 of 15 answered" and page.progress["value"] == "7"
    assert "ratings-Ada-L-.json" in page.find(id="says").string and "unanswered: 8" in page.find(id="says").string
    assert page.find(attrs={"data-focus": "here"})["id"] == "r-1-B-2-1"

    downloaded = page.find(id="caught").string
    assert "SysOne" not in downloaded and "SysTwo" not in downloaded
    rows = read_ratings([write(tmp_path, downloaded)], path)
    told = {(row["item"], row["position"]): row for row in rows}
    assert len(rows) == len(told) == 6 and {row["rater"] for row in rows} == {"Ada L."}
    assert all(row["system"] == key["items"][row["item"]][row["position"]] for row in rows)
    answered = {at: tuple(row[name] for name in (*key["criteria"], "preferred")) for at, row in told.items()}
    nothing = (None, None, None)
    assert answered == {
        ("p-1", "A"): (5, 1, 0), ("p-1", "B"): (2, None, 1), ("p-2", "A"): nothing, ("p-2", "B"): nothing,
        (items[2].id, "A"): (4, None, 0.5), (items[2].id, "B"): (None, 3, 0.5),
    }  # fmt: skip

    checked = "document.title = [...document.querySelectorAll(':checked')].map(i => i.id) + ' ' + rater.value"
    assert browse(tmp_path, tmp_path / "profile", checked).title.string == f"{','.join(clicked)}  Ada L. "
    sheet(tmp_path, items, seed=1)  # another sheet at the same place: nobody has answered it
    assert browse(tmp_path, tmp_path / "profile", checked).title.string.strip() == ""


def test_rows_of_several_raters_keep_apart_and_in_order(tmp_path):
    _, key, path = sheet(tmp_path)
    files = [write(tmp_path, answer(key, rater), f"{rater}.json") for rater in ("Ada", "Ben")]
    rows = read_ratings(files, path)
    assert [row["rater"] for row in rows] == ["Ada"] * 10 + ["Ben"] * 10
    assert sum(row["preferred"] for row in rows) == 10 and {row["logic"] for row in rows} == {3}
    assert Counter(row["system"] for row in rows) == {"SysOne": 10, "SysTwo": 10}


def spoil(where, value):
    """The file with the value at that path of keys replaced."""

    def spoiled(answers):
        *way, last = where
        inner = answers = copy.deepcopy(answers)
        for step in way:
            inner = inner[step]
        inner[last] = value
        return answers

    return spoiled


ITEM = ("answers", "p-2")


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda answers: json.dumps(answers)[:-9], "ada.json is no JSON"),
        (lambda answers: "[1]", "ada.json holds no ratings"),
        (spoil(["rater"], None), "ada.json holds no ratings"),
        (spoil(["answers"], []), "ada.json holds no ratings"),
        (spoil(["sheet"], "other"), "ada.json answers another sheet"),
        (spoil(["answers", "p-99"], {"ratings": {}, "prefers": None}), "no item 'p-99'"),
        (spoil([*ITEM], None), "ada.json is damaged"),
        (spoil([*ITEM], {"ratings": {}}), "ada.json is damaged"),
        (spoil([*ITEM, "prefers"], "C"), "'p-2' has the continuations A, B"),
        (spoil([*ITEM, "ratings", "C"], {}), "'p-2' has the continuations A, B"),
        (spoil([*ITEM, "ratings", "A"], [3, 3, 3]), "ada.json is damaged"),
        (spoil([*ITEM, "ratings", "A", "logic"], 6), "'p-2': 6 for 'logic' is no rating from 1 to 5"),
        (spoil([*ITEM, "ratings", "A", "logic"], 0), "0 for 'logic'"),
        (spoil([*ITEM, "ratings", "A", "logic"], 2.5), "2.5 for 'logic'"),
        (spoil([*ITEM, "ratings", "A", "logic"], True), "True for 'logic'"),
        (spoil([*ITEM, "ratings", "A", "logic"], "3"), "'3' for 'logic'"),
        (spoil([*ITEM, "ratings", "A", "charm"], 3), "'charm'"),
    ],
)
def test_damaged_answers_are_named_not_counted(tmp_path, damage, message):
    """Files come back by mail, edited, cut short and mixed up; what slips through is in the means."""
    _, key, path = sheet(tmp_path)
    file = write(tmp_path, damage(answer(key)))
    with pytest.raises(LabError, match=re.escape(message)) as error:
        read_ratings([file], path)
    assert "ada.json" in str(error.value)
    assert len(read_ratings([write(tmp_path, answer(key))], path)) == 10, "undamaged it can be read"


def test_a_rater_counts_once_and_files_have_to_be_there(tmp_path):
    _, key, path = sheet(tmp_path)
    files = [write(tmp_path, answer(key), name) for name in ("one.json", "two.json")]
    with pytest.raises(LabError, match=r"one.json and .*two.json are both by 'Ada'"):
        read_ratings(files, path)
    with pytest.raises(LabError, match=r"can't read .*three.json"):
        read_ratings([tmp_path / "three.json"], path)
    with pytest.raises(LabError, match=r"one.json is no key"):
        read_ratings(files, files[0])


@pytest.mark.parametrize(
    "items, message",
    [
        ([], "compares"),
        ([Item("a", "c", {"x": "1"})], "compares"),
        ([ITEMS[0], Item("b", "c", {"SysOne": "1", "other": "2"})], "compares"),
        ([ITEMS[0], ITEMS[0]], "same id"),
    ],
)
def test_items_that_cannot_be_compared_are_refused(tmp_path, items, message):
    with pytest.raises(LabError, match=message):
        sheet(tmp_path, items)
    assert not (tmp_path / "made").exists()


def test_all_text_is_escaped_and_nothing_is_fetched(tmp_path):
    """A model may write anything; and the page must open on a train, and tell nobody that it was opened."""
    evil = [Item(EVIL, EVIL, {"x": EVIL, "y": ""})]
    soup, _, _ = sheet(tmp_path, evil, criteria={EVIL: EVIL}, title=EVIL)
    assert len(soup.find_all("script")) == 1 and "alert" not in soup.script.string
    assert not soup.find_all(["img", "link", "iframe"]) and not soup.find_all(src=True) and not soup.find_all(href=True)
    assert not [tag for tag in soup.find_all() if "onerror" in tag.attrs]
    assert {p.string for p in soup.find_all("p", class_="text")} == {EVIL, "It wrote nothing."}
    assert soup.blockquote.string == soup.h1.string == soup.section["data-item"] == EVIL
    plain, _, _ = sheet(tmp_path)
    assert not re.search(r"https?:|url\(|@import|fetch\(", str(plain))


def test_every_question_can_be_heard_and_reached_by_keyboard(tmp_path):
    """Five buttons called "1" to "5", thirty times over, tell a listener nothing about what is asked."""
    soup, key, _ = sheet(tmp_path)
    questions = soup.find_all("fieldset")
    assert len(questions) == len(ITEMS) * (2 * len(key["criteria"]) + 1)
    said = [question.legend.get_text(" ", strip=True) for question in questions]
    assert "of continuation B" in said[3] and "contradiction" in said[3] and "Passage 1" in said[6]
    groups = [{radio["name"] for radio in question.find_all("input", type="radio")} for question in questions]
    assert all(len(group) == 1 for group in groups) and len(set.union(*groups)) == len(questions)
    assert all(radio.find_parent("label").get_text(strip=True) for radio in soup.find_all("input"))
    ids = [tag["id"] for tag in soup.find_all(id=True)]
    assert len(ids) == len(set(ids))
    assert {tag["aria-labelledby"] for tag in soup.find_all(attrs={"aria-labelledby": True})} <= set(ids)
    assert soup.html["lang"] == "en" and soup.find(id="says")["role"] == "status"
    assert "@media print" in soup.style.string and "prefers-color-scheme: dark" in soup.style.string
