"""The index page: every result of a run on one page that opens from a file, on a phone, in light and in dark.

It is built from `run.json`, each notebook's `metrics.json`, figures and tables, and from nothing else, so it
can be built at any time, by anyone, from results made anywhere. A file that is missing or broken is said to
be so on the page; it never stops the page. All text passes through Jinja's escaping.
"""

from __future__ import annotations

import csv
import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from labkit.files import write_text_atomic
from labkit.profile import SOURCES
from labkit.report import bands

HERE = Path(__file__).parent
ROWS_SHOWN = 50

# Each status in a word, an icon and a colour, so that none of them carries the meaning alone.
LOOKS: dict[str, dict[str, str]] = {
    "ok": {"icon": "✓", "mood": "good"},
    "cached": {"icon": "✓", "mood": "good"},
    "failed": {"icon": "✗", "mood": "bad"},
    "timeout": {"icon": "✗", "mood": "bad"},
    "killed": {"icon": "✗", "mood": "bad"},
    "incomplete": {"icon": "…", "mood": "wait"},
    "skipped": {"icon": "–", "mood": "wait"},
    "by hand": {"icon": "○", "mood": "wait"},  # results without a run: the notebook was stepped through
    "unfinished": {"icon": "…", "mood": "wait"},  # a run is at it, or was killed with it
    "unknown": {"icon": "?", "mood": "wait"},
}


def write_index(results: Path) -> Path:
    """Build `results/index.html` from the files below `results`, and return its path."""
    results = Path(results)
    # Jinja escapes nothing unless told to; only our own CSS is marked as safe.
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True)
    environment.filters |= {"value": format_value, "duration": format_duration, "memory": format_memory}
    page = environment.get_template("index.html.j2").render(**collect(results))
    write_text_atomic(results / "index.html", page)
    return results / "index.html"


def collect(results: Path) -> dict[str, Any]:
    """Everything the page says, as the variables of its template."""
    run = read_json(results / "run.json") or {}
    entries = {str(entry.get("id")): entry for entry in run.get("notebooks") or [] if isinstance(entry, dict)}
    found = {path.name for path in results.glob("[0-9][0-9]_*") if path.is_dir()}
    known = bands.reference(results.resolve().name)
    lessons = [_lesson(results, id, entries.get(id), known) for id in sorted(found | set(entries))]
    records = [lesson["record"] for lesson in lessons if lesson["record"]]
    first = records[0] if records else {}
    provenance = first.get("provenance") or {}
    source = run.get("source") or first.get("source") or "unknown"
    return {
        "profile": run.get("profile") or first.get("profile") or results.name,
        "source": source,
        "source_means": SOURCES.get(source, ""),
        "verdict": _verdict(lessons),
        "header": _header(run, records) | _in_bands(lessons),
        "lessons": lessons,
        "versions": provenance.get("versions") or {},
        "looks": LOOKS,
        "style": Markup((HERE / "page.css").read_text(encoding="utf-8")),
    }


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None if there is no file, or no whole object in it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _verdict(lessons: list[dict[str, Any]]) -> dict[str, str]:
    good = sum(LOOKS[lesson["status"]]["mood"] == "good" for lesson in lessons)
    bad = any(LOOKS[lesson["status"]]["mood"] == "bad" for lesson in lessons)
    mood = "bad" if bad else "good" if lessons and good == len(lessons) else "wait"
    icon = {"bad": "✗", "good": "✓", "wait": "○"}[mood]
    return {"mood": mood, "icon": icon, "text": f"{good} of {len(lessons)} notebooks ok"}


