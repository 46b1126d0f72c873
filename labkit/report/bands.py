"""What a run's headline numbers should be: bands over seeds, made by runs and kept with the code.

    python run_all.py --seeds 5                 # seeds 0 to 4, each in a folder of its own; then writes the bands
    python run_all.py --seeds 5 --only 08       # of this notebook; the others' stay as they are
    python -m labkit.report.bands results/laptop results/seed-1/laptop results/seed-2/laptop
    python -m labkit.report.bands               # writes the tables of the READMEs anew

`data/headline.yaml` names the numbers that stand for a notebook. `data/reference/<profile>.json` holds the mean of
each over seeds, and a band: the 95 % *prediction* interval, mean ± t·s·√(1 + 1/n), in which the run of one more seed
lies 95 times in 100 if runs are normally distributed. (A confidence interval of the mean would be too narrow for that
by a factor of √(n + 1).) The index page marks what is outside, and a test compares the smoke run. A number that
never changes has a band of no width, and must come out the same. Fewer than three seeds say nothing of a spread and
are refused.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import yaml

from labkit.files import write_json_atomic, write_text_atomic
from labkit.profile import ROOT, LabError

HEADLINE = ROOT / "data" / "headline.yaml"
REFERENCE = ROOT / "data" / "reference"
READMES = {"README.md": "en", "README.zh-CN.md": "zh"}
ROUNDING = 1e-6  # of the mean: what another machine's arithmetic may change of a number that never does


@dataclass(frozen=True)
class Band:
    """Where a headline number lies over `n` seeds."""

    mean: float
    low: float
    high: float
    n: int
    unit: str = ""

    def holds(self, value: float) -> bool:
        """Whether `value` lies in the band."""
        room = ROUNDING * max(1.0, abs(self.mean))
        return self.low - room <= value <= self.high + room


@cache
def headlines() -> dict[str, dict[str, str]]:
    """What each headline number is ("en", "zh"), by "notebook/metric", in the notebooks' order."""
    listed = yaml.safe_load(HEADLINE.read_text(encoding="utf-8"))
    return {f"{notebook}/{metric}": words for notebook, some in listed.items() for metric, words in some.items()}


def band(values: Sequence[float], unit: str = "") -> Band:
    """The band of one number from a value for each seed. Raises `LabError` for fewer than three values."""
    from scipy import stats

    n = len(values)
    if n < 3:
        raise LabError(f"{n} seeds say nothing of a spread: run at least three (run_all.py --seeds 3)")
    half = float(stats.t.ppf(0.975, n - 1)) * stdev(values) * math.sqrt(1 + 1 / n)
    return Band(fmean(values), fmean(values) - half, fmean(values) + half, n, unit)


