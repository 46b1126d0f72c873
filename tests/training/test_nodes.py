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


# A node has one core: so its process computes with one thread, as each of two processes on two cores does.
NODE = """
import json, os, sys
from labkit.training.launch import launch
os.sched_setaffinity(0, {int(sys.argv[1])})
launch("faulty", **json.loads(sys.argv[2]))
"""


def test_two_nodes_train_as_two_processes_and_survive_a_kill(tmp_path, undisturbed, workers_importable, monkeypatch):
    """Rank 1, on the other node than rank 0, is killed: both launchers have to start their processes anew."""
    monkeypatch.setenv("KILLS", "1:6:update")
    arguments = {"nproc": 1, "nnodes": 2, "rdzv_endpoint": f"localhost:{free_port()}", "max_restarts": 1,
                 "out": str(tmp_path), "resume": "auto", **SHORT}  # fmt: skip
    cores = [*os.sched_getaffinity(0)] * 2
    command = [sys.executable, "-c", NODE]
    nodes = [
        subprocess.Popen([*command, str(core), json.dumps(arguments)], stdout=subprocess.PIPE, text=True)
        for core in cores[:2]
    ]
    heard = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0]
    assert len(list(tmp_path.glob("killed-*"))) == 1
    assert sum("continuing from" in lines for lines in heard) == 1, "rank 0 is on one node only"
    assert_same_bits(tmp_path, undisturbed(2))


def test_two_processes_continue_what_one_began_and_one_what_two_began(tmp_path, corpus_cache):
    """Each step's batch is the same, dealt differently: sums are rounded in another order, and nothing else changes.

    With AdamW, because Muon rounds to bf16 inside: there a last digit grows to 2e-5 in these twelve steps.
    """
    outs = [tmp_path / name for name in ("one", "two", "again")]
    for out, before in zip(outs, ("", outs[0], outs[1]), strict=True):
        step = 4 * outs.index(out)  # each begins where the one before had been for four steps
        path = str(before / "checkpoints" / f"step_{step:08d}.pt") if before else ""
        options = {**SHORT, "recipe": "gpt3", "keep_checkpoints": 9, "out": str(out), "resume": path}
        if out.name == "two":
            launch("labkit.training.pretrain", nproc=2, echo=lambda _: None, **options)
        else:
            pretrain(PretrainConfig(**options), echo=lambda _: None)
        assert losses(out) == pytest.approx(losses(outs[0])[step:], abs=5e-6)


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
    options = {**SHORT, "max_steps": 150, "eval_every": 10}
    del options["profile"]
    command = ["bash", SCRIPT, *(f"--{name.replace('_', '-')}={value}" for name, value in options.items())]
    job = subprocess.Popen(command, env=slurm, stdout=subprocess.DEVNULL)
    try:
        wait_for(tmp_path / "run" / "checkpoints" / "step_00000010.pt", job)
        job.send_signal(signal.SIGUSR1)
        wait_for(tmp_path / "requeued", job)
    finally:
        stop_tree(job.pid)  # what SLURM does to a job that it requeues
        job.wait()
    assert (tmp_path / "requeued").read_text() == "1234\n"
    again = subprocess.run(command, env=slurm, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("continuing from") == 1
    assert [row["step"] for row in read_log(tmp_path / "run" / "log.jsonl") if "loss" in row] == list(range(150))


def test_the_slurm_script_passes_a_failure_on(slurm):
    """Else SLURM books a failed job as completed."""
    assert subprocess.run(["bash", SCRIPT], env=slurm | {"PYTHON": "false"}).returncode == 1
    assert subprocess.run(["bash", SCRIPT], env=slurm | {"PYTHON": "true"}).returncode == 0


def wait_for(path: Path, job: subprocess.Popen, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert job.poll() is None, f"the job ended before {path.name} was there"
        assert time.monotonic() < end, f"{path.name} never came"
        time.sleep(0.02)
