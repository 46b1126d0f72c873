"""No orphans: each test starts a real tree of processes and looks whether it is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from labkit.processes import descendants, die_with_parent, stop_descendants, stop_tree

linux = pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")

SLEEP = "import time; time.sleep(60)"

PARENT_OF_A_STUBBORN_CHILD = """
import subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""

PARENT_OF_A_TIED_CHILD = """
import functools, os, subprocess, sys, time
from labkit.processes import die_with_parent
tie = functools.partial(die_with_parent, parent=os.getpid())
child = subprocess.Popen(["sleep", "60"], preexec_fn=tie, start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""

ADOPTER = """
import subprocess, sys
from labkit.processes import adopt_orphans, descendants, stop_descendants
adopt_orphans()
middle = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True)"
middle = subprocess.Popen([sys.executable, "-c", middle], stdout=subprocess.PIPE, text=True)
stray = int(middle.stdout.readline())
middle.wait()
assert [p.pid for p in descendants()] == [stray]
stop_descendants()
print(stray)
"""


def start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether `pid` ends (a zombie has ended) within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_stop_tree_reaches_a_stubborn_grandchild_in_another_session():
    """torchrun's workers sit in sessions of their own: killing a process group leaves them running."""
    parent = start(PARENT_OF_A_STUBBORN_CHILD)
    child = int(parent.stdout.readline())
    assert [p.pid for p in descendants(parent.pid)] == [child]
    stop_tree(parent.pid, grace=0.3)
    assert gone(child)
    assert parent.wait(5) == -signal.SIGTERM, "the exit status was taken from whoever waits for it"


def test_stop_tree_of_a_dead_process_is_no_error():
    process = start("")
    process.wait()
    stop_tree(process.pid)
    assert descendants(process.pid) == []


def test_stop_descendants_spares_what_it_is_told_to():
    """The batch runner clears a dead worker's strays while other workers go on."""
    spared, other = start(SLEEP), start(SLEEP)
    before = {p.pid for p in psutil.Process().children()} - {other.pid}
    stop_descendants(grace=2, spare=before)
    assert other.wait(5) == -signal.SIGTERM
    assert spared.poll() is None
    stop_tree(spared.pid)


@linux
def test_die_with_parent_even_when_the_parent_is_killed():
    parent = start(PARENT_OF_A_TIED_CHILD)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    assert gone(child)


@linux
def test_die_with_parent_notices_a_parent_that_is_gone_already():
    """Without the check, a child whose parent died first waits for a signal that will never come."""
    process = start(f"from labkit.processes import die_with_parent; die_with_parent(parent=-2); {SLEEP}")
    assert process.wait(10) == -signal.SIGTERM


@linux
def test_adopt_orphans_keeps_strays_within_reach():
    """A grandchild whose parent died is init's child otherwise, and no walk from here would find it."""
    process = start(ADOPTER)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and gone(int(out))


def test_die_with_parent_elsewhere_does_nothing(monkeypatch):
    """Where there is no prctl, a parent that seems to be gone must not make the process kill itself."""
    signals = []
    monkeypatch.setattr("labkit.processes._libc", None)
    monkeypatch.setattr(os, "kill", lambda *arguments: signals.append(arguments))
    die_with_parent(parent=-2)
    assert signals == []
