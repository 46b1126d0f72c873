"""The index page: every text escaped, every link alive, and no fault in the results that stops it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from bs4 import BeautifulSoup

from labkit.files import write_json_atomic, write_text_atomic
from labkit.report.index import format_duration, format_memory, format_value, write_index


def metrics(**values):
    return {
        "notebook": "02_x",
        "profile": "smoke",
        "source": "embedded",
        "seed": 3,
        "metrics": {k: {"value": v, "unit": "u", "n": 65_536, "ci95": [0.5, 1.5]} for k, v in values.items()},
        "provenance": {
            "git": "a" * 40 + "+dirty",
            "versions": {"torch": "2.13.0"},
            "hardware": {"cpu": "A CPU", "cores": 2, "gpus": [], "memory_gb": 8.0},
            "data": {"books": {"kind": "synthetic", "documents": 1200}},
            "seconds": 1.0,
            "peak_rss_mb": 300.0,
        },
    }


def row(id, status="ok", **more):
    return {
        "id": id,
        "title": f"Title of {id}",
        "status": status,
        "seconds": 75.0,
        "peak_rss_mb": 1849.0,
    } | more


@pytest.fixture
def results(tmp_path):
    """A run of three notebooks: one good, one failed, one skipped."""
    lesson = tmp_path / "02_x"
    write_json_atomic(lesson / "metrics.json", metrics(parameters=124_439_808, tiny=3.1e-6))
    for number, name in ((2, "a_later"), (1, "b_first")):
        about = {"title": f"Figure {name}", "alt": f'Shows "{name}" & <more>', "number": number}
        write_json_atomic(lesson / "figures" / f"{name}.json", about)
        for kind in ("svg", "png"):
            write_text_atomic(lesson / "figures" / f"{name}.{kind}", "")
    write_text_atomic(lesson / "tables" / "said_measured.csv", 'said,measured\n"<b>3,0</b>",3.2\n')
    for kind in ("html", "ipynb"):
        write_text_atomic(tmp_path / "notebooks" / f"02_x.{kind}", "")
    failed = row("03_y", "failed", cell=17, heading="By hand", error="IndexError: 5\n<script>alert(1)</script>")
    rows = [row("02_x"), failed, row("04_z", "skipped", seconds=0.0, error="needs 03, which failed")]
    run = {"profile": "smoke", "source": "embedded", "seconds": 4000.0, "notebooks": rows}
    write_json_atomic(tmp_path / "run.json", run)
    return tmp_path


def build(results):
    return BeautifulSoup(write_index(results).read_text(), "html.parser")


def test_it_says_what_ran_where_and_how_it_ended(results):
    page = build(results)
    text = " ".join(page.get_text().split())
    for said in (
        "Profile smoke, source embedded: made on the spot",
        "1 of 3 notebooks ok",
        "1 h 6 min",
        "A CPU, 2 cores, 8.0 GB; no GPU",
        "aaaaaaaaaaaa+dirty",
        "1 min 15 s",
        "1.8 GB at its peak",
        "Cell 17, under “By hand”",
        "IndexError: 5",
        "needs 03, which failed",
        "synthetic",
    ):
        assert said in text, said
    assert [s.string for s in page.select(".contents .status")] == ["ok", "failed", "skipped"]
    assert all(s["data-icon"] for s in page.select(".status"))


def test_numbers_are_for_readers(results):
    cells = [[td.get_text() for td in tr.find_all("td")] for tr in build(results).select(".metrics tbody tr")]
    assert cells == [
        ["124,439,808", "u", "0.5 to 1.5", "65,536"],
        ["3.1e-06", "u", "0.5 to 1.5", "65,536"],
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.45231, "0.4523"),
        (2.3087, "2.309"),
        (-41234.5, "-41,234"),
        (0.0, "0"),
        (True, "yes"),
        ("text", "text"),
    ],
)
def test_formatting_of_values(value, shown):
    assert format_value(value) == shown


def test_formatting_of_costs():
    assert [format_duration(s) for s in (0.42, 59.7, 75, 4000)] == [
        "0.4 s",
        "1 min",
        "1 min 15 s",
        "1 h 6 min",
    ]
    assert [format_memory(m) for m in (370.4, 1849)] == ["370 MB", "1.8 GB"]


def test_text_is_escaped_and_nothing_runs_or_is_fetched(results):
    """A traceback or a table cell with markup in it must not become part of the page."""
    page = build(results)
    assert not page.find_all(["script", "link", "b"])
    assert "<script>alert(1)</script>" in page.get_text()
    assert "<b>3,0</b>" in [td.string for td in page.select("details td")]
    assert not [a for a in page.find_all(["a", "img"]) if "//" in (a.get("href") or a.get("src"))]


def test_figures_come_in_their_order_with_their_descriptions(results):
    images = build(results).find_all("img")
    assert [i["alt"] for i in images] == ['Shows "b_first" & <more>', 'Shows "a_later" & <more>']


def test_every_link_leads_to_a_file_or_a_place_on_the_page(results):
    page = build(results)
    links = [tag.get("href") or tag.get("src") for tag in page.find_all(["a", "img"])]
    assert len(links) > 10
    for link in links:
        assert page.find(id=link[1:]) if link.startswith("#") else (results / link).is_file(), link


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (
            lambda r: (r / "02_x/metrics.json").write_text('{"metrics": {"a"'),
            "02_x/metrics.json can't be read",
        ),
        (lambda r: (r / "02_x/metrics.json").write_text("[]"), "02_x/metrics.json can't be read"),
        (lambda r: (r / "02_x/metrics.json").unlink(), "no 02_x/metrics.json"),
        (lambda r: (r / "02_x/figures/a_later.json").write_text("{"), "Figure 2."),
        (lambda r: (r / "02_x/figures/a_later.png").unlink(), "Figure a_later"),
        (lambda r: (r / "02_x/tables/said_measured.csv").write_text(""), "said measured"),
        (lambda r: (r / "run.json").write_text('{"profile": "smo'), "by hand"),
        (lambda r: (r / "run.json").unlink(), "by hand"),
        (lambda r: write_json_atomic(r / "run.json", {"notebooks": [row("02_x", "new word")]}), "unknown"),
    ],
)
def test_a_fault_in_the_results_is_told_and_stops_nothing(results, plant, said):
    plant(results)
    page = build(results)
    assert said in page.get_text()
    assert all(image.get("alt") for image in page.find_all("img")) and page.find_all("img")
    assert all((results / image["src"]).is_file() for image in page.find_all("img"))


def test_a_notebook_that_a_run_is_at_is_not_called_stepped_through(results):
    write_json_atomic(results / "05_now/figures/a.json", {"title": "t", "alt": "a"})
    for begun, word in ((False, "by hand"), (True, "unfinished")):
        if begun:
            write_text_atomic(results / "notebooks/05_now.partial.ipynb", "")
        lesson = build(results).find(id="05_now")
        assert word in lesson.get_text() and ("recorded no numbers" in lesson.get_text()) != begun


def test_long_tables_are_cut_and_say_so(results):
    write_text_atomic(results / "02_x/tables/long.csv", "i\n" + "\n".join(map(str, range(80))))
    page = build(results)
    assert "30 more rows" in page.get_text()


def test_the_command_builds_the_page_and_refuses_a_missing_folder(results):
    def report(*arguments):
        command = [sys.executable, "-m", "labkit.report", *arguments]
        env = os.environ | {"LABKIT_RESULTS": str(results.parent / "nowhere")}
        return subprocess.run(command, capture_output=True, text=True, env=env)

    done = report(str(results))
    assert done.returncode == 0 and done.stdout.splitlines()[0] == str(results / "index.html")
    assert "1 of 3 notebooks ok" in (results / "index.html").read_text()
    missing = report()
    assert missing.returncode == 1 and "run the notebooks first" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_an_empty_folder_gives_a_page_that_says_what_to_do(tmp_path):
    assert "make run" in build(tmp_path).get_text()


def test_the_page_reads_what_a_record_writes(tmp_path, monkeypatch):
    """The two sides of the contract, end to end: without it each could be right alone."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    from labkit.profile import PROFILES, Lab
    from labkit.report import Record

    monkeypatch.setenv("LABKIT_RESULTS", str(tmp_path))
    record = Record("02_x", Lab(PROFILES["smoke"], "embedded", 0))
    record.metric("val_loss", 3.21, unit="nats/token", n=10, ci95=[3.19, 3.23])
    fig, ax = plt.subplots()
    ax.set(title="A line", xlabel="x", ylabel="y")
    record.figure(fig, "line", alt="Nothing is drawn yet.")
    record.table([{"said": 3.0}], "said")
    page = build(tmp_path / "smoke")
    assert page.img["alt"] == "Nothing is drawn yet."
    assert json.loads((tmp_path / "smoke/02_x/figures/line.json").read_text())["number"] == 1
    assert "3.19 to 3.23" in page.get_text() and "Table: said" in page.get_text()


def test_numbers_are_held_against_their_bands(results, monkeypatch):
    """A number outside is told by a word, not by its colour alone; one without a band is left in peace."""
    from labkit.report import bands

    kept = {"02_x/parameters": bands.Band(1e8, 1.2e8, 1.3e8, 5), "02_x/tiny": bands.Band(1, 0.9, 1.1, 5)}
    monkeypatch.setattr(bands, "reference", lambda name: kept)
    page = build(results)
    cells = {row.th.text: row.find_all("td")[-1].get_text(" ", strip=True) for row in page.select(".metrics tbody tr")}
    assert cells == {"parameters": "in 120,000,000 to 130,000,000", "tiny": "outside 0.9 to 1.1"}
    assert "1 of 2 in their bands" in page.header.text
