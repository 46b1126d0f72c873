"""What every benchmark does at its end: print a table with the machine's name, and write results/bench/NAME.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from labkit.evaluation.intervals import over_seeds
from labkit.files import write_json_atomic
from labkit.profile import pick_device, pick_dtype, results_base
from labkit.report.provenance import hardware, versions


def publish(name: str, title: str, rows: Sequence[Mapping[str, Any]], **facts: Any) -> Path:
    """Print `rows` (their keys are the columns) under `title`, and write them with `facts` and the machine.

    Numbers are written in full and printed short; returns the path of the JSON file.
    """
    device = pick_device()
    machine = {
        "hardware": hardware(),
        "dtype": str(pick_dtype(device)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
    table = Table(title=title, box=SIMPLE)
    for column in rows[0]:
        table.add_column(column, justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*map(_short, row.values()))
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)  # of a log file, which has none of its own
    console.print(table, *(f"{key}: {value}" for key, value in machine.items() if key != "versions"), sep="\n")
    path = results_base() / "bench" / f"{name}.json"
    write_json_atomic(path, {"benchmark": name, "title": title, "rows": [dict(r) for r in rows], **facts, **machine})
    console.print(f"→ {path}")
    return path


def columns_over_seeds(name: str, values: Sequence[float]) -> dict[str, float | None]:
    """A row's columns for what was measured once a seed: the mean, and its 95 % interval; None where there is none."""
    low, high = over_seeds(values) if len(values) > 1 else (None, None)
    return {name: fmean(values) if values else None, f"{name} low": low, f"{name} high": high}


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "–" if value is None else str(value)
