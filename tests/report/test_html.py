"""Exported notebooks: nothing from the network, nothing lost, whatever became of the run."""

from __future__ import annotations

import base64

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import v4

from labkit.profile import LabError
from labkit.report.html import export_html, mathml

PNG = base64.b64encode(b"\x89PNG pretend").decode()


def export(tmp_path, *cells):
    nbformat.write(v4.new_notebook(cells=list(cells)), tmp_path / "02_x.ipynb")
    export_html(tmp_path / "02_x.ipynb", tmp_path / "out" / "02_x.html")
    text = (tmp_path / "out" / "02_x.html").read_text()
    return BeautifulSoup(text, "html.parser")


def code(source, *outputs, count=1):
    return v4.new_code_cell(source, execution_count=count, outputs=list(outputs))


def picture(**about):
    return v4.new_output("display_data", {"image/png": PNG, "text/plain": "x"}, metadata={"image/png": about})


def test_alt_text_survives(tmp_path):
    """nbconvert's default template drops it, and a reader who cannot see the figure gets nothing."""
    page = export(tmp_path, code("draw()", picture(alt='Falls from "9" to 3 <nats>.', width=640)))
    (image,) = page.find_all("img")
    assert image["alt"] == 'Falls from "9" to 3 <nats>.'
    assert image["src"] == f"data:image/png;base64,{PNG}" and image["width"] == "640"


def test_nothing_is_fetched_and_no_script_is_run(tmp_path):
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "100%|████| 40/40"}
    page = export(
        tmp_path,
        v4.new_markdown_cell("# T\n\n$x$ and ```mermaid``` and [a link](https://example.org)"),
        code("1", picture(alt="a")),
        code("tqdm", v4.new_output("display_data", widget)),
        code("js", v4.new_output("display_data", {"application/javascript": "1", "text/plain": "plain"})),
    )
    assert not page.find_all(["script", "link", "iframe"])
    fetched = [tag["src"] for tag in page.find_all(src=True)]
    assert all(address.startswith("data:") for address in fetched) and fetched
    assert "url(" not in page.style.string and "@import" not in page.style.string
    assert "40/40" in page.get_text() and "plain" in page.get_text()  # what needs scripts falls back to text


def test_it_is_made_for_a_phone_and_leads_back(tmp_path):
    page = export(tmp_path, v4.new_markdown_cell("# Attention **by hand**\n\n[next](03_y.ipynb#loss) [doc](a.ipynb)"))
    assert page.title.string == "Attention by hand"
    assert page.html["lang"] == "en"
    assert "width=device-width" in page.find("meta", {"name": "viewport"})["content"]
    links = [a["href"] for a in page.find_all("a")]
    assert "../index.html" in links and "02_x.ipynb" in links
    assert "03_y.html#loss" in links and "a.ipynb" in links


@pytest.mark.parametrize(
    ("latex", "shows"),
    [
        (r"\mathcal{L}=-\frac{1}{T}\sum_{t=1}^{T}\log p_\theta(x_t\mid x_{<t})", "<mfrac>"),
        (r"\mathrm{softmax}\left(\frac{QK^\top}{\sqrt{d_k}}\right)V", "<msqrt>"),
        (r"\begin{aligned} a &= b \\ &= c \end{aligned}", "<mtable"),
        (r"a \text{ with a \_ in it}", "<mtext>"),
    ],
)
def test_formulas_become_mathml(latex, shows):
    formula = mathml(latex, "block")
    assert formula.startswith("<math") and 'display="block"' in formula and shows in formula


@pytest.mark.parametrize("latex", [r"\nosuchcommand{x} < 1", r"\left(\frac{a}{b}", r"\frac"])
def test_a_formula_that_cannot_be_translated_is_shown_as_written(latex):
    page = BeautifulSoup(mathml(f" {latex} ", "inline"), "html.parser")
    assert page.code.string == latex


def test_formulas_in_cells_are_translated_and_code_is_not(tmp_path):
    page = export(tmp_path, v4.new_markdown_cell("$a_1$ costs `$5`:\n\n$$\\ln V$$\n\n\\begin{align}x\\end{align}"))
    assert [m["display"] for m in page.find_all("math")] == ["inline", "block", "block"]
    assert page.code.string == "$5"


def test_html_around_markdown_stays_whole(tmp_path):
    """A <details> must hold its solution, and papermill's banner its link: not be closed where it opens."""
    page = export(
        tmp_path,
        v4.new_markdown_cell("<details><summary>Hint</summary>\n\nThe *answer*.\n\n</details>\n\nAfter."),
        v4.new_markdown_cell('<span style="color:red">Stopped at <a href="#x">In [5]</a>.</span>'),
    )
    assert "answer" in page.details.get_text() and "After" not in page.details.get_text()
    assert page.find("a", href="#x").string == "In [5]"


def test_a_notebook_that_failed_or_was_cut_off_is_exported_too(tmp_path):
    error = v4.new_output("error", ename="IndexError", evalue="5", traceback=["\x1b[0;31mIndexError\x1b[0m: <b>5</b>"])
    page = export(tmp_path, code("x[5] < 3", error), code("never_run()", count=None), v4.new_raw_cell("raw"))
    assert "IndexError: <b>5</b>" in page.get_text() and not page.find_all("b")
    assert "never_run" in page.get_text() and "not run" in page.get_text()


def test_half_a_file_is_an_error_that_says_so(tmp_path):
    (tmp_path / "02_x.ipynb").write_text('{"cells": [{"cell_type": "co')
    with pytest.raises(LabError, match=r"02_x\.ipynb can't be read as a notebook"):
        export_html(tmp_path / "02_x.ipynb", tmp_path / "02_x.html")
    assert not (tmp_path / "02_x.html").exists()
