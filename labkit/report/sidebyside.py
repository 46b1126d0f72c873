"""Abstracts side by side: one page on which a reader compares, paper by paper, what each system wrote.

    write_side_by_side(path, papers, {"lead-3": [Row("First. Second.", {"ROUGE-L": 0.21})], "API": []})

Scores order systems, reading explains the order: this page is for reading. It is one file with everything in it, opens
without a network, works without JavaScript (which only adds the filter), and escapes every text, as a model may write
anything. The cost: the articles are in it too, so a page of a hundred papers takes some megabytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from markupsafe import Markup

from labkit.files import write_text_atomic
from labkit.profile import LabError
from labkit.report.index import HERE, format_value
from labkit.tasks.papers import Paper


@dataclass(frozen=True)
class Row:
    """What a system wrote about one paper.

    `scores` are shown by name in their order ("ROUGE-L", "seconds", "facts": "3 right, 1 wrong"), those that are None
    left out; words are counted by the page. An `error` says why there is no text.
    """

    text: str
    scores: Mapping[str, float | str | None] = field(default_factory=dict)
    error: str | None = None


def write_side_by_side(
    path: Path, papers: Sequence[Paper], systems: Mapping[str, Sequence[Row]], title: str = "Abstracts side by side"
) -> None:
    """Write the page to `path`: each paper with its reference, and a card for each system's row about it.

    `systems` hold one row for every paper, in their order, or none at all: such a system is "not configured". Raises
    `LabError` for any other number of rows.
    """
    for name, rows in systems.items():
        if len(rows) not in (0, len(papers)):
            raise LabError(f"{name!r} has {len(rows)} rows for {len(papers)} papers: give one for each, or none")
    # Jinja escapes nothing unless told to; only our own CSS is marked as safe.
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True)
    environment.filters["value"] = format_value
    page = environment.get_template("sidebyside.html.j2").render(
        title=title, papers=papers, systems=systems, style=Markup((HERE / "page.css").read_text(encoding="utf-8"))
    )
    write_text_atomic(path, page)
