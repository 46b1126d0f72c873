"""A checkpoint that is half written, or runs code when loaded, costs a night of training or worse."""

from __future__ import annotations

import os
import pickle

import pytest
import torch

from labkit.profile import LabError
from labkit.training.checkpoint import load_checkpoint, save_checkpoint


def test_round_trip(tmp_path):
    path = tmp_path / "run" / "checkpoint.pt"
    save_checkpoint(path, {"model": {"w": torch.arange(3.0)}, "step": 7, "config": {"seed": None}})
    state = load_checkpoint(path)
    assert state["step"] == 7 and torch.equal(state["model"]["w"], torch.arange(3.0))
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.pt"]


def test_a_kill_while_writing_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"step": 1})

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path)["step"] == 1


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_truncated_file_is_named(tmp_path, share):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"w": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(LabError, match=r"checkpoint\.pt is damaged"):
        load_checkpoint(path)


def test_a_missing_one_says_what_to_do(tmp_path):
    with pytest.raises(LabError, match="train first"):
        load_checkpoint(tmp_path / "checkpoint.pt")


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "checkpoint.pt"
    torch.save({"bomb": Bomb()}, path, pickle_module=pickle)
    with pytest.raises(LabError):
        load_checkpoint(path)
    assert not (tmp_path / "ran").exists()
