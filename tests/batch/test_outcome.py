"""Which of the ways to end it was, and how that is told to people and to continuous integration."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import psutil
from rich.console import Console

from labkit.batch import junit
from labkit.batch.outcome import Ending, Row, cause_of_kill, classify, skipped
from labkit.batch.running import Running, environment
from labkit.batch.terminal import Terminal

OK = Ending("ok")


def test_classification():
    assert classify(OK, None, 0, "", 100) == OK
    assert classify(OK, Ending("timeout", "late"), 0, "", 100) == Ending("timeout", "late")
    assert classify(None, None, -9, "", 100).error.startswith("the worker died of SIGKILL")
    assert classify(None, None, 1, "No module named x", 100).status == "failed"
    assert "No module named x" in classify(None, None, 1, "No module named x", 100).error
    assert classify(Ending("killed", "the kernel died"), None, 0, "", 100).status == "killed"


def test_a_kill_with_memory_full_is_called_out_of_memory():
    everything = psutil.virtual_memory().total / 1e6
    assert "the likely cause" in cause_of_kill(everything)
    assert "the likely cause" not in cause_of_kill(1)


def test_what_a_skipped_notebook_says():
    assert skipped("02", "failed").error == "needs 02, which failed"
    assert skipped("02", "timeout").error == "needs 02, which ran out of time"


def test_junit_survives_characters_that_xml_does_not_know(tmp_path: Path):
    junit.write(tmp_path / "junit.xml", "smoke", [Row("01_a", "A", "failed", error="a \x1b[31m <b> \x00 &\nmore")])
    suite = ET.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert suite.get("failures") == "1"
    assert suite.find("testcase/failure").get("message") == "failed: a [31m <b>  &"


def test_the_hub_is_reached_only_by_those_who_mean_it(tmp_path: Path):
    inherited = {"HF_ENDPOINT": "", "PATH": "x"}
    assert environment(inherited, tmp_path, "embedded", 1)["HF_HUB_OFFLINE"] == "1"
    env = environment(inherited, tmp_path, "hub", 3)
    assert "HF_HUB_OFFLINE" not in env and "HF_ENDPOINT" not in env
    assert env["OMP_NUM_THREADS"] == "3" and env["PATH"] == "x"
    assert environment({"HF_ENDPOINT": "http://mirror"}, tmp_path, "hub", 1)["HF_ENDPOINT"] == "http://mirror"


def test_on_a_terminal_the_cell_that_runs_is_seen():
    out = io.StringIO()
    terminal = Terminal(rerun=str, console=Console(file=out, force_terminal=True, width=80, color_system=None))
    task = SimpleNamespace(id="02_b", notebook=SimpleNamespace(cells=[None] * 31))
    worker = SimpleNamespace(task=task, cell=7, seconds=12.3, peak_rss_mb=1900, stopped=None)
    with terminal.live(SimpleNamespace(running=[worker], waiting=[task])):
        terminal.ended(Row("01_a", "A [b]", "ok", seconds=132, peak_rss_mb=1900))
    said = out.getvalue()
    assert "✓ 01_a  ok  132 s  1.9 GB" in said
    assert "02_b  cell 7/31  12 s  1.9 GB" in said and "1 waiting" in said


def test_while_its_page_is_written_a_notebook_keeps_no_core():
    """Seconds each, which another notebook can use."""
    worker = object.__new__(Running)
    worker.task, worker._reply = SimpleNamespace(notebook=SimpleNamespace(cores=2)), None
    assert worker.cores == 2
    worker._reply = Ending("ok")
    assert worker.cores == 0
