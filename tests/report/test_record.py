"""`Record`: the format of what it leaves, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from labkit.profile import PROFILES, Lab, LabError
from labkit.report import Record, provenance

matplotlib.use("agg")


@pytest.fixture
def record(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_RESULTS", str(tmp_path))
    yield Record("02_x", Lab(PROFILES["smoke"], "embedded", 7))
    plt.close("all")


def read(record: Record) -> dict:
    return json.loads((record.folder / "metrics.json").read_text())


def curve():
    fig, ax = plt.subplots()
    ax.plot([1, 2, 3], [3, 2, 1], label="training")
    ax.set(xlabel="step", ylabel="loss [nats/token]", title="The loss falls")
    return fig


def test_the_format_is_the_one_every_reader_relies_on(record):
    record.metric("val_loss", 3.21, unit="nats/token", n=65_536, ci95=[3.19, 3.23])
    found = read(record)
    assert list(found) == ["notebook", "profile", "source", "seed", "metrics", "provenance"]
    assert [found[k] for k in ("notebook", "profile", "source", "seed")] == ["02_x", "smoke", "embedded", 7]
    expected = {"value": 3.21, "unit": "nats/token", "n": 65_536, "ci95": [3.19, 3.23]}
    assert found["metrics"] == {"val_loss": expected}
    assert set(found["provenance"]) == {"git", "versions", "hardware", "data", "seconds", "peak_rss_mb"}
    assert found["provenance"]["versions"]["torch"] == torch.__version__
    assert found["provenance"]["seconds"] >= 0 and found["provenance"]["peak_rss_mb"] > 20
    assert set(found["provenance"]["hardware"]) == {"cpu", "cores", "gpus", "memory_gb", "dtype"}


def test_every_call_is_on_disk_at_once(record):
    assert read(record)["metrics"] == {}
    record.metric("a", 1)
    assert list(read(record)["metrics"]) == ["a"]
    record.metric("b", "text")
    record.metric("a", True)
    assert {name: m["value"] for name, m in read(record)["metrics"].items()} == {"a": True, "b": "text"}


@pytest.mark.parametrize(
    "value", [np.float32(2.5), torch.tensor(2.5), np.array([2.5]), torch.tensor([[2.5]], requires_grad=True)]
)
def test_scalars_of_numpy_and_torch_become_plain_numbers(record, value):
    record.metric("x", value, ci95=(value, value))
    assert read(record)["metrics"]["x"] == {"value": 2.5, "unit": "", "n": None, "ci95": [2.5, 2.5]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("nan"), torch.tensor(float("-inf"))])
def test_a_number_that_is_none_is_refused_with_a_remedy_and_what_was_kept_stays(record, value):
    record.metric("good", 1.0)
    with pytest.raises(LabError, match=r"metric 'loss' is .*: .*Find where it arises"):
        record.metric("loss", value)
    with pytest.raises(LabError, match="ci95"):
        record.metric("loss", 1.0, ci95=[0.0, value])
    assert list(read(record)["metrics"]) == ["good"]


@pytest.mark.parametrize("value", [None, [1, 2], np.zeros(3), {"a": 1}])
def test_what_is_not_a_scalar_is_refused(record, value):
    with pytest.raises(LabError, match="metric 'x'"):
        record.metric("x", value)


def test_an_interval_the_wrong_way_round_is_refused(record):
    with pytest.raises(LabError, match="low ≤ high"):
        record.metric("x", 1.0, ci95=[2.0, 0.0])


@pytest.mark.parametrize("name", ["", "../up", "a b", "a/b", ".hidden"])
def test_a_name_that_is_no_file_name_is_refused(record, name):
    for keep in (lambda: record.metric(name, 1), lambda: record.table([{"a": 1}], name)):
        with pytest.raises(LabError, match="name"):
            keep()
    with pytest.raises(LabError, match="name"):
        record.figure(curve(), name, alt="It falls from 3 to 1.")


def test_a_new_record_starts_afresh_and_touches_nothing_else(record):
    record.metric("old", 1)
    record.figure(curve(), "old", alt="It falls from 3 to 1.")
    record.table([{"a": 1}], "old")
    others = [record.folder / "train.jsonl", record.folder.parent / "01_y" / "metrics.json"]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_text("kept")
    again = Record("02_x", Lab(PROFILES["smoke"], "embedded", 7))
    assert read(again)["metrics"] == {}
    assert not list(again.folder.glob("*/*"))
    assert all(path.read_text() == "kept" for path in others)


def test_a_figure_is_kept_with_its_description_and_closed(record):
    fig = curve()
    record.figure(fig, "loss_curve", alt="The training loss falls\n   from 3 to 1 in three steps.")
    folder = record.folder / "figures"
    about = json.loads((folder / "loss_curve.json").read_text())
    assert about["title"] == "The loss falls"
    assert about["alt"] == "The training loss falls from 3 to 1 in three steps."
    assert (folder / "loss_curve.svg").read_text().count("nats/token")  # text is text, not outlines
    assert (folder / "loss_curve.png").read_bytes().startswith(b"\x89PNG")
    assert not plt.fignum_exists(fig.number)


def test_the_notebook_shows_a_png_that_carries_its_alt_text(record, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append((a, k)))
    record.figure(curve(), "loss_curve", alt="It falls from 3 to 1.")
    ((data,), options) = shown[0]
    assert options["metadata"]["image/png"]["alt"] == "It falls from 3 to 1."
    assert "image/png" in data and options["raw"]


def test_tables_become_csv_with_the_index_only_where_it_says_something(record):
    record.table([{"said": "3.0", "measured": 3.2}, {"said": "≈ 3", "measured": 3.1}], "by_dicts")
    record.table(pd.DataFrame({"f1": [0.5]}, index=pd.Index(["LoRA"], name="method")), "by_frame")
    tables = record.folder / "tables"
    assert (tables / "by_dicts.csv").read_text() == "said,measured\n3.0,3.2\n≈ 3,3.1\n"
    assert (tables / "by_frame.csv").read_text() == "method,f1\nLoRA,0.5\n"
    with pytest.raises(LabError, match="no rows"):
        record.table([], "empty")


def test_facts_about_the_data_are_kept_whatever_holds_them(record):
    @dataclass
    class Stats:
        tokens: np.int64
        shards: tuple[str, ...]

    record.data(webtext=Stats(np.int64(5), ("a", "b")), books={"synthetic": True, "note": None})
    assert read(record)["provenance"]["data"] == {
        "webtext": {"tokens": 5, "shards": ["a", "b"]},
        "books": {"synthetic": True, "note": None},
    }
    with pytest.raises(LabError, match="'mean'"):
        record.data(webtext={"mean": float("nan")})


def test_the_commit_is_that_of_this_checkout_only(tmp_path):
    """A results file must not carry the commit of some repository that merely surrounds the course."""
    assert provenance.git_commit(tmp_path) is None
    (tmp_path / "course").mkdir()
    provenance.subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    commit = ["git", "-C", str(tmp_path), *identity, "commit", "-q", "--allow-empty", "-m", "x"]
    provenance.subprocess.run(commit, check=True)
    sha = provenance.git_commit(tmp_path)
    assert sha and len(sha) == 40
    assert provenance.git_commit(tmp_path / "course") is None
    (tmp_path / "new.py").write_text("")
    assert provenance.git_commit(tmp_path) == f"{sha}+dirty"
