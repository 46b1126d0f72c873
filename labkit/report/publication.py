"""The report as one page to print: what was claimed, what was measured, every figure and table beside ours.

    write_publication(Path("results/laptop"))          # results/laptop/report.html
    print_pdf(Path("results/laptop/report.html"))      # report.pdf, where a Chromium or Chrome is installed

It is built from results files and the ledger of claims alone, and rules anew each time, so it never lags behind the
numbers. Equal files give equal bytes: nothing says when it was built. All text passes through Jinja's escaping; figures
are embedded as images, so that no name inside one can meet a name inside another and nothing in them can run.
A PDF takes a browser about ten seconds; its bytes hold the time, the page's don't.
"""

from __future__ import annotations

import base64
import csv
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from labkit.files import write_bytes_atomic, write_text_atomic
from labkit.profile import LabError
from labkit.report import figures
from labkit.report.claims import HOLDS, NO_EVIDENCE, PARTLY, REFUTED, UNTESTABLE, VERDICTS, Ruling, rule, summary
from labkit.report.index import format_duration, format_memory, format_value, read_json
from labkit.report.ledger import LEDGER, Document, Exhibit, load_claims

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
ROWS_SHOWN = 14
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")

# Each verdict in an icon and a colour with a pattern, so that none of them carries the meaning alone.
ICONS = dict(zip(VERDICTS, "✓◐✗–○", strict=True))
BARS = {
    HOLDS: (figures.BLUE, "", "white"),
    PARTLY: (figures.SKY, "\\\\", "black"),
    REFUTED: (figures.VERMILLION, "//", "black"),
    UNTESTABLE: ("#D9D9D9", "", "black"),
    NO_EVIDENCE: ("white", "", "black"),
}


def write_publication(results: Path, ledger: Path = LEDGER) -> Path:
    """Build `results/report.html` from the files below `results`, and return its path.

    Raises `LabError` for a fault in the ledger; what is missing of the results is said on the page.
    """
    results = results.resolve()  # its name says whose results they are, even if it was given as "."
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True)
    environment.filters |= {"value": format_value, "duration": format_duration, "memory": format_memory}
    page = environment.get_template("publication.html.j2").render(**_content(results, ledger))
    write_text_atomic(results / "report.html", page)
    return results / "report.html"


def _content(results: Path, path: Path) -> dict[str, Any]:
    """Everything the page says, as the variables of its template."""
    ledger = load_claims(path)
    rulings = rule(ledger.claims, results)
    documents, tables, drawn = list(ledger.documents.values()), count(1), count(2)  # figure 1 is of the verdicts
    shown = {document.id: [_exhibit(e, results, drawn, tables) for e in document.exhibits] for document in documents}
    places = {figure["name"]: figure["number"] for some in shown.values() for e in some for figure in e["figures"]}
    records = [r for r in map(read_json, sorted(results.glob("[0-9][0-9]_*/metrics.json"))) if r]
    provenance = [record.get("provenance") or {} for record in records]
    return {
        "profile": results.name,
        "documents": documents,
        "rulings": {d.id: [ruling for ruling in rulings if ruling.claim.document == d.id] for d in documents},
        "counts": summary(rulings),
        "by_document": verdicts_by_document(documents, rulings),
        "verdicts": VERDICTS,
        "icons": ICONS,
        "chart": _chart(documents, rulings),
        "exhibits": shown,
        "places": places,
        "records": records,
        "machines": sorted({_machine(p.get("hardware") or {}) for p in provenance}),
        "versions": (provenance[0].get("versions") or {}) if provenance else {},
        "style": Markup((HERE / "page.css").read_text(encoding="utf-8")),
    }


def verdicts_by_document(documents: Iterable[Document], rulings: Iterable[Ruling]) -> dict[str, Counter[str]]:
    """How many claims of each verdict, by the title of the document."""
    titles = {document.id: document.title for document in documents}
    counts: dict[str, Counter[str]] = {title: Counter() for title in titles.values()}
    for ruling in rulings:
        counts[titles[ruling.claim.document]][ruling.verdict] += 1
    return counts


