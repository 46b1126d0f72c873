"""MRPC: the traps of its files, and a test set that stays as published."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import Hub, run_in_child, served

from labkit.hub import REPOSITORIES
from labkit.profile import LabError, resolve
from labkit.tasks.paraphrase import FILES, FOLDER, HEADER, LABELS, MEMBERS, SPLITS, Pair, load_paraphrase
from labkit.tasks.rows import Rows

TRAIN = [
    '1\t1\t2\t"An open quotation mark.\tWith a mate.',
    "0\t3\t4\tAnother row.\tIt must not be merged\u2028with the one before.",
    "1\t5\t6\tThe same pair.\tAgain.",
    "0\t7\t8\tagain\tThe same pair",  # the other way round, and with the other label
    "1\t9\t10\tA pair of the test set.\tIt leaks.",
]
TEST = [
    "0\t11\t12\tA pair of the test set.\tIt leaks!",
    "1\t13\t14\tTwice.\tIn the test set.",
    "1\t1\t2\tTwice.\tIn the test set.",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    (tmp_path / FOLDER).mkdir()
    for split, rows in (("train", TRAIN), ("test", TEST)):
        text = "".join(f"{row}\r\n" for row in ["\t".join(HEADER), *rows])
        (tmp_path / FOLDER / MEMBERS[split]).write_text(text, encoding="utf-8-sig", newline="")
    return tmp_path / FOLDER


def load():
    return load_paraphrase(resolve("smoke", "local"))


def test_the_traps_of_the_local_files(folder):
    """Quotation marks without a mate, a byte-order mark, pairs twice and in both files."""
    data = load()
    pairs = data.train + data.validation
    assert {(pair.first, pair.second, pair.label) for pair in pairs} == {
        ('"An open quotation mark.', "With a mate.", 1),
        ("Another row.", "It must not be merged\u2028with the one before.", 0),
        ("The same pair.", "Again.", 1),
    }
    assert len(pairs) == 3 and len(data.test) == 3 and data.dropped == 2 and data.leak_share == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"1\t1\t2\tOnly one sentence.", "row 3 of .*4 fields, not 5.*fetch"),
        (b"", "row 3 of .*1 fields"),
        (b"2\t1\t2\tA.\tB.", "row 3 of .*the label '2'.*fetch"),
        (b"1\t1\t2\tA.\t ", "row 3 of .*lacks a sentence"),
        (b"1\t1\t2\tA.\tB \xe9.", "row 3 of .*not UTF-8.*fetch"),
    ],
)
def test_a_bad_row_is_refused_with_its_place(folder, row, message):
    path = folder / MEMBERS["train"]
    rows = path.read_bytes().split(b"\r\n")
    path.write_bytes(b"\r\n".join([*rows[:2], row, *rows[2:]]))
    with pytest.raises(LabError, match=message) as error:
        load()
    assert str(path) in str(error.value)


def test_a_file_cut_off_inside_its_last_sentence_is_refused(folder):
    """It has all its fields: only the missing end of the line tells."""
    path = folder / MEMBERS["test"]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(LabError, match=r"row 4 of .*test\.txt, the last, has no end.*fetch"):
        load()


def test_another_file_or_none_says_what_to_do(folder):
    (folder / MEMBERS["test"]).write_text("Quality,#1 ID\n", encoding="utf-8")
    with pytest.raises(LabError, match=r"begins with .*is it the original"):
        load()
    (folder / MEMBERS["test"]).unlink()
    with pytest.raises(LabError, match="SOURCE=embedded"):
        load()


def test_the_prompt_is_the_report_s():
    """Its scorer reads the answer after this."""
    pair = Pair("One .", "Two .", 0)
    assert f"{pair.prompt} {LABELS[pair.label]}" == '"Sentence1": One . "Sentence2": Two . "Label": not equivalent'


def test_embedded_is_called_synthetic_and_split_cleanly():
    data = load_paraphrase(resolve("smoke", "embedded"))
    assert "synthetic" in data.name and data.leak_share == 0 and data.labels == LABELS


def test_the_real_files():
    if not os.environ.get("LABKIT_DATA"):
        pytest.skip("LABKIT_DATA is not set")
    data = load()
    assert len(data.test) == 1725 and sum(pair.label for pair in data.test) == 1147
    assert len(data.train) + len(data.validation) + data.dropped == 4076 and data.dropped == 19
    assert data.leak_share == 0 and 0.64 < sum(pair.label for pair in data.validation) / len(data.validation) < 0.71


LOAD = """
from labkit.profile import PROFILES, Lab
from labkit.tasks.paraphrase import load_paraphrase
data = load_paraphrase(Lab(PROFILES["smoke"], "hub", 0))
print([pair.first for pair in data.train], len(data.validation), len(data.test), data.dropped)
"""
SAME = {"sentence1": "In all .", "sentence2": "Of them .", "label": 1, "idx": 0}


def test_the_hub_s_files_are_read_as_glue_splits_them(tmp_path):
    """At the pinned revision; what validation or test has too is not trained on."""
    for split in SPLITS:
        path = served(tmp_path / "hub", "mrpc") / FILES.hub[split]
        path.parent.mkdir(parents=True, exist_ok=True)
        own = {"sentence1": f"In {split} .", "sentence2": "Only .", "label": 0, "idx": 1}
        pq.write_table(pa.Table.from_pylist([SAME, own]), path)
    with Hub(tmp_path / "hub") as hub:
        assert run_in_child(LOAD, hub.env(tmp_path / "home")) == "['In train .'] 1 2 2"
        assert any(REPOSITORIES["mrpc"].revision in request for request in hub.requests)


@pytest.mark.parametrize("fault", [{"label": -1}, {"sentence1": " "}, {"sentence2": None}])
def test_a_bad_row_of_the_hub_is_refused_with_its_place(monkeypatch, fault):
    """GLUE's hidden test labels are -1: scored as labels, every answer would be wrong."""
    splits = {split: Rows(split, [SAME, SAME | fault]) for split in SPLITS}
    monkeypatch.setattr("labkit.tasks.paraphrase.FILES", SimpleNamespace(open=lambda source: splits))
    with pytest.raises(LabError, match="row 2 of train is no MRPC pair"):
        load_paraphrase(resolve("smoke", "hub"))
