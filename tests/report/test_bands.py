"""Bands over seeds: if they fail, a regression passes unseen, or every second run is called one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.profile import PROFILES, ROOT, LabError
from labkit.report import bands
from labkit.report.bands import Band

finite = st.floats(-1e6, 1e6)


def results(folder, seed, **values):
    """A results folder with one notebook, `01_x`."""
    metrics = {name: {"value": value, "unit": "", "n": None, "ci95": None} for name, value in values.items()}
    record = {"notebook": "01_x", "profile": "smoke", "source": "embedded", "seed": seed, "metrics": metrics}
    record["provenance"] = {"git": "abc", "versions": {}, "hardware": {}}
    (folder / "01_x").mkdir(parents=True)
    (folder / "01_x" / "metrics.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def one_headline(monkeypatch):
    monkeypatch.setattr(bands, "headlines", lambda: {"01_x/loss": {"en": "the loss", "zh": "损失"}})


def test_a_band_is_where_one_more_seed_lies_95_times_in_100():
    """The interval of the mean, which is easily taken for it, holds 60 to 80 of 100 instead."""
    draws = np.random.default_rng(0).normal(size=(4000, 6))
    inside = [bands.band(list(five)).holds(sixth) for *five, sixth in draws]
    assert abs(np.mean(inside) - 0.95) < 0.012


@given(st.lists(finite, min_size=3, max_size=8))
def test_the_seeds_it_was_made_from_lie_in_it(values):
    """Otherwise the run that made a band would fail against it. (Of nine, one far off can lie outside.)"""
    assert all(bands.band(values).holds(value) for value in values)


@given(finite)
def test_what_never_changes_must_come_out_the_same(value):
    band = bands.band([value] * 5)
    assert band.holds(value * (1 + 1e-9)) and not band.holds(value + 1e-3 * max(1, abs(value)))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_two_seeds_are_no_band(n):
    with pytest.raises(LabError, match="at least three"):
        bands.band([1.0] * n)


def test_bands_are_made_kept_and_compared(tmp_path, one_headline):
    folders = [results(tmp_path / f"{seed}" / "smoke", seed, loss=3.0 + seed / 10, other=9) for seed in range(3)]
    path = bands.write(folders, tmp_path / "reference")
    kept = bands.reference("smoke", tmp_path / "reference")
    assert path.name == "smoke.json" and list(kept) == ["01_x/loss"]
    assert kept["01_x/loss"].mean == pytest.approx(3.1) and kept["01_x/loss"].n == 3
    assert bands.outside(bands.numbers(folders[0]), kept) == []
    worse = results(tmp_path / "worse", 3, loss=9.0)
    (said,) = bands.outside(bands.numbers(worse), kept)
    assert "01_x/loss is 9" in said


def test_one_notebook_s_bands_are_renewed_and_the_others_stay(tmp_path, one_headline, monkeypatch):
    """A changed notebook shall not cost a run of the whole course; but what is kept of old runs must say so."""
    both = {"01_x/loss": {"en": "", "zh": ""}, "02_y/loss": {"en": "", "zh": ""}}
    monkeypatch.setattr(bands, "headlines", lambda: both)
    folders = [results(tmp_path / f"{seed}" / "smoke", seed, loss=float(seed)) for seed in range(3)]
    for folder in folders:
        other = json.loads((folder / "01_x/metrics.json").read_text()) | {"notebook": "02_y"}
        (folder / "02_y").mkdir()
        (folder / "02_y/metrics.json").write_text(json.dumps(other))
    path = bands.write(folders, tmp_path)
    assert "older" not in json.loads(path.read_text())
    for folder in folders:
        record = folder / "01_x/metrics.json"
        record.write_text(record.read_text().replace('"abc"', '"def"').replace('"value": ', '"value": 1'))
    bands.write(folders, tmp_path, ["01_x"])
    content = json.loads(path.read_text())
    assert [content["bands"][name]["mean"] for name in both] == [11, 1]
    assert content["provenance"]["git"] == "def" and content["older"]["02_y"]["git"] == "abc"
    more = [*folders, results(tmp_path / "3" / "smoke", 3, loss=1.0)]
    with pytest.raises(LabError, match="run as many"):
        bands.write(more, tmp_path, ["01_x"])


def test_what_was_not_measured_is_passed_over(tmp_path):
    assert bands.outside({}, {"01_x/loss": Band(1, 0, 2, 3)}) == [] == list(bands.reference("none", tmp_path))


def test_a_seed_counts_once(tmp_path, one_headline):
    folders = [results(tmp_path / f"{i}" / "smoke", 0, loss=float(i)) for i in range(3)]
    with pytest.raises(LabError, match="one seed"):
        bands.measure(folders)


def test_a_missing_number_is_named(tmp_path, one_headline, capsys):
    """In one folder of three; in all of them only if models too small to learn were too small to measure."""
    folders = [results(tmp_path / f"{seed}" / "smoke", seed, loss=1.0) for seed in range(2)]
    folders.append(results(tmp_path / "2" / "smoke", 2, other=1.0))
    assert bands.main(list(map(str, folders))) == 1
    assert "01_x/loss" in capsys.readouterr().err
    assert bands.main([str(tmp_path / "nothing")]) == 1
    none = [results(tmp_path / "none" / f"{seed}" / "smoke", seed, other=1.0) for seed in range(3)]
    assert bands.measure(none)["bands"] == {}
    for path in (folder / "01_x" / "metrics.json" for folder in none):
        path.write_text(path.read_text().replace('"smoke"', '"laptop"'))
    with pytest.raises(LabError, match="01_x/loss"):
        bands.measure(none)


def test_headlines_are_of_notebooks_that_exist():
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {name.split("/")[0] for name in bands.headlines()} <= notebooks


def test_the_table_has_a_row_for_each_number_in_both_languages(one_headline):
    kept = {"01_x/loss": Band(-1.23456, -2, 12_345.6, 3)}
    assert bands.table(kept).splitlines()[-1] == "| 01 | the loss | −1.235 | −2.000 … 12,346 |"
    assert "损失" in bands.table(kept, "zh")


@pytest.mark.parametrize(("name", "language"), bands.READMES.items())
def test_the_readmes_have_the_results_that_are_kept(name, language):
    """A number in a README that no run gave is a rumour."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert ("<!-- results -->" in text) == bool(bands.reference("laptop")), (
        "a table where there are bands, and only there"
    )
    assert text == bands.with_table(text, language), "run python -m labkit.report.bands"