def _header(run: dict[str, Any], records: list[dict[str, Any]]) -> dict[str, Any]:
    """Code, machine and time; notebooks that disagree (made on several days or machines) are all named."""
    hardware = [(record.get("provenance") or {}).get("hardware") or {} for record in records]
    machines = {
        f"{h.get('cpu', 'unknown CPU')}, {h.get('cores', '?')} cores, {h.get('memory_gb', '?')} GB; "
        + (" + ".join(h.get("gpus") or []) or "no GPU")
        for h in hardware
        if h
    }
    commits = {(record.get("provenance") or {}).get("git") or "outside a checkout" for record in records}
    commits = {re.sub(r"^([0-9a-f]{12})[0-9a-f]+", r"\1", commit) for commit in commits}
    ends = [str(entry["finished"]) for entry in run.get("notebooks") or [] if entry.get("finished")]
    facts = {
        "finished": max(ends, default="")[:16].replace("T", " at "),
        "total time": format_duration(run.get("seconds")),
        "code": ", ".join(sorted(commits)),
        "machine": "; and ".join(sorted(machines)),
        "seed": ", ".join(sorted({str(record.get("seed")) for record in records})),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _in_bands(lessons: list[dict[str, Any]]) -> dict[str, str]:
    inside = [m["inside"] for lesson in lessons for m in lesson["metrics"].values() if m["band"]]
    return {"headline numbers": f"{sum(inside)} of {len(inside)} in their bands"} if inside else {}


def _banded(metric: dict[str, Any], band: bands.Band | None) -> dict[str, Any]:
    """A metric with the band it should be in, if one is kept, and whether it is."""
    band = band if isinstance(metric["value"], (int, float)) else None
    return metric | {"band": band, "inside": band is not None and band.holds(metric["value"])}


def _lesson(results: Path, id: str, entry: dict[str, Any] | None, known: dict[str, bands.Band]) -> dict[str, Any]:
    """One notebook's part of the page: `entry` is its line in `run.json`, None if it has none."""
    folder = results / id
    record = read_json(folder / "metrics.json")
    begun = (results / f"notebooks/{id}.partial.ipynb").exists()
    status = str(entry.get("status")) if entry is not None else "unfinished" if begun else "by hand"
    entry = entry or {}
    provenance = (record or {}).get("provenance") or {}
    cell, heading = entry.get("cell"), entry.get("heading")
    places = [f"Cell {cell}" if cell else "", f"under “{heading}”" if heading else ""]
    fault, _, traceback = str(entry.get("error") or "").partition("\n")
    metrics = {
        name: _banded(metric, known.get(f"{id}/{name}"))
        for name, metric in ((record or {}).get("metrics") or {}).items()
        if isinstance(metric, dict) and "value" in metric
    }
    return {
        "id": id,
        "number": id.split("_")[0],
        "title": re.sub(r"^\d+\W+", "", entry.get("title") or "") or id.split("_", 1)[-1].replace("_", " "),
        "status": status if status in LOOKS else "unknown",
        "seconds": entry.get("seconds") or provenance.get("seconds"),
        "memory": entry.get("peak_rss_mb") or provenance.get("peak_rss_mb"),
        "links": _existing(results, [("Read it", f"notebooks/{id}.html"), ("Notebook", f"notebooks/{id}.ipynb")]),
        "fault": fault,
        "place": ", ".join(filter(None, places)),
        "traceback": traceback,
        "record": record,
        "notices": _notices(folder, record, status),
        "figures": _figures(results, folder),
        "metrics": metrics,
        "banded": any(metric["band"] for metric in metrics.values()),
        "tables": [_table(path, results) for path in sorted(folder.glob("tables/*.csv"))],
        "data": provenance.get("data") or {},
    }


def _notices(folder: Path, record: dict[str, Any] | None, status: str) -> list[str]:
    if record is not None:
        return []
    if (folder / "metrics.json").exists():
        return [f"{folder.name}/metrics.json can't be read, so its numbers are missing: run the notebook again."]
    if status in ("skipped", "unfinished", "unknown"):
        return []
    return [f"There is no {folder.name}/metrics.json: this notebook recorded no numbers."]


def _existing(results: Path, links: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(text, link) for text, link in links if (results / link).is_file()]


def _figures(results: Path, folder: Path) -> list[dict[str, Any]]:
    """The figures of one notebook in the order it made them; one without a description says so."""
    figures = []
    for stem in sorted({path.stem for path in folder.glob("figures/*") if path.suffix in (".svg", ".png")}):
        base = f"{folder.name}/figures/{stem}"
        about = read_json(results / f"{base}.json") or {}
        files = _existing(results, [("SVG", f"{base}.svg"), ("PNG", f"{base}.png")])
        figures.append(
            {
                "title": about.get("title") or stem.replace("_", " "),
                "alt": about.get("alt") or f"Figure {stem}: its description is missing",
                "number": about.get("number") or 0,
                "files": files,
                "image": files[-1][1],
            }
        )
    return sorted(figures, key=lambda figure: figure["number"])


def _table(path: Path, results: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        rows = csv.reader(stream)
        head = next(rows, [])
        shown = list(islice(rows, ROWS_SHOWN))
        more = sum(1 for _ in rows)
    name = path.stem.replace("_", " ")
    link = path.relative_to(results).as_posix()
    return {"name": name, "head": head, "rows": shown, "more": more, "link": link}


def format_value(value: Any) -> str:
    """A number as a reader wants it.

    >>> [format_value(v) for v in (124_439_808, 2.3087, 3.1e-6, 41234.5, 0.0, True, None)]
    ['124,439,808', '2.309', '3.1e-06', '41,234', '0', 'yes', 'none']
    """
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        size = abs(value)
        return f"{value:,.0f}" if 1000 <= size < 1e12 else f"{value:.4g}" if size >= 1e-3 else f"{value:.2g}"
    return ", ".join(map(format_value, value)) if isinstance(value, list) else str(value)


def format_duration(seconds: float | None) -> str:
    """Seconds as a reader wants them.

    >>> [format_duration(s) for s in (0.42, 9.6, 75, 900, 4000, None)]
    ['0.4 s', '9.6 s', '1 min 15 s', '15 min', '1 h 6 min', '']
    """
    if not isinstance(seconds, (int, float)):
        return ""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def format_memory(megabytes: float) -> str:
    """Megabytes as a reader wants them.

    >>> [format_memory(m) for m in (370.4, 1849)]
    ['370 MB', '1.8 GB']
    """
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
