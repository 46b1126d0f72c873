"""Beyond one machine: several nodes are several torchruns that meet. Here two of them share this one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from training.conftest import SHORT, assert_same_bits, losses

from labkit.processes import stop_tree
from labkit.training.launch import launch
from labkit.training.log import read_log
from labkit.training.pretrain import PretrainConfig, pretrain

SCRIPT = Path(__file__).parents[2] / "scripts" / "pretrain.slurm"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


NODE = """
import json, sys
from labkit.training.launch import launch
launch("faulty", **json.loads(sys.argv[1]))
"""


def test_two_nodes_train_as_two_processes_and_survive_a_kill(tmp_path, undisturbed, workers_importable, monkeypatch):
    """Rank 1, on the other node than rank 0, is killed: both launchers have to start their processes anew."""
    monkeypatch.setenv("KILLS", "1:6:update")
    arguments = {"nproc": 1, "nnodes": 2, "rdzv_endpoint": f"localhost:{free_port()}", "max_restarts": 1,
                 "out": str(tmp_path), "resume": "auto", **SHORT}  # fmt: skip
    nodes = [
        subprocess.Popen([sys.executable, "-c", NODE, json.dumps(arguments)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    heard = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0]
    assert len(list(tmp_path.glob("killed-*"))) == 1
    assert sum("continuing from" in lines for lines in heard) == 1, "rank 0 is on one node only"
    assert_same_bits(tmp_path, undisturbed(2))


def test_one_process_continues_what_two_began(tmp_path, undisturbed):
    """Each step's batch is the same, dealt differently: sums are rounded in another order, and nothing else changes."""
    began = undisturbed(2)
    config = PretrainConfig(out=str(tmp_path), resume=str(began / "checkpoints" / "step_00000004.pt"), **SHORT)
    pretrain(config, echo=lambda _: None)
    assert losses(tmp_path) == pytest.approx(losses(began)[4:], abs=5e-6)


def test_two_processes_continue_what_one_began(tmp_path, alone):
    path = alone / "checkpoints" / "step_00000004.pt"
    launch("labkit.training.pretrain", nproc=2, out=tmp_path, resume=path, echo=lambda _: None, **SHORT)
    assert losses(tmp_path) == pytest.approx(losses(alone)[4:], abs=5e-6)


SRUN = """#!/usr/bin/env bash
# Runs the command on two "nodes", both of them this machine.
while [[ $1 == --* ]]; do shift; done
SLURM_NODEID=0 "$@" & one=$!
SLURM_NODEID=1 "$@" & two=$!
wait $one && wait $two
"""
SCONTROL = """#!/usr/bin/env bash
case $1 in
show) printf 'localhost\\nlocalhost\\n' ;;
requeue) echo "$2" >> "$REQUEUED" ;;
esac
"""


@pytest.fixture
def slurm(tmp_path, corpus_cache) -> dict[str, str]:
    """An environment in which `srun` and `scontrol` are stand-ins, as sbatch would give it to the script."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "REQUEUED": str(tmp_path / "requeued"),
        "SLURM_JOB_ID": "1234", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "local[1-2]",
        "PYTHON": sys.executable, "PROFILE": "smoke", "OUT": str(tmp_path / "run"), "NPROC": "1",
        "PORT": str(free_port()),
    }  # fmt: skip


def test_the_slurm_script_requeues_itself_and_continues(tmp_path, slurm):
    """A job that is not requeued in time, or begins at step 0 again, never ends where the limit is shorter than it."""
    command = ["bash", SCRIPT, "--max-steps=400", "--eval-every=20", "--eval-tokens=256", "--dtype=float32"]
    job = subprocess.Popen(command, env=slurm, stdout=subprocess.DEVNULL)
    try:
        wait_for(tmp_path / "run" / "checkpoints" / "step_00000020.pt", job)
        job.send_signal(signal.SIGUSR1)
        wait_for(tmp_path / "requeued", job)
    finally:
        stop_tree(job.pid)  # what SLURM does to a job that it requeues
        job.wait()
    assert (tmp_path / "requeued").read_text() == "1234\n"
    again = subprocess.run(command, env=slurm, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("continuing from") == 1
    assert [row["step"] for row in read_log(tmp_path / "run" / "log.jsonl") if "loss" in row] == list(range(400))


def test_the_slurm_script_passes_a_failure_on(slurm):
    """Else SLURM books a failed job as completed."""
    done = subprocess.run(["bash", SCRIPT], env=slurm | {"PROFILE": "smok"}, capture_output=True, text=True)
    assert done.returncode != 0 and "did you mean 'smoke'" in done.stderr


def wait_for(path: Path, job: subprocess.Popen, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert job.poll() is None, f"the job ended before {path.name} was there"
        assert time.monotonic() < end, f"{path.name} never came"
        time.sleep(0.02)
