"""What a night of training meets: killed processes, damaged files, a full disk. The weights must not show it."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from training.conftest import SHORT, assert_same_bits, losses

from labkit.training import log
from labkit.training.checkpoint import list_checkpoints
from labkit.training.launch import LaunchError, launch
from labkit.training.pretrain import PretrainConfig, pretrain

pytestmark = pytest.mark.usefixtures("workers_importable")


def train_through(kills: list[str], nproc: int, out, monkeypatch, max_restarts: int = 0) -> int:
    """Give the same command until it ends well; returns how often it was given."""
    monkeypatch.setenv("KILLS", " ".join(kills))
    for life in range(1, len(kills) + 2):
        try:
            launch(
                "faulty", nproc=nproc, max_restarts=max_restarts, out=out, resume="auto", echo=lambda _: None, **SHORT
            )
        except LaunchError:
            continue
        assert len(list(out.glob("killed-*"))) == len(kills), "a planned kill never came"
        return life
    raise AssertionError(f"still failing after {len(kills)} kills")


def test_a_process_killed_while_writing_a_checkpoint(tmp_path, alone):
    """A half-written checkpoint taken for a whole one would stop every later life, too."""
    options = {"out": tmp_path, "resume": "auto", **SHORT}
    command = [sys.executable, "-m", "faulty", *(f"--{k.replace('_', '-')}={v}" for k, v in options.items())]
    env = os.environ | {"KILLS": "0:8:writing"}
    assert subprocess.run(command, env=env, stdout=subprocess.DEVNULL).returncode == -signal.SIGKILL
    assert [path.name for path in list_checkpoints(tmp_path / "checkpoints")] == ["step_00000004.pt"]
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    assert_same_bits(tmp_path, alone)


def test_one_launch_survives_a_killed_rank(tmp_path, undisturbed, monkeypatch):
    """Without a store of its own each life waits for the addresses of the dead, and the launch fails after minutes."""
    assert train_through(["1:6:batch"], 2, tmp_path, monkeypatch, max_restarts=1) == 1
    assert_same_bits(tmp_path, undisturbed(2))
    assert losses(tmp_path) == losses(undisturbed(2))


def test_a_killed_launcher_changes_nothing_for_four_processes(tmp_path, undisturbed, monkeypatch):
    """The bug this finds: sums over four processes that come in another order in a resumed run's first step."""
    assert train_through(["torchrun:9:update"], 4, tmp_path, monkeypatch) == 2
    assert_same_bits(tmp_path, undisturbed(4))


@pytest.mark.long
@pytest.mark.parametrize("nproc", [1, 2, 4])
def test_eight_kills_at_random_points(nproc, tmp_path, undisturbed, monkeypatch):
    """Any victim at any step, also while a checkpoint is written, or at any moment of the 30 ms from there."""
    dice = random.Random(nproc)
    kills = set()
    while len(kills) < 8:
        moment = dice.choice(["batch", "update", "later", "writing", "renaming", "renamed"])
        if moment in ("batch", "update", "later"):
            victim, step = dice.choice([*range(nproc), "torchrun"]), dice.randrange(SHORT["max_steps"] - 2)
            kills.add(
                f"{victim}:{step}:batch:{dice.randint(1, 30)}" if moment == "later" else f"{victim}:{step}:{moment}"
            )
        else:
            kills.add(f"{dice.choice([0, 'torchrun'])}:{dice.choice([4, 8, 12])}:{moment}")
    print(f"{nproc} processes, kills: {' '.join(sorted(kills))}")
    train_through(sorted(kills), nproc, tmp_path, monkeypatch, max_restarts=3)
    assert_same_bits(tmp_path, undisturbed(nproc))


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_checkpoint_is_passed_over(damage, tmp_path, alone):
    """A bit that flipped on the disk loads without an error, and would be trained on."""
    for path in list_checkpoints(alone / "checkpoints")[:2]:
        (tmp_path / "checkpoints").mkdir(exist_ok=True)
        (tmp_path / "checkpoints" / path.name).write_bytes(path.read_bytes())
    damage(list_checkpoints(tmp_path / "checkpoints")[-1])
    said: list[str] = []
    pretrain(PretrainConfig(out=str(tmp_path), resume="auto", **SHORT), echo=said.append)
    assert "step_00000008.pt is damaged" in said[0] and said[1].endswith("step_00000004.pt")
    assert_same_bits(tmp_path, alone)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step_00000008.pt", "step_00000008.pt.damaged", "step_00000012.pt"]


def test_a_full_disk_costs_one_checkpoint(tmp_path, alone, monkeypatch):
    """The system refuses to let any file grow beyond 100 kB from step 5 to step 8, when a checkpoint is due."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    write = log.Log.write

    def filling(self, row):
        write(self, row)
        if "loss" in row and row["step"] in (5, 8):
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000 if row["step"] == 5 else soft, hard))

    monkeypatch.setattr(log.Log, "write", filling)
    said: list[str] = []
    try:
        pretrain(PretrainConfig(out=str(tmp_path), **SHORT), echo=said.append)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "no checkpoint at step 8" in said[0] and "step_00000004.pt" in said[0]
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == [
        "step_00000004.pt", "step_00000012.pt",
    ]  # fmt: skip
    assert_same_bits(tmp_path, alone)


def test_training_draws_no_random_numbers(tmp_path, alone):
    """Else checkpoints would need every rank's generators, and a resumed run would differ from an undisturbed one."""
    states = []

    def echo(line: str) -> None:  # "continuing …" before the first step, "step 12 of 12 …" after the last
        states.append((torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()))

    path = alone / "checkpoints" / "step_00000004.pt"
    pretrain(PretrainConfig(out=str(tmp_path), resume=str(path), **SHORT), echo)
    assert len(states) > 1 and states[0] == states[-1]
    assert_same_bits(tmp_path, alone)
