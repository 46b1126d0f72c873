"""Each bug must do its harm, and the three lines that find it must pass on the repaired loop: both are shown in 02."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.profile import LabError
from labkit.training.launch import launch
from labkit.training.log import read_log
from labkit.training.museum import BUGS, planted
from labkit.training.pretrain import PretrainConfig, pretrain

SHORT = {
    "profile": "smoke", "batch_size": 2, "micro_batch_size": 1, "max_steps": 16, "warmup_steps": 2,
    "eval_every": 16, "eval_tokens": 128, "dtype": "float32",
}  # fmt: skip


def run(folder, bug: str | None = None) -> dict[str, np.ndarray]:
    """The columns of the log that a run leaves on disk."""
    config = PretrainConfig(out=str(folder), **SHORT)
    if bug:
        with planted(bug):
            pretrain(config, echo=lambda _: None)
    else:
        pretrain(config, echo=lambda _: None)
    rows = [row for row in read_log(folder / "log.jsonl") if "loss" in row]
    return {name: np.array([row[name] for row in rows]) for name in ("step", "loss", "lr")}


@pytest.fixture(scope="module")
def repaired(tmp_path_factory, corpus_cache):
    return run(tmp_path_factory.mktemp("repaired"))


def test_a_restarted_schedule_rises_again(repaired, tmp_path):
    broken = run(tmp_path, "restarted schedule")
    assert np.all(np.diff(repaired["lr"][2:]) <= 0)
    assert not np.all(np.diff(broken["lr"][2:]) <= 0)
    assert broken["lr"][4] == broken["lr"][0] and np.argmax(broken["lr"]) < 4


def test_an_overwritten_log_has_lost_its_beginning(repaired, tmp_path):
    assert list(repaired["step"]) == list(range(16))
    assert list(run(tmp_path, "overwritten log")["step"]) == [12, 13, 14, 15]


def test_a_bypassed_wrapper_is_not_the_run_of_one_process(repaired, tmp_path):
    launch("labkit.training.museum", nproc=2, bug="bypassed wrapper", out=tmp_path, echo=lambda _: None, **SHORT)
    gap = np.abs(
        np.array([row["loss"] for row in read_log(tmp_path / "log.jsonl") if "loss" in row]) - repaired["loss"]
    )
    assert gap[0] < 5e-6 and gap[1:].max() > 1e-3  # the first loss is from before any update


def test_bugs_leave_with_their_context(repaired, tmp_path):
    """Otherwise a notebook would go on training with them."""
    for bug in BUGS:
        with planted(bug):
            pass
    assert np.array_equal(run(tmp_path)["loss"], repaired["loss"])
    with pytest.raises(LabError, match="did you mean 'overwritten log'"):
        planted("overwriten log")