def test_the_table_is_put_between_its_marks_and_nowhere_else(one_headline, monkeypatch):
    monkeypatch.setattr(bands, "reference", lambda name: {"01_x/loss": Band(3, 2, 4, 5)})
    text = bands.with_table("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n", "en")
    assert "| 01 | the loss | 3.000 | 2.000 … 4.000 |" in text and "old" not in text
    assert text.startswith("before\n<!-- results -->\n") and text.endswith("\n<!-- end of results -->\nafter\n")


@pytest.mark.parametrize("path", sorted(bands.REFERENCE.glob("*.json")), ids=lambda path: path.stem)
def test_the_bands_that_are_kept_are_whole(path):
    """By three seeds or more, with their provenance, for the headline numbers, none of them without end."""
    content = json.loads(path.read_text())
    assert content["profile"] in PROFILES and len(set(content["seeds"])) >= 3
    for made in (content["provenance"], *content.get("older", {}).values()):
        assert made["git"] and made["hardware"]["cpu"]
    missing = bands.headlines().keys() - content["bands"].keys()
    assert not content["bands"].keys() - bands.headlines().keys()
    assert not missing or (content["profile"] == "smoke" and len(missing) < 5), missing
    kept = bands.reference(path.stem).values()
    assert all(math.isfinite(b.low) and b.low <= b.mean <= b.high and b.n == len(content["seeds"]) for b in kept)
