"""The ledger of claims: what the four documents say, and what the results files say of it.

    ledger = load_claims()                                    # data/claims.yaml
    rulings = rule(ledger.claims, Path("results/laptop"))
    summary(rulings)                                          # {"claims_total": …, "claims_holds": …, …}

A claim is written down with two lists of conditions on metrics: `holds_if`, what must be measured if it is true, and
`refuted_if`, what must be measured if it is false. The verdict is nowhere written; it is computed:

- every condition of `holds_if` is met: *holds*;
- every condition of `refuted_if` is met: *does not hold*;
- neither: *holds in part*. Some of it was found, or an effect that can't be told from none;
- a metric that a condition or the sentence `measured` names is not there: *no evidence yet*;
- nothing in this course can decide it, and the ledger says why: *not testable here*.

An interval counts against certainty: "above 0" asks for the low end of a metric's `ci95`, "below 0" for its high end,
"equals" for both ends within, "differs_from" for both outside.
Reading costs one file per notebook.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.report.index import format_value, read_json
from labkit.report.ledger import METRIC, Claim, Condition

HOLDS, PARTLY, REFUTED = "holds", "holds in part", "does not hold"
UNTESTABLE, NO_EVIDENCE = "not testable here", "no evidence yet"
VERDICTS = (HOLDS, PARTLY, REFUTED, UNTESTABLE, NO_EVIDENCE)

Metric = Mapping[str, Any]  # "value", "unit", "n", "ci95", as in metrics.json


@dataclass(frozen=True)
class Ruling:
    """A claim, the verdict that follows from the results, the metrics it follows from, and the finding in words."""

    claim: Claim
    verdict: str
    evidence: Mapping[str, Metric]
    finding: str


def rule(claims: Iterable[Claim], results: Path) -> list[Ruling]:
    """Rule on each claim from the `metrics.json` files of the folder `results`, such as `results/laptop`.

    Claims of profile laptop-local ask for real data: the folder beside it whose name ends in "-local".
    """
    read: dict[Path, Mapping[str, Metric]] = {}
    return [_rule(claim, folder_of(claim.profile, results), read) for claim in claims]


def folder_of(profile: str, results: Path) -> Path:
    """Where a claim's metrics lie: `results`, or for real data its sibling, unless it is of real data itself."""
    real = results.name == "full" or results.name.endswith(("-local", "-hub"))
    return results if real or profile == "laptop" else results.with_name(f"{results.name}-local")


def _rule(claim: Claim, folder: Path, read: dict[Path, Mapping[str, Metric]]) -> Ruling:
    if claim.untestable:
        return Ruling(claim, UNTESTABLE, {}, claim.untestable)
    evidence = {}
    for name in claim.metrics:
        notebook, _, metric = name.partition("/")
        path = folder / notebook / "metrics.json"
        if path not in read:
            read[path] = (read_json(path) or {}).get("metrics") or {}
        if isinstance((read[path].get(metric) or {}).get("value"), (int, float)):
            evidence[name] = read[path][metric]
    missing = sorted({name[:2] for name in claim.metrics if name not in evidence})
    if missing:
        real = " with SOURCE=local" if claim.profile == "laptop-local" else ""
        return Ruling(claim, NO_EVIDENCE, evidence, f"Run notebook {' and '.join(missing)}{real}.")
    return Ruling(claim, verdict(claim, evidence), evidence, _finding(claim, evidence))


def verdict(claim: Claim, evidence: Mapping[str, Metric]) -> str:
    """What follows from the metrics that `claim` needs, once all are there."""
    if all(met(condition, evidence) for condition in claim.holds_if):
        return HOLDS
    return REFUTED if all(met(condition, evidence) for condition in claim.refuted_if) else PARTLY


def met(condition: Condition, metrics: Mapping[str, Metric]) -> bool:
    """Whether `condition` is true of the metrics, and surely so where they have intervals."""
    than = condition.than
    low, high = interval(metrics[condition.metric])
    match condition.comparison:
        case "above":
            return low > than
        case "below":
            return high < than
        case "equals":
            return than - condition.within <= low and high <= than + condition.within
        case "differs_from":
            return high < than - condition.within or low > than + condition.within
        case "above_metric":
            return low > interval(metrics[than])[1]
    return high < interval(metrics[than])[0]


def _finding(claim: Claim, evidence: Mapping[str, Metric]) -> str:
    """The claim's sentence with its metrics filled in."""
    return re.sub(rf"{{({METRIC})}}", lambda found: format_metric(evidence[found[1]]), claim.measured)


def interval(metric: Metric) -> tuple[float, float]:
    """The ends of its 95 % interval; its value twice where it has none."""
    return tuple(metric.get("ci95") or (metric["value"], metric["value"]))


def format_metric(metric: Metric) -> str:
    """A metric with its interval, for a sentence.

    >>> format_metric({"value": 0.82441, "ci95": [0.8, 0.84712]}), format_metric({"value": 124_439_808})
    ('0.824 [0.800 to 0.847]', '124,439,808')
    """
    value = metric["value"]
    if not metric.get("ci95"):
        return f"{value:.3f}" if isinstance(value, float) and 1e-3 <= abs(value) < 10 else format_value(value)
    low, high = metric["ci95"]
    return f"{value:.3f} [{low:.3f} to {high:.3f}]"


def summary(rulings: Iterable[Ruling]) -> dict[str, int]:
    """How many claims there are, and how many of each verdict."""
    verdicts = [ruling.verdict for ruling in rulings]
    names = ("holds", "partly", "refuted", "untestable", "without_evidence")
    counts = {f"claims_{name}": verdicts.count(verdict) for name, verdict in zip(names, VERDICTS, strict=True)}
    return {"claims_total": len(verdicts)} | counts
