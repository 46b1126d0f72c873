"""Verdicts follow from the numbers: nothing else decides, and doubt decides nothing."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_ledger import SMALL, recorded, written

from labkit.report import claims as module
from labkit.report.claims import HOLDS, NO_EVIDENCE, PARTLY, REFUTED, UNTESTABLE, format_metric, met, rule, summary
from labkit.report.ledger import Claim, Condition


def verdict(tmp_path, ledger, **metrics) -> str:
    recorded(tmp_path / "laptop", **metrics)
    return rule(written(tmp_path, ledger).claims, tmp_path / "laptop")[0].verdict


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [(0.6, None, HOLDS), (0.4, None, REFUTED), (0.5, None, PARTLY), (0.6, [0.51, 0.7], HOLDS),
     (0.6, [0.49, 0.7], PARTLY), (0.4, [0.3, 0.49], REFUTED), (0.4, [0.3, 0.51], PARTLY)],
)  # fmt: skip
def test_an_interval_that_holds_the_limit_decides_nothing(tmp_path, value, interval, expected):
    assert verdict(tmp_path, SMALL, score=(value, interval)) == expected


@pytest.mark.parametrize(
    ("condition", "met"),
    [({"equals": 3}, True), ({"equals": 3.5}, False), ({"equals": 3.5, "within": 0.5}, True),
     ({"differs_from": 3}, False), ({"differs_from": 2.9}, True), ({"differs_from": 2.9, "within": 0.2}, False),
     ({"above_metric": "02_x/low"}, True), ({"above_metric": "02_x/wide"}, False),
     ({"below_metric": "02_x/high"}, True), ({"below_metric": "02_x/wide"}, False),
     ({"metric": "02_x/wide", "equals": 3, "within": 5}, False),
     ({"metric": "02_x/wide", "equals": 3, "within": 6}, True),
     ({"metric": "02_x/wide", "differs_from": 0}, True), ({"metric": "02_x/wide", "differs_from": 10}, True),
     ({"metric": "02_x/wide", "differs_from": 10, "within": 1}, False),
     ({"metric": "02_x/wide", "differs_from": 3}, False)],
)  # fmt: skip
def test_comparisons(tmp_path, condition, met):
    ledger = copy.deepcopy(SMALL)
    ledger["claims"][0] |= {
        "holds_if": [{"metric": "02_x/three"} | condition],
        "refuted_if": [{"metric": "02_x/three", "above": 99}],
    }
    metrics = {"three": (3, None), "low": (1, [0, 2]), "wide": (3, [1, 9]), "high": (5, [4, 6]), "score": (0, None)}
    assert verdict(tmp_path, ledger, **metrics) == (HOLDS if met else PARTLY)


numbers = st.floats(-1e6, 1e6)


@given(numbers, numbers, st.floats(0, 1e6), st.floats(0, 1e6))
def test_nothing_is_both_above_and_below_and_doubt_never_makes_sure(value, limit, slack, more):
    def sides(width):
        metrics = {"02_x/m": {"value": value, "ci95": [value - width, value + width]}}
        return [met(Condition("02_x/m", side, limit), metrics) for side in ("above", "below")]

    assert not all(sides(slack))
    assert all(narrow or not wide for narrow, wide in zip(sides(slack), sides(slack + more), strict=True))


@given(numbers, st.one_of(st.none(), st.floats(0, 10)), numbers)
def test_the_opposite_claim_gets_the_opposite_verdict(value, width, limit):
    evidence = {"02_x/m": {"value": value, "ci95": None if width is None else [value - width, value + width]}}
    lists = [(Condition("02_x/m", side, limit),) for side in ("above", "below")]

    def ruled(holds_if, refuted_if) -> str:
        claim = Claim("c", "a", "", "", "yes", "", holds_if=holds_if, refuted_if=refuted_if)
        return module.verdict(claim, evidence)

    opposite = {HOLDS: REFUTED, REFUTED: HOLDS, PARTLY: PARTLY}
    assert ruled(*lists) == opposite[ruled(*lists[::-1])]


def test_no_evidence_is_no_verdict_and_says_what_to_run(tmp_path):
    ledger = written(tmp_path, SMALL)
    for content in (None, {}, {"score": ("not measured", None)}):
        if content is not None:
            recorded(tmp_path / "laptop", **content)
        ruling, far = rule(ledger.claims, tmp_path / "laptop")
        assert ruling.verdict == NO_EVIDENCE and ruling.finding == "Run notebook 02."
        assert far.verdict == UNTESTABLE and far.finding == "no telescope"
    counts = summary(rule(ledger.claims, tmp_path / "laptop"))
    assert counts == {"claims_total": 2, "claims_holds": 0, "claims_partly": 0, "claims_refuted": 0,
                      "claims_untestable": 1, "claims_without_evidence": 1}  # fmt: skip


def test_real_data_is_never_replaced_by_made_up_data(tmp_path):
    ledger = copy.deepcopy(SMALL)
    ledger["claims"][0]["profile"] = "laptop-local"
    recorded(tmp_path / "laptop", score=(0.9, None))
    claims = written(tmp_path, ledger).claims
    ruling = rule(claims, tmp_path / "laptop")[0]
    assert ruling.verdict == NO_EVIDENCE and "SOURCE=local" in ruling.finding
    recorded(tmp_path / "laptop-local", score=(0.1, None))
    assert {rule(claims, tmp_path / name)[0].verdict for name in ("laptop", "laptop-local")} == {REFUTED}


def test_a_finding_has_its_numbers(tmp_path):
    recorded(tmp_path / "laptop", score=(0.61234, [0.55, 0.7]))
    ruling = rule(written(tmp_path, SMALL).claims, tmp_path / "laptop")[0]
    assert ruling.finding == "0.612 [0.550 to 0.700]" and list(ruling.evidence) == ["02_x/score"]
    assert [format_metric({"value": v}) for v in (124_439_808, 0.8, True, 24.917, 0.0)] == [
        "124,439,808", "0.800", "yes", "24.92", "0"]  # fmt: skip