def numbers(results: Path) -> dict[str, dict[str, Any]]:
    """Every number that lies in a results folder, by "notebook/metric", as its `metrics.json` has it."""
    found = {}
    for path in sorted(results.glob("*/metrics.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for name, metric in record["metrics"].items():
            if isinstance(metric["value"], (int, float)):
                found[f"{record['notebook']}/{name}"] = metric
    return found


def measure(folders: Sequence[Path], notebooks: Collection[str] = ()) -> dict[str, Any]:
    """What goes into `data/reference/`: bands from the results of several seeds, a folder each, and where from.

    Of all notebooks, or of those that are named. Raises `LabError` if a headline number is missing in a folder, or if
    two are of one seed or of two profiles. Only the smoke profile may lack some in all: who has learnt nothing has
    nothing to forget.
    """
    records = [[r for r in _records(f) if r["notebook"] in notebooks or not notebooks] for f in folders]
    seeds = [_one({r["seed"] for r in some}, "seed", folder) for some, folder in zip(records, folders, strict=True)]
    if len(set(seeds)) < len(seeds):
        raise LabError(f"two of these folders are of one seed ({seeds}): a seed counts once")
    every = [record for some in records for record in some]
    found = [numbers(folder) for folder in folders]
    profile = _one({r["profile"] for r in every}, "profile", folders)
    asked = [name for name in headlines() if name.split("/")[0] in notebooks or not notebooks]
    wanted = [name for name in asked if profile != "smoke" or any(name in some for some in found)]
    for folder, some in zip(folders, found, strict=True):
        if missing := [name for name in wanted if name not in some]:
            raise LabError(f"{folder} lacks {', '.join(missing)}: run those notebooks there")
    return {
        "profile": profile,
        "source": _one({r["source"] for r in every}, "source", folders),
        "seeds": seeds,
        "provenance": {kind: every[0]["provenance"][kind] for kind in ("git", "versions", "hardware")},
        "bands": {name: vars(band([some[name]["value"] for some in found], found[0][name]["unit"])) for name in wanted},
    }


def _records(folder: Path) -> list[dict[str, Any]]:
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*/metrics.json"))]
    if not records:
        raise LabError(f"there are no results in {folder}: run the notebooks first")
    return records


def _one(values: set[Any], what: str, where: object) -> Any:
    if len(values) > 1:
        raise LabError(f"more than one {what} in {where}: {sorted(values)}")
    return values.pop()


def reference(results_name: str, folder: Path | None = None) -> dict[str, Band]:
    """The bands kept for results called `results_name` ("laptop", "smoke", "laptop-local"); none if there are none."""
    path = (folder or REFERENCE) / f"{results_name}.json"
    if not path.is_file():
        return {}
    return {name: Band(**kept) for name, kept in json.loads(path.read_text(encoding="utf-8"))["bands"].items()}


def outside(found: Mapping[str, dict[str, Any]], bands: Mapping[str, Band]) -> list[str]:
    """A sentence for each number of a run that lies outside its band; numbers that weren't measured are passed over."""
    return [
        f"{name} is {found[name]['value']:.4g}, outside [{band.low:.4g}, {band.high:.4g}]"
        for name, band in bands.items()
        if name in found and not band.holds(found[name]["value"])
    ]


def write(folders: Sequence[Path], out: Path | None = None, notebooks: Collection[str] = ()) -> Path:
    """Measure the bands and keep them, those of the laptop in the READMEs as well; returns the file.

    If `notebooks` are named, the bands of others stay, with a note of where they are from ("older").
    """
    content = measure(folders, notebooks)
    path = (out or REFERENCE) / f"{folders[0].name}.json"
    if notebooks and path.is_file():
        content = _renewed(json.loads(path.read_text(encoding="utf-8")), content)
    write_json_atomic(path, content)
    if path == ROOT / "data" / "reference" / "laptop.json":
        update_readmes()
    return path


def _renewed(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`new` with those bands of `old` that it has none for. Raises `LabError` if they are of other seeds."""
    if old["seeds"] != new["seeds"]:
        raise LabError(f"the bands that are kept are of seeds {old['seeds']}, not {new['seeds']}: run as many")
    names = [name for name in headlines() if name in old["bands"] or name in new["bands"]]
    stay = {name.split("/")[0] for name in names if name not in new["bands"]}
    older = {notebook: old.get("older", {}).get(notebook, old["provenance"]) for notebook in sorted(stay)}
    return new | {"older": older, "bands": {name: new["bands"].get(name) or old["bands"][name] for name in names}}


def table(bands: Mapping[str, Band], language: str = "en") -> str:
    """A README's table of results: a row a headline number, its mean and band over seeds."""
    heads = {"en": "| # | | mean | band, 95 % |", "zh": "| # | | 均值 | 95 % 范围 |"}
    said = headlines()
    rows = [
        f"| {name[:2]} | {said[name][language]} | {_shown(band.mean)} | {_shown(band.low)} … {_shown(band.high)} |"
        for name, band in bands.items()
    ]
    return "\n".join([heads[language], "|---|---|---|---|", *rows])


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}".replace("-", "−")


def with_table(text: str, language: str) -> str:
    """A README's text with the table of results as it is kept, between its two marks."""
    bands = reference("laptop")
    return re.sub(
        r"(<!-- results -->\n).*?(\n<!-- end of results -->)",
        lambda marks: f"{marks[1]}{table(bands, language)}{marks[2]}",
        text,
        flags=re.DOTALL,
    )


def update_readmes() -> None:
    """Write the table of results into the READMEs."""
    for name, language in READMES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        write_text_atomic(ROOT / name, with_table(text, language))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the bands of the folders that were named, and the READMEs' tables; 1 if they can't be made."""
    parser = argparse.ArgumentParser(prog="python -m labkit.report.bands", description="Bands over seeds.")
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        metavar="DIR",
        help="the results of one seed each; none: only write the READMEs' tables anew",
    )
    parser.add_argument("--out", type=Path, help="where to keep them (default: data/reference)")
    options = parser.parse_args(arguments)
    try:
        if options.folders:
            print(write(options.folders, options.out))
        else:
            update_readmes()
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
