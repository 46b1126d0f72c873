"""Where a worker runs: bubblewrap if the system has it, else the namespaces of `unshare`, else nowhere.

    sandbox = find_sandbox()
    run = run_worker(sandbox, job, seconds=30)

In both, the worker has its own user, mounts, processes and (no) network. Of the file system it sees the system's
and Python's folders and `labkit`, read-only and without the modules that hold the answers, and a small private
`/tmp`; a home folder, other submissions and the masters aren't there at all. Its first process is the sandbox's
`init`: when that one is killed, or the grader dies, the kernel ends all others. Whether a sandbox works is found
out by running a worker in it, not by asking for its version. Cost: 2 s for each worker, most of it torch.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import labkit
from labkit.exercises.grading.confine import can_confine_calls

MEMORY = 2 << 30  # bytes that a worker may take beyond what Python and torch need
TMP = 64 << 20  # bytes in the private /tmp
START = 60.0  # seconds that a worker may take to get ready
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/alternatives")
_LABKIT = Path(labkit.__file__).resolve().parent

# What bubblewrap does, by hand: a new root of read-only mounts, a step into it, and all rights given up.
_BY_HAND = f"""
set -e
root=$1; shift
mount -t tmpfs -o size=1m,mode=755 tmpfs "$root"
mkdir "$root/tmp" "$root/proc" "$root/dev"
mount -t tmpfs -o size={TMP},nosuid,nodev tmpfs "$root/tmp"
mount -t proc -o ro,nosuid,nodev,noexec proc "$root/proc"
for device in null zero random urandom; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
while [ "$1" != -- ]; do
    to=$root$2
    if [ -d "$1" ]; then mkdir -p "$to"; elif [ ! -e "$to" ]; then mkdir -p "$(dirname "$to")"; : > "$to"; fi
    mount --bind "$1" "$to"
    mount -o remount,bind,ro,nosuid,nodev "$to"
    shift 2
done
shift
cd "$root"
pivot_root . .
umount -l .
mount -o remount,bind,ro /
cd /
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


@dataclass(frozen=True)
class Sandbox:
    """A way to run a command: `wrap(command, folder)` is the command to run instead; `folder` is empty, and ours."""

    name: str
    program: str
    wrap: Callable[[list[str], Path], list[str]]


@dataclass(frozen=True)
class Run:
    """What a worker left: its replies, how long it took, and why it ended early ("" if it didn't)."""

    replies: list[dict[str, Any]]
    seconds: float
    ended: str


def _bubblewrap(command: list[str], folder: Path) -> list[str]:
    mounts = [word for pair in _visible(folder) for word in ("--ro-bind", *pair)]
    # /proc read-only, too: for a grader that is root, the kernel's settings there would be its own files.
    closed = [word for path in ("/dev", "/proc", "/") for word in ("--remount-ro", path)]
    return [
        "bwrap", "--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL",
        "--die-with-parent", "--new-session", "--size", str(TMP), "--tmpfs", "/tmp", "--dev", "/dev",
        "--proc", "/proc", *mounts, *closed, "--chdir", "/", "--", *command,
    ]  # fmt: skip


def _unshare(command: list[str], folder: Path) -> list[str]:
    (folder / "root").mkdir()
    mounts = [word for pair in _visible(folder) for word in pair]
    return [
        "unshare", "--user", "--map-root-user", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork",
        "--kill-child", "sh", "-c", _BY_HAND, "sh", str(folder / "root"), *mounts, "--", *command,
    ]  # fmt: skip


SANDBOXES = (Sandbox("bubblewrap", "bwrap", _bubblewrap), Sandbox("unshare", "unshare", _unshare))
UNSAFE = Sandbox("none", "", lambda command, folder: command)


def _visible(folder: Path) -> list[tuple[str, str]]:
    """(what is shown, where): the system, Python and labkit, then an empty folder or file where answers would be."""
    python = [sys.base_prefix, sys.prefix, *site.getsitepackages()]
    shown = [path for path in (*_SYSTEM, *dict.fromkeys(python), str(_LABKIT)) if Path(path).exists()]
    hidden = [str(path) for path in (_LABKIT / "exercises").glob("ex[0-9]*.py")]
    caches = [str(path) for path in (_LABKIT / "exercises").glob("__pycache__")]
    empty = folder / "empty"
    empty.mkdir()
    return [(p, p) for p in shown] + [("/dev/null", p) for p in hidden] + [(str(empty), p) for p in caches]


def find_sandbox() -> Sandbox | None:
    """The first sandbox in which a worker gets ready here, or None."""
    if not can_confine_calls():
        return None
    for sandbox in SANDBOXES:
        if shutil.which(sandbox.program) and run_worker(sandbox, {"cells": [], "exercises": []}, 60).replies:
            return sandbox
    return None


def run_worker(sandbox: Sandbox, job: dict[str, Any], seconds: float) -> Run:
    """Run a worker on a job for `seconds` at most once it is ready, and nothing of it for longer."""
    command = [sys.executable, "-B", "-P", "-m", "labkit.exercises.grading.worker"]
    begun, ended = time.monotonic(), ""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as said:
        asked.write(json.dumps(job | {"memory": MEMORY}).encode())
        asked.seek(0)
        worker = subprocess.Popen(
            sandbox.wrap(command, Path(folder)),
            stdin=asked,
            stdout=said,  # a file, not a pipe: a limit on its size binds whoever writes to it
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
        try:
            while worker.poll() is None and not os.fstat(said.fileno()).st_size and time.monotonic() < begun + START:
                time.sleep(0.02)  # a busy machine takes long to import torch, which is nobody's fault
            code = worker.wait(seconds)
            ended = "" if code == 0 else f"the process ended with code {code}"
        except subprocess.TimeoutExpired:
            ended = f"stopped after {seconds:.0f} s"
        finally:  # also when the grader is interrupted
            _kill(worker)
        return Run(_read(said), time.monotonic() - begun, ended)


def _environment() -> dict[str, str]:
    """Nothing of the grader's own, which may hold keys."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": "/tmp",
        "PYTHONPATH": str(_LABKIT.parent),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "MPLBACKEND": "agg",
    }


def _kill(worker: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    worker.wait()


def _read(file: BinaryIO) -> list[dict[str, Any]]:
    """The replies in a file that a stranger could write to: lines that aren't JSON objects are left out."""
    file.seek(0)
    replies = []
    for line in file:
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(reply, dict):
            replies.append(reply)
    return replies
