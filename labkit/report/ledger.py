"""The ledger of claims as it is written: what each document says, where, and what would decide it.

    ledger = load_claims()                                    # data/claims.yaml
    ledger.documents["neo"].exhibits                          # its figures and tables, beside ours
    ledger.claims[0].holds_if                                 # conditions on metrics

A person writes it by hand, so whatever is odd is an error that names the claim, the key, and what to write instead.
`labkit.report.claims` rules on it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from labkit.profile import ROOT, LabError, unknown

LEDGER = ROOT / "data" / "claims.yaml"
COMPARISONS = ("above", "below", "equals", "differs_from", "above_metric", "below_metric")
PROFILES = ("laptop", "laptop-local")  # the results folders that a claim may ask for
COMPARABLE = {True: "yes", False: "no", "partly": "partly"}  # YAML reads yes and no as truth values
METRIC = r"\d\d_\w+/[\w.-]+"


@dataclass(frozen=True)
class Condition:
    """One comparison of a metric, called `NN_notebook/name`, with a number or with another metric."""

    metric: str
    comparison: str  # one of COMPARISONS
    than: float | str
    within: float = 0.0  # how far "equals" may be off, and "differs_from" must be

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics it needs."""
        return (self.metric, str(self.than)) if self.comparison.endswith("_metric") else (self.metric,)


@dataclass(frozen=True)
class Exhibit:
    """A figure or table of a document: its numbers as reported, and our figures and tables (`NN_notebook/name`)."""

    where: str
    shows: str
    reported: Mapping[str, list] | None = None  # "columns", and "rows" of as many cells
    figures: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """One of the four, under the title it has in the course, in our words."""

    id: str
    title: str
    about: str
    exhibits: tuple[Exhibit, ...]


@dataclass(frozen=True)
class Claim:
    """One statement of a document and what would decide it."""

    id: str
    document: str
    where: str
    says: str
    comparable: str  # "yes", "partly", "no": whether our number may stand beside theirs
    why: str  # it is, or isn't
    number: float | str | None = None
    unit: str = ""
    profile: str = "laptop"
    holds_if: tuple[Condition, ...] = ()
    refuted_if: tuple[Condition, ...] = ()
    measured: str = ""  # a sentence in which {NN_notebook/name} stands for a metric
    untestable: str = ""  # why nothing here decides it
    figure: str = ""  # NN_notebook/name

    @property
    def metrics(self) -> list[str]:
        """Every metric it needs, in the order in which it names them."""
        named = [name for condition in self.holds_if + self.refuted_if for name in condition.metrics]
        return list(dict.fromkeys(named + re.findall(rf"{{({METRIC})}}", self.measured)))


@dataclass(frozen=True)
class Ledger:
    """All documents by id, and all claims."""

    documents: Mapping[str, Document]
    claims: tuple[Claim, ...]


