"""Students' code can't harm the machine, read what isn't its own, or outlive its time: tried with code that would."""

import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from labkit.exercises.grading.sandbox import MEMORY, SANDBOXES, find_sandbox, run_worker
from labkit.exercises.grading.transport import decode
from labkit.profile import ROOT


@pytest.fixture(scope="module", params=SANDBOXES, ids=lambda sandbox: sandbox.name)
def sandbox(request):
    """Each kind of sandbox that works on this machine."""
    if not shutil.which(request.param.program):
        pytest.skip(f"{request.param.program} is not installed")
    if not run_worker(request.param, {"cells": [], "exercises": []}, 60).replies:
        pytest.skip(f"this system allows no namespaces for {request.param.program}")
    return request.param


def job(**bodies):
    """A function `f` without arguments for each exercise, tried once."""
    return {
        "cells": [],
        "exercises": [
            {"id": id, "source": source, "wants": "f", "names": [], "seconds": 1.5, "cases": [{"tuple": []}]}
            for id, source in bodies.items()
        ],
    }


def tried(body):
    """A function that returns what a line comes to, or the error that it meets."""
    lines = "\n".join(f"        {line}" for line in body.split("\n"))
    return f"def f():\n    try:\n{lines}\n    except BaseException as error:\n        return type(error).__name__"


@pytest.fixture
def canaries(tmp_path):
    """Files to delete: at home, in the repository, and another student's notebook."""
    made = []
    for folder in (Path.home(), ROOT, tmp_path):
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".canary-", delete=False) as file:
            file.write(b"alive")
        made.append(Path(file.name))
    yield made
    for path in made:
        path.unlink(missing_ok=True)


def test_code_that_attacks_gets_nowhere(sandbox, canaries, monkeypatch):
    """One worker, one attack after the other: each says what it managed."""
    monkeypatch.setenv("SECRET_TOKEN", "a key of the grader")
    server = socket.create_server(("127.0.0.1", 0))
    address = server.getsockname()
    canary_names = [str(path) for path in canaries]
    secret = ROOT / "labkit/exercises/ex02_pretrain.py"
    attacks = {
        "read": tried(f"return [open(p).read() for p in {canary_names}]"),
        "delete": tried(f"import os\nreturn [os.remove(p) for p in {canary_names}]"),
        "plant": tried("import sys\nopen(sys.prefix + '/planted', 'w')\nreturn 'done'"),
        "patch": tried(f"open({str(ROOT / 'labkit/profile.py')!r}, 'a')\nreturn 'done'"),
        "answers": tried("import labkit.exercises.ex02_pretrain\nreturn 'done'"),
        "source": tried(f"return open({str(secret)!r}).read()[:9] or 'empty'"),
        "caches": tried(f"import os\nreturn os.listdir({str(secret.parent / '__pycache__')!r})"),
        "masters": tried(f"import os\nreturn os.listdir({str(ROOT)!r})"),
        "sysctl": tried("open('/proc/sys/kernel/core_pattern', 'w')\nreturn 'done'"),
        "phone": tried(f"import socket\nsocket.create_connection({address!r}, 1)\nreturn 'done'"),
        "far": tried("import socket\nsocket.create_connection(('192.0.2.1', 80), 1)\nreturn 'done'"),
        "fork": tried("import os\nos.fork()\nreturn 'done'"),
        "spawn": tried("import subprocess\nsubprocess.run(['true'])\nreturn 'done'"),
        "kill": tried(f"import os\nos.kill({os.getpid()}, 9)\nreturn 'done'"),
        "processes": tried("import os\nreturn len([p for p in os.listdir('/proc') if p.isdigit()]) < 5"),
        "keys": tried("import os\nreturn 'SECRET_TOKEN' in os.environ"),
        "namespace": tried("import ctypes\nreturn ctypes.CDLL(None).unshare(0x10000000)"),
        "mount": tried("import ctypes\nreturn ctypes.CDLL(None).umount2(b'/tmp', 2)"),
        "memory": tried(f"return len(bytearray({2 * MEMORY}))"),
        "shared": tried(f"import mmap\nreturn len(mmap.mmap(-1, {2 * MEMORY}))"),
        "big": tried("open('/tmp/big', 'wb').write(bytes(1 << 28))\nreturn 'done'"),
        "many": tried(
            "for i in range(1000):\n    with open(f'/tmp/{i}', 'wb') as file: file.write(bytes(1 << 20))\nreturn 'done'"
        ),
        "elsewhere": tried("open('/dev/full-of-it', 'w')\nreturn 'done'"),
        "limits": tried("import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))\nreturn 'done'"),
        "threads": tried(
            "import threading, time\n"
            "for _ in range(100_000): threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
            "return 'done'"
        ),
    }
    run = run_worker(sandbox, job(**attacks), 60)
    server.close()
    came = {r["id"]: decode(r["attempts"][0]["value"]) for r in run.replies if "id" in r}
    assert came.keys() == attacks.keys()
    told = {attack: came.pop(attack) for attack in ("masters", "processes", "keys", "namespace", "mount", "caches")}
    assert told.pop("caches") in ([], "FileNotFoundError")
    assert set(told.pop("masters")) <= {"labkit", ".venv"}  # a Python below the repository has to be seen
    assert told == {"processes": True, "keys": False, "namespace": -1, "mount": -1}
    assert not {attack: result for attack, result in came.items() if not result.endswith("Error")}
    assert [path.read_text() for path in canaries] == ["alive"] * 3 and (ROOT / "labkit/profile.py").stat().st_size


def test_no_program_and_no_seccomp_mean_no_sandbox(monkeypatch):
    """Rather none than half of one."""
    monkeypatch.setattr(shutil, "which", lambda program: None)
    assert find_sandbox() is None
    monkeypatch.undo()
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert find_sandbox() is None


ENDLESS = """
def f():
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
"""


def test_a_loop_that_catches_everything_is_given_up(sandbox):
    """Its thread can't be ended; the worker says so and makes way for another one."""
    run = run_worker(sandbox, job(endless=ENDLESS, next="def f(): return 1"), 60)
    assert run.replies[1]["attempts"][0]["kind"] == "stuck" and len(run.replies) == 2 and not run.ended


def test_code_that_blocks_python_itself_is_killed_with_its_sandbox(sandbox):
    """A long call into C can't be interrupted from within."""
    before = set(psutil.pids())
    begun = time.monotonic()
    run = run_worker(sandbox, job(block="def f(): return (10 ** 10 ** 9) % 7"), 2)
    assert run.ended == "stopped after 2 s" and time.monotonic() - begun < 60

    def left() -> list[int]:
        return [p for p in set(psutil.pids()) - before if "grading.worker" in _command(p)]

    while left():  # the system ends a sandbox's processes after its first one, if at once
        assert time.monotonic() - begun < 60
        time.sleep(0.05)


def _command(pid):
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return ""
