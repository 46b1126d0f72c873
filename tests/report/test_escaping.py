"""Every page and every object that shows itself as HTML, with markup where text belongs: it must stay text.

A row of a data set, a model's text, an error or a file's name may hold anything; a page that runs it harms its reader.
"""

from __future__ import annotations

import dataclasses
import re

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat import v4
from report_ledger import SMALL, recorded, written

from labkit import profile
from labkit.doctor import Check, Checks
from labkit.exercises.verdict import Verdict
from labkit.files import write_json_atomic, write_text_atomic
from labkit.profile import PROFILES, ROOT
from labkit.report.html import export_html, mathml
from labkit.report.index import write_index
from labkit.report.publication import write_publication
from labkit.report.rating import Item, write_rating_sheet
from labkit.report.sidebyside import Row, write_side_by_side
from labkit.tasks.papers import Paper

SHORT = "<img src=x onerror=alert(1)>"
TEXT = f"</td><script>alert(1)</script>{SHORT} \" onmouseover='alert(1)' & {{{{ 7*7 }}}}"
NAME = TEXT.replace("/", "")  # as a file's or a folder's


def results(tmp_path):
    """A run of one notebook, which has a name of its own and says something odd wherever it can."""
    folder = tmp_path / "laptop" / f"02_{NAME}"
    figure, ending = folder / "figures" / NAME, [TEXT, TEXT, TEXT, TEXT]
    metric = {"value": TEXT, "unit": TEXT, "n": TEXT, "ci95": [TEXT, TEXT]}
    hardware = {"cpu": TEXT, "cores": TEXT, "gpus": [TEXT], "memory_gb": TEXT}
    made = {"git": TEXT, "versions": {TEXT: TEXT}, "hardware": hardware, "data": {TEXT: {"name": TEXT, TEXT: [TEXT]}}}
    said = dict(zip(("notebook", "profile", "source", "seed"), ending, strict=True))
    write_json_atomic(folder / "metrics.json", said | {"metrics": {TEXT: metric}, "provenance": made})
    for kind in ("svg", "png", "json"):
        write_text_atomic(figure.with_name(f"{NAME}.{kind}"), "")
    write_json_atomic(figure.with_name(f"{NAME}.json"), {"title": TEXT, "alt": TEXT, "number": 1})
    table = pd.DataFrame({TEXT: [TEXT]})
    write_text_atomic(folder / "tables" / f"{NAME}.csv", table.to_csv(index=False))
    for kind in ("html", "ipynb"):
        write_text_atomic(tmp_path / "laptop" / "notebooks" / f"02_{NAME}.{kind}", "")
    row = {"id": folder.name, "title": TEXT, "status": "failed", "cell": TEXT, "heading": TEXT, "finished": TEXT}
    run = {"profile": TEXT, "source": TEXT, "notebooks": [row | {"error": f"{TEXT}\n{TEXT}"}, {"id": NAME}]}
    write_json_atomic(tmp_path / "laptop" / "run.json", run)
    return tmp_path / "laptop"


def index(tmp_path):
    return write_index(results(tmp_path)).read_text(encoding="utf-8")


def publication(tmp_path):
    reported = {"columns": [TEXT, "y"], "rows": [[TEXT, 2]]}
    exhibit = SMALL["documents"][0]["exhibits"][0] | {"where": TEXT, "shows": TEXT, "reported": reported}
    document = {"id": TEXT, "title": f'a " onclick=1 {SHORT}', "about": TEXT, "exhibits": [exhibit]}
    words = dict.fromkeys(("id", "document", "where", "says", "why", "unit", "number"), TEXT)
    untestable = SMALL["claims"][1] | {"document": TEXT, "says": TEXT, "untestable": TEXT}
    written(tmp_path, {"documents": [document], "claims": [SMALL["claims"][0] | words, untestable]})
    folder = results(tmp_path)
    recorded(folder, score=(0.61, None))
    write_text_atomic(folder / "02_x" / "figures" / "curve.svg", f'<svg viewBox="0 0 9 9">{TEXT}</svg>')
    write_json_atomic(folder / "02_x" / "figures" / "curve.json", {"title": TEXT, "alt": TEXT})
    return write_publication(folder, tmp_path / "claims.yaml").read_text(encoding="utf-8")


def rating(tmp_path):
    items = [Item(TEXT, TEXT, {TEXT: TEXT, "y": TEXT})]
    write_rating_sheet(tmp_path / "sheet.html", items, {TEXT: TEXT}, title=TEXT)
    return (tmp_path / "sheet.html").read_text(encoding="utf-8")


