"""Start a module on several processes with torchrun, from a notebook cell or a script, and watch over it.

    launch("labkit.training.pretrain", nproc=2, profile="laptop", out="run")

is `torchrun --standalone --nproc-per-node=2 -m labkit.training.pretrain --profile laptop --out run` as a child process
whose lines appear as they come. torchrun is the engine: rendezvous, ranks and several nodes are its business. What is
added here is what a notebook needs: a worker that dies makes the *cell* fail and show that worker's last lines, and no
process is left behind, whether the cell is interrupted, the kernel is killed or torchrun itself is.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict, deque
from collections.abc import Callable

from labkit.processes import stop_tree
from labkit.profile import cpu_cores

# glibc hands big blocks back to the system when they are freed and asks for them again in the next step; the logits
# are such blocks, and a third of a CPU step went into their page faults. These settings keep the memory instead.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}
# Between two pieces of work OpenMP's threads spin, a millisecond and more, in case the next one comes at once. On cores
# that are busy otherwise that keeps the very thread from running that is waited for: a step can take ten times as long.
SHORT_SPINS = {"GOMP_SPINCOUNT": "10000"}
LAST_LINES = 30
# torchrun's parent is named explicitly, so that a parent that dies before the first line runs is noticed too.
TORCHRUN = (
    "import sys; from labkit.processes import die_with_parent; die_with_parent(parent=int(sys.argv.pop(1))); "
    "from torch.distributed.run import main; main()"
)
_PREFIX = re.compile(r"^\[default(\d+)\]:")
_FAILED_RANK = re.compile(r"^\s*rank\s*:\s*(\d+)")
_EXIT_CODE = re.compile(r"^\s*exitcode\s*:\s*(-?\d+)")


class LaunchError(RuntimeError):
    """A worker failed: `rank`, `exitcode` (negative for a signal) and its last `lines`."""

    def __init__(self, module: str, rank: int | None, exitcode: int, lines: list[str]) -> None:
        self.rank, self.exitcode, self.lines = rank, exitcode, lines
        who = f"rank {rank} of {module}" if rank is not None else f"torchrun for {module}"
        how = f"was killed by signal {-exitcode}" if exitcode < 0 else f"ended with exit code {exitcode}"
        if exitcode == -9:
            how += " (SIGKILL: often the system is out of memory)"
        super().__init__("\n".join([f"{who} {how}. Its last lines:", *(f"  {line}" for line in lines)]))


def command(
    module: str, nproc: int, nnodes: int = 1, rdzv_endpoint: str = "", max_restarts: int = 0, **arguments: object
) -> list[str]:
    """The torchrun command line, without the interpreter: what to type in a shell after `torchrun`.

    Several nodes (`nnodes` > 1) meet at `rdzv_endpoint` (host:port of one of them); the same command runs on each.
    With `max_restarts`, set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in that shell (see `launch`).
    `arguments` become options of the module: `max_steps=5` → `--max-steps 5`, True → a flag, None and False → none.
    """
    if nnodes > 1 and not rdzv_endpoint:
        raise ValueError("several nodes need rdzv_endpoint='host:port', a port of one of them that all can reach")
    meet = ["--rdzv-backend=c10d", f"--rdzv-endpoint={rdzv_endpoint}"] if rdzv_endpoint else ["--standalone"]
    options: list[str] = []
    for name, value in arguments.items():
        if value is not None and value is not False:
            options += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
    again = [f"--max-restarts={max_restarts}"] if max_restarts else []
    return [*meet, f"--nnodes={nnodes}", f"--nproc-per-node={nproc}", *again, "-m", module, *options]


def threads_per_process(nproc: int) -> int:
    """Threads that each of `nproc` processes computes with: together as many as there are cores."""
    return max(1, cpu_cores() // nproc)


def launch(
    module: str,
    nproc: int = 2,
    *,
    nnodes: int = 1,
    rdzv_endpoint: str = "",
    max_restarts: int = 0,
    echo: Callable[[str], None] = print,
    **arguments: object,
) -> None:
    """Run `python -m module` in `nproc` processes and return when all have ended well.

    Lines of rank 0 go to `echo` as they come; another rank's are kept in case it fails.
    When a process dies all of them are stopped and started anew, up to `max_restarts` times: the module has to pick
    up its work by itself (pretraining: `resume="auto"`; else it begins again).
    With `nnodes` > 1 every node calls this with the same arguments; `nproc` are the processes of one node.
    Raises `LaunchError` with the last lines of the rank that failed first.
    """
    env = {**ALLOCATOR, **SHORT_SPINS, **os.environ, "PYTHONUNBUFFERED": "1"}
    env["OMP_NUM_THREADS"] = str(threads_per_process(nproc))
    if max_restarts:
        # Workers meet through a store. By default it is torchrun's and outlives them: gloo then reads the addresses of
        # processes that are dead, and most restarts fail. This gives each life a store of its own.
        env["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    for variable in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        env.pop(variable, None)  # of a torchrun around this process, if any
    logs = tempfile.TemporaryDirectory()  # where --tee keeps each rank's lines while they are read from there
    torchrun = [sys.executable, "-c", TORCHRUN, str(os.getpid()), "--tee=3", f"--log-dir={logs.name}"]
    process = subprocess.Popen(
        [*torchrun, *command(module, nproc, nnodes, rdzv_endpoint, max_restarts, **arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        text=True, errors="replace", env=env,
    )  # fmt: skip
    lines: dict[int | None, deque[str]] = defaultdict(lambda: deque(maxlen=LAST_LINES))  # None: torchrun's own
    try:
        for line in process.stdout:
            rank, text = _split(line)
            lines[rank].append(text)
            if rank == 0:
                echo(text)
        if process.wait():
            rank, exitcode = _first_failure(lines[None]) or (None, process.returncode)
            raise LaunchError(module, rank, exitcode, list(lines[rank]))
    finally:
        if process.poll() is None:
            stop_tree(process.pid)
        process.stdout.close()
        logs.cleanup()


def _split(line: str) -> tuple[int | None, str]:
    """The rank a line comes from (`--tee` writes it in front), and the line itself."""
    line = line.rstrip("\r\n")
    match = _PREFIX.match(line)
    return (int(match[1]), line[match.end() :]) if match else (None, line)


def _first_failure(torchrun_lines: deque[str]) -> tuple[int, int] | None:
    """(rank, exit code) of the failure that torchrun's own report names first, if it has one.

    The report lists "Failures" and then the "Root Cause", the earliest to the second. Within that second torchrun may
    have ended others itself, by SIGTERM: such a rank is the cause only if there is no other.
    """
    report = list(torchrun_lines)
    ranks = [int(m[1]) for m in map(_FAILED_RANK.match, report) if m]
    codes = [int(m[1]) for m in map(_EXIT_CODE.match, report) if m]
    failures = [*zip(ranks, codes, strict=False)][::-1]  # the root cause comes last
    return min(failures, key=lambda failure: failure[1] == -signal.SIGTERM, default=None)
