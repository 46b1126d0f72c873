"""The launcher's promise: a dead worker is an error that shows its last words, and nothing is ever left running."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import psutil
import pytest

from labkit.training.launch import LaunchError, _first_failure, command, launch

WORKERS = str(Path(__file__).parent / "workers")


@pytest.fixture(autouse=True)
def workers_importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", WORKERS)


def wait_until(condition, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def alive(pids: list[int]) -> list[int]:
    return [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]


def read_pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_two_processes_meet_and_rank_0_is_heard(tmp_path):
    heard: list[str] = []
    launch("rehearsal", nproc=2, echo=heard.append)
    assert heard == ["hello from rank 0 of 2", "sum 3", "rank 0 chose 5, twice is 10"]


@pytest.mark.parametrize(
    ("then", "exitcode", "words"), [("raise", 1, "ValueError: a planted fault"), ("kill", -9, "signal 9")]
)
def test_a_worker_that_fails_is_named_with_its_last_lines(tmp_path, then, exitcode, words):
    pids = tmp_path / "pids"
    with pytest.raises(LaunchError) as caught:
        launch("rehearsal", nproc=2, echo=lambda _: None, then=then, pids=pids)
    assert (caught.value.rank, caught.value.exitcode) == (1, exitcode)
    assert words in str(caught.value) and "hello from rank 1 of 2" in str(caught.value)
    assert len(read_pids(pids)) == 2 and not alive(read_pids(pids))


def test_a_rank_that_torchrun_ended_itself_is_not_the_cause():
    """Within one second torchrun can't tell who died first, and may name the rank that it stopped on its own."""
    report = ["Failures:", "  rank      : 1 (local_rank: 1)", "  exitcode  : -9 (pid: 12)",
              "Root Cause (first observed failure):", "  rank      : 0 (local_rank: 0)", "  exitcode  : -15 (pid: 11)",
    ]  # fmt: skip
    assert _first_failure(deque(report)) == (1, -9)
    assert _first_failure(deque(report[3:])) == (0, -15)
    assert _first_failure(deque()) is None


def test_a_module_that_is_not_there_fails_with_pythons_words():
    with pytest.raises(LaunchError, match="No module named no_such_module"):
        launch("no_such_module", nproc=1, echo=lambda _: None)


SCRIPT = "from labkit.training.launch import launch; launch('rehearsal', nproc=2, then='sleep', pids={!r})"


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_orphan_when_the_caller_is_stopped_or_killed(tmp_path, sig):
    """Notebooks are interrupted and kernels killed; workers that train on would take the machine's cores for hours."""
    pids = tmp_path / "pids"
    caller = subprocess.Popen([sys.executable, "-c", SCRIPT.format(str(pids))], stderr=subprocess.DEVNULL)
    assert wait_until(lambda: len(read_pids(pids)) == 2), "the workers never started"
    tree = [p.pid for p in psutil.Process(caller.pid).children(recursive=True)]
    assert set(read_pids(pids)) <= set(tree)
    caller.send_signal(sig)
    caller.wait(30)
    assert wait_until(lambda: not alive(tree)), f"still running after {sig.name}: {alive(tree)}"


def test_no_orphan_when_torchrun_itself_is_killed(tmp_path):
    pids = tmp_path / "pids"
    caller = subprocess.Popen([sys.executable, "-c", SCRIPT.format(str(pids))], stderr=subprocess.PIPE, text=True)
    assert wait_until(lambda: len(read_pids(pids)) == 2), "the workers never started"
    (torchrun,) = psutil.Process(caller.pid).children()
    torchrun.kill()
    assert "LaunchError" in caller.communicate(timeout=30)[1]
    assert wait_until(lambda: not alive(read_pids(pids)))


def test_the_command_line_is_torchruns():
    assert command("m", 2, max_steps=5, resume=True, seed=None, source="") == [
        "--standalone", "--nnodes=1", "--nproc-per-node=2", "-m", "m", "--max-steps", "5", "--resume", "--source", "",
    ]  # fmt: skip
    several = command("m", 8, nnodes=2, rdzv_endpoint="node0:29500")
    assert several[:4] == [
        "--rdzv-backend=c10d",
        "--rdzv-endpoint=node0:29500",
        "--nnodes=2",
        "--nproc-per-node=8",
    ]
    assert "--max-restarts=3" in command("m", 2, max_restarts=3)
    with pytest.raises(ValueError, match="rdzv_endpoint"):
        command("m", 8, nnodes=2)