def side_by_side(tmp_path):
    papers = [Paper(TEXT, (TEXT,), TEXT, TEXT)] * 2
    rows = [Row(TEXT, {TEXT: TEXT}), Row("", error=TEXT)]
    write_side_by_side(tmp_path / "page.html", papers, {TEXT: rows}, TEXT)
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def notebook(tmp_path):
    """Everything that an output shows a row of data as, and an error with one in it."""

    def shown(**data):
        return v4.new_output("display_data", {kind.replace("_", "/"): text for kind, text in data.items()})

    picture = shown(image_png="", text_plain=TEXT)
    picture.metadata = {"image/png": {"alt": TEXT}}
    outputs = [
        v4.new_output("stream", name="stdout", text=TEXT),
        v4.new_output("stream", name="stderr", text=TEXT),
        v4.new_output("error", ename=TEXT, evalue=TEXT, traceback=[TEXT]),
        shown(text_html=pd.DataFrame({TEXT: [TEXT]}, index=[TEXT]).to_html()),
        shown(text_html=Checks([Check(TEXT, TEXT, False, TEXT)])._repr_html_()),
        shown(text_plain=TEXT),
        shown(text_latex=TEXT),
        shown(text_markdown=f"A row: {TEXT}\n\n{TEXT}\n\n# {TEXT}\n\n- {TEXT}\n\n`{TEXT}`\n\n| a |\n|---|\n| {TEXT} |"),
        shown(text_markdown=f"```mermaid\n{TEXT}\n```\n\n```python\n{TEXT}\n```\n\n$$\\text{{{TEXT}}}$$\n\n${TEXT}$"),
        picture,
    ]
    cells = [v4.new_markdown_cell(f"# T `{TEXT}`"), v4.new_code_cell(f"# {TEXT}", execution_count=1, outputs=outputs)]
    nbformat.write(v4.new_notebook(cells=cells), tmp_path / f"{NAME}.ipynb")
    export_html(tmp_path / f"{NAME}.ipynb", tmp_path / f"{NAME}.html")
    return (tmp_path / f"{NAME}.html").read_text(encoding="utf-8")


def doctor(tmp_path):
    return Checks([Check(TEXT, TEXT, False, TEXT)])._repr_html_()


def verdict(tmp_path):
    return Verdict(TEXT, "failed", TEXT, ((TEXT, TEXT),), TEXT)._repr_html_()


def lab(tmp_path):
    return profile.Lab(dataclasses.replace(PROFILES["smoke"], name=TEXT, purpose=TEXT), "embedded", TEXT)._repr_html_()


# The writer, the scripts that it has of its own, and how often the text must be there to read, at least.
WRITERS = {
    "index.html.j2": (index, 0, 25),
    "publication.html.j2": (publication, 0, 25),
    "rating.html.j2": (rating, 1, 8),
    "sidebyside.html.j2": (side_by_side, 1, 10),
    "notebook.html.j2": (notebook, 0, 20),
    "labkit/doctor.py": (doctor, 0, 3),
    "labkit/exercises/verdict.py": (verdict, 0, 5),
    "labkit/profile.py": (lab, 0, 2),
}


@pytest.mark.parametrize("name", WRITERS)
def test_text_stays_text(tmp_path, name):
    writer, scripts, times = WRITERS[name]
    page = BeautifulSoup(writer(tmp_path), "html.parser")
    assert len(page.find_all("script")) == scripts
    assert not [tag for tag in page.find_all() if any(key.startswith("on") for key in tag.attrs)]
    assert not page.find_all("img", src="x") and "7*7" in page.get_text()
    read = page.get_text() + " ".join(str(value) for tag in page.find_all() for value in tag.attrs.values())
    assert read.count(SHORT) >= times


def test_every_writer_of_html_is_looked_at():
    """A new page that nobody looks at is the one that isn't escaped."""
    templates = {path.name for path in (ROOT / "labkit").rglob("*.j2")}
    shows_itself = {p for p in ROOT.glob("labkit/**/*.py") if "def _repr_html_" in p.read_text(encoding="utf-8")}
    assert {*templates, *(path.relative_to(ROOT).as_posix() for path in shows_itself)} == set(WRITERS)


@pytest.mark.parametrize("words", ["<b>", "&lt;b&gt;", "a & b < c"])
def test_words_in_a_formula_are_no_markup(words):
    """The translator itself turns what it escaped into markup again."""
    formula = BeautifulSoup(mathml(rf"x \leq \text{{{words}}} \backslash", "inline"), "html.parser")
    assert not formula.find("b") and "≤" in formula.get_text() and "\\" in formula.get_text()


def test_a_row_of_markdown_embeds_no_file_and_leads_to_no_script(tmp_path):
    """A picture's address in a data set could name any file of this machine, which the page would then carry away."""
    (tmp_path / "private.png").write_text("a private file")
    row = "![a](private.png) ![b](https://evil.example/b.png) [c](javascript:alert(1)) [02](02_x.ipynb)"
    output = v4.new_output("display_data", {"text/markdown": row})
    cells = [v4.new_code_cell("1", execution_count=1, outputs=[output])]
    nbformat.write(v4.new_notebook(cells=cells), tmp_path / "01_x.ipynb")
    export_html(tmp_path / "01_x.ipynb", tmp_path / "01_x.html")
    page = (tmp_path / "01_x.html").read_text()
    assert "base64" not in page and "javascript:" not in page and 'href="02_x.html"' in page
    policy = BeautifulSoup(page, "html.parser").find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    assert re.match(r"default-src 'none';", policy) and "script-src" not in policy, "browsers fetch and run nothing"
