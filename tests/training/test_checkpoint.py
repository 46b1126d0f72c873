"""A checkpoint that is half written, altered, or runs code when loaded, costs a night of training or worse."""

from __future__ import annotations

import os
import resource

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.profile import LabError
from labkit.training.checkpoint import (
    find_checkpoint,
    keep_checkpoint,
    list_checkpoints,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_round_trip(tmp_path):
    path = tmp_path / "run" / "step_00000007.pt"
    save_checkpoint(path, {"model": {"w": torch.arange(3.0)}, "step": 7, "config": {"seed": None}})
    state = load_checkpoint(path)
    assert state["step"] == 7 and torch.equal(state["model"]["w"], torch.arange(3.0))
    assert names(path.parent) == [path.name]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "step_00000001.pt"
    save_checkpoint(path, STATE)
    return path.read_bytes()


STATE = {"w": torch.arange(200.0), "v": torch.ones(50), "step": 1}


@settings(max_examples=400, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_or_does_not_matter(whole, tmp_path_factory, place, bit):
    """torch.load alone takes a flipped bit in a weight for the weight."""
    path = tmp_path_factory.getbasetemp() / "flipped.pt"
    data = bytearray(whole)
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(data)
    try:
        state = load_checkpoint(path)
    except LabError:
        return
    assert state["step"] == 1 and torch.equal(state["w"], STATE["w"]) and torch.equal(state["v"], STATE["v"])


def test_a_flipped_bit_in_a_weight_is_found(whole, tmp_path):
    path = tmp_path / "flipped.pt"
    data = bytearray(whole)
    data[data.index(torch.tensor(100.0).numpy().tobytes())] ^= 1
    path.write_bytes(data)
    assert not torch.equal(torch.load(path)["w"], STATE["w"])  # the control: nobody else notices
    with pytest.raises(LabError, match="damaged"):
        load_checkpoint(path)


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_named(whole, tmp_path_factory, share):
    path = tmp_path_factory.getbasetemp() / "cut.pt"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LabError, match=r"cut\.pt is damaged"):
        load_checkpoint(path)


def test_a_missing_one_says_what_to_do(tmp_path):
    with pytest.raises(LabError, match="--resume auto"):
        load_checkpoint(tmp_path / "checkpoint.pt")


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"bomb": Bomb()})
    with pytest.raises(LabError, match="no checkpoint of this course"):
        load_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_the_last_ones_are_kept_in_the_order_of_their_steps(tmp_path):
    """Sorted as words, step 100,000,000 comes before step 99,999,999, and the newest would be deleted."""
    for step in (99_999_990, 99_999_999, 100_000_000):
        keep_checkpoint(tmp_path, {"step": step}, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step_99999999.pt", "step_100000000.pt"]
    keep_checkpoint(tmp_path, {"step": 5}, keep=1)  # a run that went back
    assert "step_00000005.pt" in names(tmp_path), "the checkpoint just written was deleted"
    assert newest_checkpoint(tmp_path).name == "step_100000000.pt"


def test_damaged_ones_are_put_aside_and_named(tmp_path):
    for step in (1, 2, 3):
        keep_checkpoint(tmp_path, {"step": step, "w": torch.zeros(1000)}, keep=3)
    (tmp_path / "step_00000003.pt").write_bytes(b"")
    data = bytearray((tmp_path / "step_00000002.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "step_00000002.pt").write_bytes(data)
    said: list[str] = []
    assert newest_checkpoint(tmp_path, said.append) == tmp_path / "step_00000001.pt"
    assert ["step_00000003.pt is damaged" in said[0], "step_00000002.pt is damaged" in said[1]] == [True, True]
    assert names(tmp_path) == ["step_00000001.pt", "step_00000002.pt.damaged", "step_00000003.pt.damaged"]


@pytest.mark.parametrize("limit", [10, 500, 100_000, 400_000])
def test_a_file_the_system_refuses_leaves_the_last_one_and_a_warning(tmp_path, limit):
    """As a full disk does: the write fails somewhere in the file. A real limit, set for this process."""
    keep_checkpoint(tmp_path, {"step": 1, "w": torch.zeros(100_000)}, keep=1)
    said: list[str] = []
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        assert keep_checkpoint(tmp_path, {"step": 2, "w": torch.zeros(100_000)}, 1, said.append) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "no checkpoint at step 2 ([Errno 27] File too large): the last good one is step_00000001.pt" in said[0]
    assert names(tmp_path) == ["step_00000001.pt"]
    assert load_checkpoint(tmp_path / "step_00000001.pt")["step"] == 1


def test_a_new_run_does_not_take_an_old_runs_checkpoints_for_its_own(tmp_path):
    """Trained again into the same folder and killed, it would otherwise resume the run before."""
    folder = tmp_path / "checkpoints"
    keep_checkpoint(folder, {"step": 9}, keep=2)
    assert find_checkpoint("auto", folder) == folder / "step_00000009.pt"
    assert find_checkpoint(str(folder / "step_00000009.pt"), folder) == folder / "step_00000009.pt"
    assert find_checkpoint("", folder) is None
    assert find_checkpoint("auto", folder) is None
    moved = tmp_path / "checkpoints.old" / "step_00000009.pt"
    assert find_checkpoint(str(moved), folder) == moved
    keep_checkpoint(folder, {"step": 7}, keep=2)
    with pytest.raises(LabError, match="choose another --out"):
        find_checkpoint(str(moved), folder)
    assert load_checkpoint(moved)["step"] == 9
