"""Whole or not there: what a reader sees of a file while it is rewritten, and after the writer was killed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from labkit.files import write_json_atomic, write_text_atomic


def test_folders_are_made_and_text_is_utf8(tmp_path):
    write_text_atomic(tmp_path / "a" / "b.txt", "≤ 3 min\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "≤ 3 min\n".encode()


def test_a_nan_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "metrics.json"
    write_json_atomic(path, {"loss": 1.0})
    with pytest.raises(ValueError):
        write_json_atomic(path, {"loss": float("nan")})
    assert json.loads(path.read_text()) == {"loss": 1.0}
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_others_may_read_what_the_umask_lets_them(tmp_path):
    old = os.umask(0o022)
    try:
        write_text_atomic(tmp_path / "x", "")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o644


@pytest.mark.parametrize("action", ["SIG_DFL", "SIG_IGN"])
def test_a_writer_that_dies_or_fails_in_the_middle_leaves_the_old_file(tmp_path, action):
    """Half a JSON loses the whole notebook. The fault: a limit on file size that kills or fails the write."""
    path = tmp_path / "metrics.json"
    write_json_atomic(path, {"loss": 1.0})
    code = (
        "import resource, signal, sys; from labkit.files import write_json_atomic\n"
        f"signal.signal(signal.SIGXFSZ, signal.{action})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "write_json_atomic(sys.argv[1], {'padding': 'x' * 1_000_000})"
    )
    writer = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    killed = action == "SIG_DFL"
    assert writer.returncode == (-signal.SIGXFSZ if killed else 1), writer.stderr
    assert json.loads(path.read_text()) == {"loss": 1.0}
    assert killed or os.listdir(tmp_path) == ["metrics.json"]


def test_a_reader_keeps_the_version_it_opened(tmp_path):
    write_text_atomic(tmp_path / "x", "old and longer")
    with open(tmp_path / "x") as reader:
        write_text_atomic(tmp_path / "x", "new")
        assert reader.read() == "old and longer"
    assert (tmp_path / "x").read_text() == "new"
