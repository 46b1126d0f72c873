"""The report to print: the same bytes from the same files, nothing on it that can run, nothing missing unsaid."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys

import pytest
from bs4 import BeautifulSoup
from report_ledger import SMALL, recorded, written

from labkit.files import write_json_atomic, write_text_atomic
from labkit.report import publication
from labkit.report.__main__ import _printed
from labkit.report.claims import rule
from labkit.report.ledger import load_claims
from labkit.report.publication import draw_verdicts, print_pdf, verdicts_by_document, write_publication

HOSTILE = '</td><script>alert("1")</script>'
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 460 270"><g id="axes_1"/></svg>'


@pytest.fixture
def results(tmp_path):
    """Results of one notebook, with a figure and a table; the claim of the small ledger holds by them."""
    folder = tmp_path / "laptop"
    recorded(folder, score=(0.61, [0.55, 0.7]))
    write_text_atomic(folder / "02_x" / "figures" / "curve.svg", SVG)
    write_json_atomic(folder / "02_x" / "figures" / "curve.json", {"title": "It rises", "alt": "A line from 0 to 1."})
    write_text_atomic(folder / "02_x" / "tables" / "rows.csv", "step,loss\n" + "".join(f"{i},0.5\n" for i in range(20)))
    return folder


def page_of(results, tmp_path, ledger=SMALL) -> BeautifulSoup:
    written(tmp_path, ledger)
    return BeautifulSoup(write_publication(results, tmp_path / "claims.yaml").read_text(), "html.parser")


def test_it_has_verdicts_reported_and_measured_side_by_side(results, tmp_path):
    page = page_of(results, tmp_path)
    row = page.find(id="high").get_text(" ", strip=True)
    assert "it is high" in row and "0.610 [0.550 to 0.700]" in row and row.endswith("holds")
    assert "no telescope" in page.find(id="far").get_text()
    captions = [tag.get_text(" ", strip=True) for tag in page.find_all(["caption", "figcaption"])]
    numbers = {
        kind: [int(n) for c in captions for n in re.findall(rf"^{kind} (\d+)\.", c)] for kind in ("Figure", "Table")
    }
    assert numbers == {"Figure": [1, 2], "Table": [1, 2]}
    assert any("6 more rows" in caption for caption in captions)


def test_equal_files_give_equal_bytes_and_other_numbers_other_verdicts(results, tmp_path):
    first = page_of(results, tmp_path)
    again = page_of(results, tmp_path)
    assert str(first) == str(again) and (results / "report.html").read_bytes()
    recorded(results, score=(0.2, None))
    assert "does not hold" in page_of(results, tmp_path).find(id="high").get_text()


def test_all_text_is_escaped_and_no_figure_can_run(results, tmp_path):
    ledger = {
        "documents": [SMALL["documents"][0] | {"title": HOSTILE, "about": HOSTILE}],
        "claims": [
            SMALL["claims"][0] | {key: HOSTILE for key in ("where", "says", "why", "unit")} | {"number": HOSTILE}
        ],
    }
    write_json_atomic(results / "02_x" / "figures" / "curve.json", {"title": HOSTILE, "alt": HOSTILE})
    write_text_atomic(results / "02_x" / "figures" / "curve.svg", SVG.replace("<g", "<script>alert(2)</script><g"))
    write_text_atomic(results / "02_x" / "tables" / "rows.csv", f"{HOSTILE.replace(chr(34), '')},b\n1,2\n")
    page = page_of(results, tmp_path, ledger)
    assert not page.find_all(["script", "svg", "iframe", "link"]) and "alert" in page.get_text()
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in page.find_all("img"))


def test_every_image_is_described_and_the_page_needs_nothing_else(results, tmp_path):
    page = page_of(results, tmp_path)
    assert all(image["alt"] and image.find_parent("figure").figcaption for image in page.find_all("img"))
    assert not re.search(r'(src|href)="(?!data:|#)', str(page)) and "url(" not in page.style.get_text()
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.find_all("a", href=True)} <= set(ids)


def test_what_is_missing_is_said(tmp_path):
    (tmp_path / "laptop").mkdir()
    text = page_of(tmp_path / "laptop", tmp_path).get_text(" ", strip=True)
    assert "Run notebook 02." in text and "02_x/curve is not there yet" in text and "There are no results yet" in text


def test_a_broken_file_stops_nothing(results, tmp_path):
    write_text_atomic(results / "02_x" / "metrics.json", '{"metrics": ')
    write_text_atomic(results / "02_x" / "figures" / "curve.json", "torn")
    write_text_atomic(results / "02_x" / "tables" / "rows.csv", "")
    assert "no evidence yet" in page_of(results, tmp_path).find(id="high").get_text()


def test_the_chart_says_what_it_draws(results):
    documents, rulings = load_claims().documents.values(), rule(load_claims().claims, results)
    by_document = verdicts_by_document(documents, rulings)
    fig = draw_verdicts(by_document)
    assert sum(patch.get_width() for patch in fig.axes[0].patches) == len(rulings)
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in fig.axes[0].patches}) == 5


def test_the_whole_ledger_makes_a_page_that_is_sized_for_paper(results):
    text = write_publication(results).read_text()
    assert "size: A4" in text and all(
        claim.says[:20] in text for claim in load_claims().claims if "'" not in claim.says[:20]
    )
    chart = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', text)
    assert b"<svg" in base64.b64decode(chart[1])


def test_without_a_browser_it_says_what_to_do(results, tmp_path, monkeypatch):
    monkeypatch.setattr(publication.shutil, "which", lambda _: None)
    assert print_pdf(results / "report.html") is None
    assert "open" in _printed(results / "report.html")


def test_a_browser_that_fails_costs_the_pdf_only(results, tmp_path, monkeypatch):
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho no display >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(publication.shutil, "which", lambda _: str(broken))
    assert "no PDF" in _printed(results / "report.html") and "no display" in _printed(results / "report.html")


@pytest.mark.skipif(not any(map(shutil.which, publication.BROWSERS)), reason="no Chromium or Chrome on the PATH")
def test_a_browser_prints_it(results):
    """The command as a person types it: the index, the report and its PDF."""
    done = subprocess.run([sys.executable, "-m", "labkit.report", str(results)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {line.rpartition("/")[2] for line in done.stdout.split()} == {"index.html", "report.html", "report.pdf"}
    assert (results / "report.pdf").read_bytes().startswith(b"%PDF")
