"""Whole or not there: what a reader sees of a file while it is rewritten, and after the writer was killed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time

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


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    """Without the rename a kill in the middle of a write leaves half a JSON, and the report loses it all."""
    path = tmp_path / "metrics.json"
    code = (
        "import itertools, sys; from labkit.files import write_json_atomic\n"
        "for i in itertools.count(): write_json_atomic(sys.argv[1], {'i': i, 'padding': 'x' * 3_000_000})"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)])
    try:
        while not path.exists():
            assert writer.poll() is None
            time.sleep(0.01)
        for _ in range(20):
            assert len(json.loads(path.read_text())["padding"]) == 3_000_000
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert len(json.loads(path.read_text())["padding"]) == 3_000_000
