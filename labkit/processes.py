"""No orphans: tie a child to its parent's life, and stop a whole tree of processes.

Killing a process leaves its children running, and killing its process group does not reach them either: a
Jupyter kernel and every worker of torchrun sit in a session of their own. Three means reach them, and each
covers what another misses:

- `die_with_parent`: Linux signals this process when its parent dies, even by SIGKILL;
- `stop_tree`: walks from parent to children with psutil, asks politely, then insists;
- `adopt_orphans`: a grandchild whose parent died becomes *our* child (Linux) instead of init's, so a later
  walk still finds it.

Elsewhere than on Linux the first and the last do nothing, and the walk remains.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Collection

import psutil

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # from linux/prctl.h
# Loaded once, here: between fork and exec (where `preexec_fn` runs) loading a library may dead-lock.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(sig: int = signal.SIGTERM, parent: int | None = None) -> None:
    """Have `sig` sent to this process when its parent dies, however it dies.

    Call it in the child: in its first lines, or as `preexec_fn` of `subprocess.Popen`, and give the parent's
    pid where it is known, because a parent that died before this call sends nothing::

        Popen(command, preexec_fn=functools.partial(die_with_parent, parent=os.getpid()))

    Linux counts the *thread* that started the child as the parent: start it from one that lives as long.
    """
    if _libc is None:
        return
    parent = os.getppid() if parent is None else parent
    _libc.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    if os.getppid() != parent:  # it died first, and the signal with it
        os.kill(os.getpid(), sig)


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own, so that `stop_descendants` finds it."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int | None = None) -> list[psutil.Process]:
    """Every living process below `pid` (default: this one), nearest first; empty if it is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def stop(processes: Collection[psutil.Process], grace: float = 5.0) -> None:
    """SIGTERM to all, `grace` seconds to go, SIGKILL to the rest. A process that is gone already is fine.

    Nothing is reaped here: the exit status of a child belongs to whoever waits for it (`Popen.wait`). What a
    process starts after it was listed is not reached; a caller who can't rule that out walks again.
    """
    for process in processes:
        _send(process, psutil.Process.terminate)
    for process in _still_alive(processes, grace):
        _send(process, psutil.Process.kill)
    _still_alive(processes, grace)


def stop_tree(pid: int, grace: float = 5.0) -> None:
    """Stop `pid` and everything below it (listed first: a dead parent no longer knows its children)."""
    below = descendants(pid)
    try:
        stop([psutil.Process(pid), *below], grace)
    except psutil.NoSuchProcess:
        stop(below, grace)


def stop_descendants(grace: float = 5.0, spare: Collection[int] = ()) -> None:
    """Stop everything below this process, except the trees of the children in `spare` (pids).

    Walks a second time, since a process told to stop may have started, or left behind, another.
    """
    for _ in range(2):
        children = [child for child in psutil.Process().children() if child.pid not in spare]
        stop([*children, *(below for child in children for below in descendants(child.pid))], grace)


def _send(process: psutil.Process, method: Callable[[psutil.Process], None]) -> None:
    with contextlib.suppress(psutil.Error):  # gone already, or not ours to stop
        method(process)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _still_alive(processes: Collection[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that live on after `seconds`; returns at once when none does."""
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if _is_alive(process)]:
        if time.monotonic() >= deadline:
            break
        time.sleep(0.02)
    return alive
