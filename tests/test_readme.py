"""What the README tells a newcomer to type must exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from labkit.profile import PROFILES, ROOT, SOURCES

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, flags=re.S)
    for line in block.splitlines()
    if line.strip()
]


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_there_are_commands():
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z-]+)", README))))
def test_make_targets_exist(target):
    done = run("make", "--dry-run", target)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", sorted(set(re.findall(r"-m (labkit[\w.]+)", README))))
def test_modules_explain_themselves(module):
    done = run(sys.executable, "-m", module, "--help")
    assert done.returncode == 0 and "usage:" in done.stdout and "--help" in done.stdout


@pytest.mark.parametrize("command", [c for c in COMMANDS if "run_all.py" in c])
def test_batch_commands_are_understood(command, tmp_path):
    """With --explain added, so that everything is parsed and checked but nothing runs."""
    words = shlex.split(command)[1:]
    done = run(sys.executable, *words, "--out", str(tmp_path), *([] if "--list" in words else ["--explain"]))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("torchrun")])
def test_torchrun_commands_have_options_that_exist(command):
    from torch.distributed.run import get_args_parser

    from labkit.training.pretrain import parse_args

    arguments = get_args_parser().parse_args(shlex.split(command)[1:])
    assert arguments.module and arguments.training_script == "labkit.training.pretrain"
    assert parse_args(arguments.training_script_args).profile in PROFILES


def test_links_and_pictures_are_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_profile_source_and_notebook_is_in_the_tables():
    names = [*PROFILES, *SOURCES, *(p.name for p in (ROOT / "notebooks").glob("[0-9]*.ipynb"))]
    assert [name for name in names if name not in README] == []
