"""What stands around the lessons is made from the files there are, and is up to date."""

from __future__ import annotations

import json
import re
import shutil

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup

from labkit.profile import ROOT
from labkit.report import reading
from labkit.report.glossary import LINK, load_glossary
from labkit.report.html import export_html

FILES = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.fixture(scope="module")
def notebooks():
    return {path.stem[:2]: nbformat.read(path, as_version=4) for path in FILES}


@pytest.fixture
def folder(tmp_path):
    for path in FILES[:3]:
        shutil.copy(path, tmp_path)
    reading.main([str(tmp_path), "--write"])
    return tmp_path


def prose(notebook) -> list[str]:
    return [c.source for c in notebook.cells if c.cell_type == "markdown" and not c.id.endswith("words")]


def words_of(notebook) -> list[str]:
    (cell,) = [c for c in notebook.cells if c.id.endswith("-words")] or [None]
    return re.findall(r"^\| \*\*(.+?)\*\* \|", cell.source, re.MULTILINE) if cell else []


def test_the_notebooks_are_up_to_date(capsys):
    """Fails with the name of the notebook: run `python -m labkit.report.reading --write`."""
    assert reading.main([]) == 0, capsys.readouterr().out


def test_each_word_is_linked_once_where_it_is_explained(notebooks):
    """A reader who follows a link must find the word at the end of the same notebook, and none is left out."""
    forms = {form.lower(): w.word for w in load_glossary() for form in (w.word, *w.also)}
    linked = {}
    for number, notebook in notebooks.items():
        for text in (found for source in prose(notebook) for found in LINK.findall(source)):
            name = next(forms[t] for t in (text.lower(), text.lower()[:-1], text.lower()[:-2]) if t in forms)
            assert name not in linked, f"{name} is linked in {linked[name]} and again in {number}"
            linked[name] = number
        assert sorted(words_of(notebook)) == sorted(w for w, n in linked.items() if n == number)
    assert set(linked) == set(forms.values())


def test_nothing_but_reading_aids_is_written(folder):
    """Code, its tags and the prose must be what they were: results stay valid, and nobody's sentence is lost."""
    path = folder / FILES[1].name
    notebook = json.loads(path.read_text())
    notebook["cells"][5]["source"] = ["A loss nobody has seen, $loss$ and `loss`.\n", "## Loss"]
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    before = nbformat.read(path, as_version=4)
    assert reading.main([str(folder)]) == 1 and reading.main([str(folder), "--write"]) == 0
    after = nbformat.read(path, as_version=4)
    assert after.cells[5].source == "A [loss](#Words) nobody has seen, $loss$ and `loss`.\n## Loss"
    for old, new in zip(before.cells, after.cells, strict=True):
        assert old.id == new.id and old.metadata == new.metadata
        if old.cell_type == "code":
            assert old == new
        elif "words" not in old.id and "**Minutes:**" not in old.source:
            assert LINK.sub(r"\1", old.source) == LINK.sub(r"\1", new.source)


def test_a_new_notebook_is_linked_from_its_neighbour(folder):
    """Notebook 14 must not need an edit of 13."""
    last = nbformat.read(folder / FILES[2].name, as_version=4)
    assert "03_" not in last.cells[0].source.split("\n\n")[1]
    new = nbformat.v4.new_markdown_cell("# 03 · New\n\n**Minutes:** ?", id="cell-03-00")
    nbformat.write(nbformat.v4.new_notebook(cells=[new]), folder / "03_new.ipynb")
    assert reading.main([str(folder), "--write"]) == 0 == reading.main([str(folder)])
    assert "[03 · New →](03_new.ipynb)" in nbformat.read(folder / FILES[2].name, as_version=4).cells[0].source
    first = nbformat.read(folder / "03_new.ipynb", as_version=4).cells[0].source.split("\n\n")
    assert first[1].startswith("[← 02 · ") and first[2].startswith("**Minutes:** about 5 to read; ")


def test_a_file_that_is_no_notebook_is_named(folder, capsys):
    (folder / "03_torn.ipynb").write_text('{"cells": [')
    assert reading.main([str(folder), "--write"]) == 1 and "03_torn.ipynb" in capsys.readouterr().err


def test_the_index_leads_to_every_word(notebooks):
    (cell,) = [c for c in notebooks["00"].cells if c.id == "cell-00-words"]
    names = {path.name: path.stem[:2] for path in FILES}
    links = re.findall(r"\]\((\d\d_\w+\.ipynb)#Words\)", cell.source)
    assert len(links) == len(load_glossary())
    for name in set(links):
        assert words_of(notebooks[names[name]])


def test_an_exported_page_leads_to_pages_and_has_one_place_called_words(notebooks, tmp_path):
    """An id that is there twice is invalid HTML; a link to a notebook leads out of the pages."""
    export_html(FILES[1], tmp_path / "page.html")
    page = BeautifulSoup((tmp_path / "page.html").read_text(encoding="utf-8"), "html.parser")
    assert [tag.name for tag in page.find_all(id="Words")] == ["h2"] and page.find("a", href="#Words")
    assert [a["href"] for a in page.select("main p a")[:2]] == [f"{FILES[0].stem}.html", f"{FILES[2].stem}.html"]


def test_papers_are_named_in_full_and_used_by_notebooks_that_exist(notebooks):
    """An arXiv number with a digit lost leads to another paper."""
    papers = yaml.safe_load(reading.REFERENCES.read_text(encoding="utf-8"))
    titles = [paper["title"].lower() for paper in papers]
    links = [paper["link"] for paper in papers if "link" in paper]
    assert len(set(titles)) == len(titles) and len(set(links)) == len(links)
    for paper in papers:
        assert paper.keys() <= {"authors", "year", "title", "where", "link", "for"} and 1900 < paper["year"] < 2030
        assert paper["for"].keys() <= notebooks.keys() and ("link" in paper or "where" in paper), paper["title"]
        link = paper.get("link", "https://")
        assert re.fullmatch(r"arXiv:(\d{4}\.\d{4,5}|[a-z-]+/\d{7})|https://.*", link), link
        if new_style := re.fullmatch(r"arXiv:(\d\d)\d\d\..*", link):  # published soon after its preprint
            assert -1 <= paper["year"] - (2000 + int(new_style[1])) <= 2, paper["title"]


def test_every_notebook_of_the_course_has_references(notebooks):
    for number, notebook in notebooks.items():
        assert notebook.cells[-1].id == f"cell-{number}-references" or number == "14", number