def load_claims(path: Path = LEDGER) -> Ledger:
    """Read and check the ledger. Raises `LabError` that names the claim, the key, and what to write instead."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        documents, claims = raw["documents"], raw["claims"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise LabError(f"{path} is no ledger ({error}): it needs 'documents' and 'claims'") from None
    try:
        read = [_document(entry) for entry in documents]
        ids = [document.id for document in read]
        ledger = Ledger({d.id: d for d in read}, tuple(_claim(entry, ids) for entry in claims))
        _unique(ids, "document")
        _unique([claim.id for claim in ledger.claims], "claim")
    except LabError as error:
        raise LabError(f"{path.name}: {error}") from None
    return ledger


def _document(entry: Any) -> Document:
    where = _called("document", entry)
    kept = _checked(entry, Document, where)
    return Document(**kept | {"exhibits": tuple(_exhibit(e, where) for e in kept["exhibits"])})


def _exhibit(entry: Any, document: str) -> Exhibit:
    where = _called(f"{document}, exhibit", entry, "where")
    kept = _checked(entry, Exhibit, where)
    for kind in ("figures", "tables"):
        kept[kind] = tuple(_name(name, f"{where}, {kind}") for name in kept.get(kind, ()))
    reported = kept.get("reported")
    if reported and {len(row) for row in reported["rows"]} != {len(reported["columns"])}:
        raise LabError(f"{where}: a row of 'reported' has not {len(reported['columns'])} cells, one a column: mend it")
    return Exhibit(**kept)


def _claim(entry: Any, documents: list[str]) -> Claim:
    where = _called("claim", entry)
    kept = _checked(entry, Claim, where)
    if kept["document"] not in documents:
        raise _at(where, unknown("document", kept["document"], documents))
    if kept.get("profile", "laptop") not in PROFILES:
        raise _at(where, unknown("profile", kept["profile"], PROFILES))
    if kept["comparable"] not in COMPARABLE:
        raise LabError(f"{where}: comparable is {kept['comparable']!r}: write yes, partly or no")
    lists = {kind for kind in ("holds_if", "refuted_if") if kept.get(kind)}
    if len(lists) != (0 if "untestable" in kept else 2):
        raise LabError(f"{where}: give it both holds_if and refuted_if, or only 'untestable' with the reason")
    if "untestable" not in kept and "measured" not in kept:
        raise LabError(f"{where}: measured is missing: a sentence with {{NN_notebook/metric}} where the numbers go")
    if kept.get("figure"):
        _name(kept["figure"], f"{where}, figure")
    for kind in lists:
        kept[kind] = tuple(_condition(condition, f"{where}, {kind}") for condition in kept[kind])
    claim = Claim(**kept | {"comparable": COMPARABLE[kept["comparable"]]})
    for name in set(re.findall(r"{(.*?)}", claim.measured)):
        _name(name, f"{where}, measured")
    return claim


def _condition(entry: Any, where: str) -> Condition:
    allowed = ("metric", "within", *COMPARISONS)
    if not isinstance(entry, Mapping) or "metric" not in entry:
        raise LabError(f"{where}: {entry!r} is no condition: write {{metric: NN_notebook/name, above: 0.5}}")
    for key in entry.keys() - set(allowed):
        raise _at(where, unknown("key", key, allowed))
    found = [comparison for comparison in COMPARISONS if comparison in entry]
    if len(found) != 1:
        raise LabError(f"{where}: {entry['metric']} needs one comparison: one of {', '.join(COMPARISONS)}")
    than = entry[found[0]]
    if found[0].endswith("_metric"):
        _name(than, f"{where}, {found[0]}")
    elif isinstance(than, bool) or not isinstance(than, (int, float)):
        raise LabError(f"{where}: {found[0]} is {than!r}: give a number (1 for yes, 0 for no)")
    return Condition(_name(entry["metric"], f"{where}, metric"), found[0], than, entry.get("within", 0.0))


def _called(kind: str, entry: Any, key: str = "id") -> str:
    return f"{kind} {entry.get(key)}" if isinstance(entry, Mapping) else f"{kind} {entry!r}"


def _checked(entry: Any, kind: type, where: str) -> dict[str, Any]:
    """`entry` as keyword arguments of the dataclass `kind`: no unknown key, and none that must be there missing."""
    if not isinstance(entry, Mapping):
        raise LabError(f"{where} is not a mapping: give it keys, such as 'id: …'")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in entry.keys() - fields.keys():
        raise _at(where, unknown("key", key, fields))
    for key, field in fields.items():
        if field.default is dataclasses.MISSING and entry.get(key) in (None, ""):
            raise LabError(f"{where}: {key} is missing: write '{key}: …'")
    return dict(entry)


def _name(name: Any, where: str) -> str:
    """`name` if it can be that of a metric, figure or table."""
    if not re.fullmatch(METRIC, str(name)):
        raise LabError(f"{where}: {name!r} is no result: write NN_notebook/name, as 07_lora_ner/macro_f1")
    return name


def _unique(ids: list[str], kind: str) -> None:
    for name in ids:
        if ids.count(name) > 1:
            raise LabError(f"{kind} {name} is there {ids.count(name)} times: give one another id")


def _at(where: str, error: LabError) -> LabError:
    return LabError(f"{where}: {error}")