def draw_verdicts(by_document: Mapping[str, Counter[str]]) -> Figure:
    """A bar for each document, divided by verdict; the title says what came out."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(7.2, 0.9 + 0.55 * len(by_document)))
    titles, left = list(by_document), [0] * len(by_document)
    for verdict, (colour, hatch, ink) in BARS.items():
        sizes = [by_document[title][verdict] for title in titles]
        bars = ax.barh(titles, sizes, 0.66, left, color=colour, hatch=hatch, edgecolor="#555555", lw=0.6, label=verdict)
        labels = [size or "" for size in sizes]
        plate = {"facecolor": colour, "edgecolor": "none", "pad": 1.0} if hatch else None
        ax.bar_label(bars, labels, label_type="center", color=ink, fontweight="bold", bbox=plate)
        left = [a + b for a, b in zip(left, sizes, strict=True)]
    total = sum(by_document.values(), Counter())
    ruled = total[HOLDS] + total[PARTLY] + total[REFUTED]
    ax.set_title(f"Of {ruled} claims put to the test, {total[HOLDS]} hold and {total[REFUTED]} do not")
    ax.set(xlabel="claims", ylabel="document")
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    fig.legend(loc="outside lower center", ncols=5, handlelength=1.4, columnspacing=1.1, handletextpad=0.5)
    return fig


def describe_verdicts(by_document: Mapping[str, Counter[str]]) -> str:
    """The same in words, for readers who can't see it."""
    said = [
        f"{title}: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
        for title, counts in by_document.items()
    ]
    return "Stacked bars, claims by document and verdict. " + "; ".join(said) + "."


def _chart(documents: Iterable[Document], rulings: Iterable[Ruling]) -> dict[str, Any]:
    import matplotlib.pyplot as plt

    by_document = verdicts_by_document(documents, rulings)
    with plt.style.context(figures.STYLE):
        fig = draw_verdicts(by_document)
        svg, title = figures.render(fig, "svg"), figures.title_of(fig)
        plt.close(fig)
    return {"title": title, "alt": describe_verdicts(by_document)} | _embedded(svg)


def _embedded(svg: bytes) -> dict[str, Any]:
    """An SVG as the source of an image, and a width in points that gives text the same size in all figures."""
    width = re.search(rb'viewBox="0 0 ([\d.]+)', svg)
    image = "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
    return {"image": image, "width": round(0.85 * float(width[1])) if width else 390}


def _exhibit(exhibit: Exhibit, results: Path, drawn: count, tables: count) -> dict[str, Any]:
    """One figure or table of a document and ours, numbered; what isn't there is listed as missing."""
    reported = exhibit.reported and {"number": next(tables), **exhibit.reported}
    found = [figure for name in exhibit.figures if (figure := _figure(name, results))]
    filed = [table for name in exhibit.tables if (table := _table(name, results))]
    there = {item["name"] for item in found + filed}
    return {
        "where": exhibit.where,
        "shows": exhibit.shows,
        "reported": reported,
        "figures": [{"number": next(drawn), **figure} for figure in found],
        "tables": [{"number": next(tables), **table} for table in filed],
        "missing": [name for name in exhibit.figures + exhibit.tables if name not in there],
    }


def _figure(name: str, results: Path) -> dict[str, Any] | None:
    notebook, _, stem = name.partition("/")
    base = results / notebook / "figures" / stem
    if not base.with_name(f"{stem}.svg").is_file():
        return None
    about = read_json(base.with_name(f"{stem}.json")) or {}
    said = {"name": name, "title": about.get("title") or stem, "alt": about.get("alt") or stem}
    return said | _embedded(base.with_name(f"{stem}.svg").read_bytes())


def _table(name: str, results: Path) -> dict[str, Any] | None:
    notebook, _, stem = name.partition("/")
    path = results / notebook / "tables" / f"{stem}.csv"
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        rows = csv.reader(stream)
        head, shown = next(rows, []), [[_cell(text) for text in row] for row in islice(rows, ROWS_SHOWN)]
        return {"name": name, "head": head, "rows": shown, "more": sum(1 for _ in rows)}


def _cell(text: str) -> str:
    """A cell of a CSV file as a reader wants it: whole numbers as they are, others with four digits."""
    try:
        return text if text.lstrip("-").isdigit() else format_value(float(text))
    except ValueError:
        return text


def _machine(hardware: Mapping[str, Any]) -> str:
    gpus = " + ".join(hardware.get("gpus") or []) or "no GPU"
    return f"{hardware.get('cpu', 'unknown CPU')}, {hardware.get('cores', '?')} cores, {gpus}"


def print_pdf(page: Path) -> Path | None:
    """Print `page` to a PDF beside it with a headless Chromium or Chrome; None if none is on the PATH.

    Raises `LabError` if the browser fails or takes longer than a minute.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "report.pdf")
        command = [browser, "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
                   f"--user-data-dir={folder}/profile", "--no-pdf-header-footer", f"--print-to-pdf={made}"]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--no-sandbox")  # Chromium refuses to start for root with one
        try:
            done = subprocess.run([*command, page.resolve().as_uri()], capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            raise LabError(f"{browser} took over a minute to print {page}: open it and print it by hand") from None
        if not made.is_file():
            raise LabError(f"{browser} printed nothing of {page}: {done.stderr.strip()[-300:]}; print it by hand")
        write_bytes_atomic(page.with_suffix(".pdf"), made.read_bytes())
    return page.with_suffix(".pdf")
