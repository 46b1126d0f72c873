"""The ledger as it is written: a slip is named before it misleads, and what it names is really recorded."""

from __future__ import annotations

import ast
import copy
import json
import re
from functools import cache

import pytest
import yaml
from report_ledger import SMALL, written

from labkit.profile import ROOT, LabError
from labkit.report.ledger import LEDGER, load_claims


def test_there_are_claims_of_each_document_with_exhibits():
    ledger = load_claims()
    assert len(ledger.claims) >= 60 and len(ledger.documents) == 4
    for name, document in ledger.documents.items():
        assert sum(claim.document == name for claim in ledger.claims) >= 10, name
        assert sum(bool(exhibit.figures or exhibit.tables) for exhibit in document.exhibits) >= 3


def test_conditions_are_of_the_claim_not_of_nothing():
    """Where both lists could be met at once, "holds" would win unseen: no metric may be asked to be above and below."""
    for claim in load_claims().claims:
        shared = set(claim.holds_if) & set(claim.refuted_if)
        assert not shared, f"{claim.id}: {shared} decides both ways"


def code_of(notebook: str) -> ast.Module:
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return ast.parse("\n".join(re.sub(r"(?m)^[%!].*", "pass", source) for source in sources))


@cache
def words_of_labkit() -> frozenset[str]:
    sources = [path.read_text().lower() for path in (ROOT / "labkit").rglob("*.py")]
    return frozenset(word for source in sources for word in re.findall(r"[a-z0-9]+", source))


@cache
def names_of(notebook: str) -> tuple[list[re.Pattern], set[str]]:
    """What a notebook can call its results: its texts, f-strings with gaps; and all words that may fill the gaps."""
    patterns, words = [], set(words_of_labkit())
    for node in ast.walk(code_of(notebook)):
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, int)):
            words |= set(re.findall(r"[a-z0-9]+", str(node.value).lower()))
            patterns.append(re.compile(re.escape(str(node.value))))
        elif isinstance(node, ast.JoinedStr):
            parts = [re.escape(v.value) if isinstance(v, ast.Constant) else "(.*)" for v in node.values]
            patterns.append(re.compile("".join(parts)))
    return patterns, words


def can_record(name: str) -> bool:
    notebook, _, wanted = name.partition("/")
    patterns, words = names_of(notebook)
    fits = [found.groups() for pattern in patterns if (found := pattern.fullmatch(wanted))]
    return any(set(re.findall(r"[a-z0-9]+", " ".join(gaps).lower())) <= words for gaps in fits)


def test_every_result_the_ledger_names_is_one_that_its_notebook_records():
    """A misspelt metric would only ever say "no evidence yet"."""
    ledger = load_claims()
    named = {name for claim in ledger.claims for name in [*claim.metrics, claim.figure] if name}
    shown = {n for d in ledger.documents.values() for e in d.exhibits for n in e.figures + e.tables}
    assert not [name for name in sorted(named | shown) if not can_record(name)]
    assert not can_record("07_lora_ner/entity_f1_lroa") and can_record("07_lora_ner/entity_f1_lora")


def put(key, value):
    return lambda ledger: ledger["claims"][0].update({key: value})


FAULTS = {
    "unknown key": (put("holdsif", []), "claim high: unknown key 'holdsif': did you mean 'holds_if'?"),
    "missing key": (put("says", None), "claim high: says is missing"),
    "unknown document": (put("document", "b"), "claim high: unknown document 'b'"),
    "unknown profile": (put("profile", "labtop"), "claim high: unknown profile 'labtop': did you mean 'laptop'?"),
    "comparable": (put("comparable", "perhaps"), "claim high: comparable is 'perhaps': write yes, partly or no"),
    "one list": (put("refuted_if", []), "claim high: give it both holds_if and refuted_if"),
    "both ways": (put("untestable", "far"), "claim high: give it both holds_if and refuted_if, or only 'untestable'"),
    "no sentence": (lambda ledger: ledger["claims"][0].pop("measured"), "claim high: measured is missing"),
    "bad metric": (put("holds_if", [{"metric": "score", "above": 1}]), "claim high, holds_if, metric: 'score'"),
    "bad gap": (put("measured", "{score}"), "claim high, measured: 'score'"),
    "bad figure": (put("figure", "curve"), "claim high, figure: 'curve'"),
    "bad other": (put("holds_if", [{"metric": "02_x/y", "above_metric": 3}]), "holds_if, above_metric: 3"),
    "no comparison": (put("holds_if", [{"metric": "02_x/y"}]), "02_x/y needs one comparison"),
    "two comparisons": (put("holds_if", [{"metric": "02_x/y", "above": 1, "below": 2}]), "needs one comparison"),
    "odd comparison": (put("holds_if", [{"metric": "02_x/y", "over": 1}]), "claim high, holds_if: unknown key 'over'"),
    "no condition": (put("holds_if", ["02_x/y > 1"]), "claim high, holds_if: '02_x/y > 1' is no condition"),
    "no number": (put("holds_if", [{"metric": "02_x/y", "above": "1"}]), "above is '1': give a number"),
    "same id": (lambda ledger: ledger["claims"].append(ledger["claims"][0]), "claim high is there 2 times"),
    "no mapping": (lambda ledger: ledger["claims"].append("high"), "claim 'high' is not a mapping"),
    "same document": (lambda ledger: ledger["documents"].append(ledger["documents"][0]), "document a is there 2 times"),
    "torn row": (lambda ledger: ledger["documents"][0]["exhibits"][0]["reported"]["rows"].append([1]),
                 "document a, exhibit Table 1: a row of 'reported' has not 2 cells"),
    "no list": (lambda ledger: ledger.pop("claims"), "it needs 'documents' and 'claims'"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_slip_is_named(tmp_path, fault):
    change, message = FAULTS[fault]
    ledger = copy.deepcopy(SMALL)
    change(ledger)
    with pytest.raises(LabError) as error:
        written(tmp_path, ledger)
    assert message in str(error.value) and "claims.yaml" in str(error.value)


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    path = tmp_path / "claims.yaml"
    for text in ("claims: [", "", "- a list"):
        path.write_text(text)
        with pytest.raises(LabError, match="is no ledger"):
            load_claims(path)


def test_no_verdict_is_written_in_the_ledger():
    entries = yaml.safe_load(LEDGER.read_text())["claims"]
    assert not [entry["id"] for entry in entries if "verdict" in entry]
