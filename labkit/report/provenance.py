"""Where a number came from: the code, the versions, the machine, and what it cost.

Nothing here raises: a machine without git or without a GPU is described as it is.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import psutil

from labkit.profile import ROOT, cpu_cores, pick_device, pick_dtype

PACKAGES = ("torch", "transformers", "datasets", "tokenizers", "numpy", "scipy", "rapidfuzz")  # that results depend on


def git_commit(root: Path = ROOT) -> str | None:
    """The commit checked out at `root`, with "+dirty" if files differ from it; None outside a checkout."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=20
        )
        return done.stdout.strip()

    try:
        # A checkout that merely contains this folder (a home under git, say) tells nothing about it.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return None
        return git("rev-parse", "HEAD") + ("+dirty" if git("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def versions() -> dict[str, str | None]:
    """Python's version and those of the packages that numbers depend on; None for one that is absent."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def version(package: str) -> str | None:
    """The installed version of `package`, without importing it; None if it is absent."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cpu_model() -> str:
    """The processor's name as its maker gives it, or its architecture where the system doesn't tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def gpus() -> list[str]:
    """The GPUs torch can use, each as "name, 80 GB"."""
    import torch

    return [
        f"{torch.cuda.get_device_name(i)}, {torch.cuda.get_device_properties(i).total_memory / 1e9:.0f} GB"
        for i in range(torch.cuda.device_count())
    ]


def memory_gb() -> float:
    """Memory this process may use, in GB: the machine's, or its container's if that is less."""
    import psutil

    total = psutil.virtual_memory().total
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        limit = "max"
    return min(total, int(limit) if limit.isdigit() else total) / 1e9


def hardware() -> dict[str, object]:
    """The machine, for `metrics.json`; `dtype` is that of its matrix products, which decides digits and speed."""
    return {"cpu": cpu_model(), "cores": cpu_cores(), "gpus": gpus(), "memory_gb": round(memory_gb(), 1),
            "dtype": str(pick_dtype(pick_device())).removeprefix("torch.")}  # fmt: skip


def peak_rss_mb() -> float:
    """Peak resident memory in MB of the largest single process: this one, or any child that has ended.

    Not the sum of the two: a child starts life in its parent's memory and is charged with it, so after any
    `subprocess.run` the sum counts the notebook twice.
    """
    try:
        import resource
    except ImportError:  # on Windows, which knows this process's peak alone
        return round(psutil.Process().memory_info().peak_wset / 1e6, 1)
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB elsewhere
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(max(peaks) * unit / 1e6, 1)
