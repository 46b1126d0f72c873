"""The array job over notebooks, with a stand-in for SLURM: if it fails, a night on a cluster is lost."""

from __future__ import annotations

import os
import subprocess
import sys

from labkit.batch.plan import discover
from labkit.profile import ROOT

SBATCH = """#!/usr/bin/env bash
echo "$@" >> "$JOBS"
echo "$(wc -l < "$JOBS");cluster"
"""


def script(tmp_path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "sbatch").write_text(SBATCH)
    (tmp_path / "sbatch").chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "JOBS": str(tmp_path / "jobs")} | variables
    command = ["bash", "scripts/notebooks.slurm", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


def test_every_notebook_comes_after_those_that_it_needs(tmp_path):
    """The arrays stand in the script: a new notebook, or a new need, must be entered there."""
    assert script(tmp_path, "--partition=gpu").returncode == 0
    jobs = [line.split() for line in (tmp_path / "jobs").read_text().splitlines()]
    assert all("--partition=gpu" in job for job in jobs)
    dependencies = [[word for word in job if word.startswith("--dependency")] for job in jobs]
    assert dependencies == [[], *([f"--dependency=afterany:{i}"] for i in range(1, len(jobs)))]
    arrays = [next(word for word in job if word.startswith("--array")).removeprefix("--array=") for job in jobs]
    stage = {f"{int(number):02}": i for i, numbers in enumerate(arrays) for number in numbers.split(",")}
    notebooks = discover(ROOT / "notebooks")
    assert set(stage) == {id_[:2] for id_ in notebooks}
    for id_, notebook in notebooks.items():
        assert all(stage[need[:2]] < stage[id_[:2]] for need in notebook.needs), id_


def test_a_task_of_the_array_runs_its_notebook(tmp_path):
    given = {"PROFILE": "smoke", "SOURCE": "local", "RECIPE": "paper", "OUT": "here"}
    done = script(tmp_path, SLURM_ARRAY_TASK_ID="7", PYTHON="echo", **given)
    said = "run_all.py --profile smoke --source local --recipe paper --only 07 --out here"
    assert done.stdout.split() == said.split()
    done = script(tmp_path, SLURM_ARRAY_TASK_ID="6", PYTHON=sys.executable, PROFILE="smoke", OUT=str(tmp_path / "none"))
    assert done.returncode == 2 and "needs results that are missing" in done.stderr
