"""An executed notebook as one HTML file that needs nothing else: no network, no scripts, no folder beside it.

nbconvert does the work, with a template of our own (`notebook.html.j2`) because its default one drops the alt
text of images and both its full templates load scripts from other hosts. Formulas become MathML, which
browsers draw by themselves; a formula that can't be translated is shown as it was written. The cost: outputs
that need JavaScript (widgets) appear as their plain-text form.

HTML within Markdown is kept in cells, which people wrote, and is text in outputs, which may hold a row of any dataset.
HTML that an output consists of is kept: pandas and the course escape what they put into it. Whatever it is, the page
forbids browsers to run or to fetch anything.
"""

from __future__ import annotations

import re
from html import escape, unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import nbformat
from jinja2 import pass_context
from latex2mathml.converter import convert_to_element
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from labkit.files import write_text_atomic
from labkit.profile import LabError

HERE = Path(__file__).parent

# What a page without scripts can show, best first.
SHOWN = ["text/html", "text/markdown", "text/latex", "image/svg+xml", "image/png", "image/jpeg", "text/plain"]


def export_html(ipynb: Path, html: Path) -> None:
    """Write the notebook `ipynb`, executed to its end or not, as the standalone page `html`.

    Raises `LabError` if `ipynb` is not a readable notebook.
    """
    try:
        notebook = nbformat.read(ipynb, as_version=4)
    except (OSError, ValueError, nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise LabError(f"{ipynb} can't be read as a notebook ({error}): run it again") from error
    notebook.metadata["title"] = title_of(notebook) or Path(ipynb).stem
    resources = {
        "metadata": {"name": Path(ipynb).stem, "path": str(Path(ipynb).parent)},
        "notebook_file": Path(ipynb).name,
        "style": style(),
    }
    page, _ = _Exporter().from_notebook_node(notebook, resources=resources)
    write_text_atomic(html, page)


def title_of(notebook: nbformat.NotebookNode) -> str:
    """The notebook's first top heading, without its markup; "" if there is none."""
    for cell in notebook.cells:
        found = re.search(r"^# +(.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            return re.sub(r"[*_`$]", "", found[1]).strip()
    return ""


def style() -> str:
    """The CSS of every page: ours, and the colours of highlighted code on light and on dark ground."""
    light = HtmlFormatter(style="friendly").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    ours = (HERE / "page.css").read_text(encoding="utf-8")
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n{ours}"


def mathml(latex: str, display: str) -> str:
    """A formula as MathML (`display`: "inline" or "block"); its source as code if it can't be translated."""
    source = latex.strip()
    # The translator knows the outer form of this environment only.
    source = re.sub(r"(\\(?:begin|end))\{aligned\}", r"\1{align*}", source)
    try:
        formula = list(convert_to_element(source, display=display).iter())
    except Exception:  # it raises whatever its parser stumbles over: IndexError, KeyError, its own
        formula = []
    # A command it doesn't know is passed on as a name that begins with a backslash.
    if not formula or any("\\" in (part.text or "") for part in formula if part.tag != "mtext"):
        return f'<code class="latex">{escape(latex.strip())}</code>'
    for part in formula:  # its symbols are entities; its own `convert` keeps them by unescaping words as well
        part.text = unescape(part.text or "")
    return ET.tostring(formula[0], encoding="unicode")


class _Renderer(IPythonRenderer):
    """Markdown with MathML formulas, and links between notebooks that lead to their pages."""

    def inline_math(self, body: str) -> str:
        return mathml(body, "inline")

    def block_math(self, body: str) -> str:
        return mathml(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")

    # The base class would parse each piece of inline HTML by itself to find images in it, and so close every
    # tag (a <details> around a solution) right where it opens.
    def block_html(self, html: str) -> str:
        # An empty mark before a heading of that name is for editors that mark headings otherwise; here it has this one.
        return "" if re.fullmatch(r'<div id="\w+"></div>\s*', html) else super(IPythonRenderer, self).block_html(html)

    def inline_html(self, html: str) -> str:
        return super(IPythonRenderer, self).inline_html(html)

    def block_mermaidjs(self, code: str) -> str:
        return self.block_code(code)  # to draw it takes a script

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, re.sub(r"^(\./)?(\d\d_\w+)\.ipynb(?=#|$)", r"\2.html", url), title)


class _Exporter(HTMLExporter):
    """nbconvert's exporter with the template beside this file."""

    def __init__(self) -> None:
        config = Config()
        config.NbConvertBase.display_data_priority = SHOWN
        config.CSSHTMLHeaderPreprocessor.enabled = False
        template = str(HERE / "notebook.html.j2")
        super().__init__(config=config, template_name="basic", template_file=template, embed_images=True)

    @pass_context
    def markdown2html(self, context: Any, source: str, output: bool = False) -> str:
        """`output`: it may hold anything, so HTML in it stays text, and images (files of this machine) stay out."""
        attachments = {} if output else context.get("cell", {}).get("attachments", {})
        path = context.get("resources", {}).get("metadata", {}).get("path", "")
        renderer = _Renderer(output, not output, embed_images=not output, attachments=attachments, path=path)
        return MarkdownWithMath(renderer=renderer).render(source)
