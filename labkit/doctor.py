"""Is this machine ready? `python -m labkit.doctor` looks at what the course needs and says how to mend it.

Each probe is a small function that looks at one thing and cannot hang; `examine` turns what they find into
checks. A check is good, bad (and then has a remedy), or neither: a fact to know, or something that only a
larger profile needs. The exit code is 0 if the laptop profile can run here, else 1. In a notebook,
`examine()` shows itself as a table.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import shutil
import socket
import sys
import threading
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from labkit import profile
from labkit.profile import PROFILES, ROOT, Profile
from labkit.report import provenance

# The packages whose version can change a number or break a notebook.
KEY_PACKAGES = (
    "torch", "transformers", "datasets", "tokenizers", "tiktoken", "numpy", "matplotlib",
    "papermill", "nbclient", "nbconvert", "ipykernel", "jupyterlab",
)  # fmt: skip
INSTALL = "install again with `make setup`, or `python -m pip install -e . -c constraints.txt`"


@dataclass(frozen=True)
class Check:
    """One line of the examination: what was looked at and found, whether that is good, and the remedy."""

    name: str
    value: str
    ok: bool | None = None  # None: nothing to judge
    remedy: str = ""

    @property
    def mark(self) -> str:
        """The judgement as one character and, for readers of words, a word."""
        return {True: "✓ ok", False: "✗ mend", None: "·"}[self.ok]


class Checks(list[Check]):
    """A list of checks that shows itself as a table in a notebook."""

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td style='text-align:left'>{escape(text)}</td>" for text in (c.name, c.value, c.mark, c.remedy)
            )
            + "</tr>"
            for c in self
        )
        names = "".join(f"<th style='text-align:left'>{name}</th>" for name in ("looked at", "found", "", "what to do"))
        return f"<table><thead><tr>{names}</tr></thead><tbody>{rows}</tbody></table>"


# -- Probes ----------------------------------------------------------------------------------------


def disk_free_gb() -> float:
    """Free space in GB where caches are kept."""
    folder = profile.cache_dir()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / 1e9


def kernel_python() -> str | None:
    """The interpreter that Jupyter starts for the kernel "python3"; None if there is no such kernel."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except (NoSuchKernel, IndexError):
        return None
    # Jupyter starts a bare "python" with the interpreter it runs under itself.
    return sys.executable if command in ("python", "python3") else shutil.which(command) or command


def hub_address() -> str:
    """Where the Hugging Face Hub is for this process: `HF_ENDPOINT`, or the library's default."""
    from huggingface_hub import constants

    return constants.ENDPOINT


def offline_by_choice() -> bool:
    """Whether `HF_HUB_OFFLINE` (or its older name) forbids the network."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def online(address: str, seconds: float = 2.0) -> bool:
    """Whether a connection to the host of `address` opens within `seconds`.

    In a thread, because looking up a name has no time limit of its own.
    """
    try:
        url = urlsplit(address)
        port = url.port or (80 if url.scheme == "http" else 443)
    except ValueError:
        return False
    if not url.hostname:
        return False
    opened = threading.Event()

    def connect() -> None:
        try:
            with socket.create_connection((url.hostname, port), timeout=seconds):
                opened.set()
        except OSError:
            pass

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return opened.is_set()


def cpu_features() -> list[str]:
    """What this CPU computes in hardware, of the things that matter to the course's speed."""
    import torch

    features = [torch.backends.cpu.get_cpu_capability()]
    return [*features, "bf16" if profile.cpu_has_bf16() else "no bf16 (slower than fp32 here)"]


def pins(path: Path = ROOT / "constraints.txt") -> dict[str, str]:
    """The versions in constraints.txt by package; empty without the file."""
    if not path.is_file():
        return {}
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return dict(line.split("==", 1) for line in lines if "==" in line)


# -- Checks ----------------------------------------------------------------------------------------


def examine() -> Checks:
    """Look at the machine; the last checks are one a profile. Takes some seconds, most to import torch."""
    memory, disk, cores, gpus = (
        provenance.memory_gb(), disk_free_gb(), profile.cpu_cores(), provenance.gpus()
    )  # fmt: skip
    address = hub_address()
    reachable = not offline_by_choice() and online(address)
    basics = [_python(), _torch(), _packages(), _kernel()]
    machine = [
        Check("processor", f"{provenance.cpu_model()}, {cores} cores; {', '.join(cpu_features())}"),
        Check("memory", f"{memory:.1f} GB"),
        Check("GPUs", "; ".join(gpus) or "none (needed by profile full only)"),
        Check("free disk", f"{disk:.0f} GB at {profile.cache_dir()}"),
        _network(address, reachable),
        _data(),
    ]
    broken = [check.name for check in basics if check.ok is False]
    profiles = [_profile(p, broken, memory, disk, cores, len(gpus), reachable) for p in PROFILES.values()]
    return Checks(basics + machine + profiles)


def _python() -> Check:
    found = f"{platform.python_version()} at {sys.executable}"
    good = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Check("Python", found, good, "" if good else "make the environment with Python 3.11, 3.12 or 3.13")


def _torch() -> Check:
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    idle = torch.version.cuda and not torch.cuda.is_available()
    remedy = "built for CUDA but finds no GPU: look at `nvidia-smi`, or ignore this on a laptop" if idle else ""
    return Check("torch", f"{torch.__version__}, {build}", None if idle else True, remedy)


def _packages() -> Check:
    pinned = pins()
    found = {name: provenance.version(name) for name in KEY_PACKAGES}
    absent = [name for name, version in found.items() if version is None]
    if absent:
        return Check("packages", f"missing: {', '.join(absent)}", False, INSTALL)
    if not pinned:
        return Check("packages", "all there; constraints.txt is not, so versions were not compared")
    # A build's own suffix, such as "+cpu", is no difference.
    other = [
        f"{name} {version} (tested with {pinned[name]})"
        for name, version in found.items()
        if version and name in pinned and version.split("+")[0] != pinned[name]
    ]
    if other:
        return Check("packages", ", ".join(other), None, f"probably harmless; if numbers differ, {INSTALL}")
    return Check("packages", f"{len(found)} key packages, as in constraints.txt", True)


def _kernel() -> Check:
    found = kernel_python()
    remedy = "run `python -m ipykernel install --sys-prefix --name python3` in this environment"
    if found is None:
        return Check("Jupyter kernel", "there is no kernel python3", False, remedy)
    # Links are not followed: two environments may share one interpreter and still differ in their packages.
    here = os.path.dirname(os.path.abspath(sys.executable))
    if os.path.dirname(os.path.abspath(found)) != here:
        return Check("Jupyter kernel", f"python3 starts another Python, {found}", False, remedy)
    return Check("Jupyter kernel", "python3 starts this Python", True)


def _network(address: str, reachable: bool) -> Check:
    if offline_by_choice():
        return Check("network", "offline by choice (HF_HUB_OFFLINE)")
    if "@" in address:
        remedy = "give it a plain address such as https://host, and set HF_TOKEN to a token"
        return Check("network", "HF_ENDPOINT holds a name or a password", False, remedy)
    host = urlsplit(address).hostname
    if host is None:
        remedy = "unset HF_ENDPOINT, or give it a whole address such as https://host"
        return Check("network", f"HF_ENDPOINT={address!r} is no address", False, remedy)
    found = f"{host} answers" if reachable else f"offline: {host} didn't answer in 2 s"
    return Check("network", found if reachable else f"{found} (needed by SOURCE=hub only)")


def _data() -> Check:
    value = os.environ.get("LABKIT_DATA")
    if not value:
        return Check("LABKIT_DATA", "not set (needed by SOURCE=local only)")
    try:
        return Check("LABKIT_DATA", str(profile.data_dir()), True)
    except profile.LabError:
        remedy = "set it to the folder that holds the datasets, or unset it"
        return Check("LABKIT_DATA", f"{value} is not a folder", False, remedy)


def _profile(
    p: Profile, broken: list[str], memory: float, disk: float, cores: int, gpus: int, reachable: bool
) -> Check:
    """Whether profile `p` can run here; only for the laptop and smaller ones is "no" a fault."""
    lacks = [f"{name}: mend it first (above)" for name in broken]
    # A machine sold as "8 GB" shows a little less.
    if memory < 0.9 * p.memory_gb:
        lacks.append(f"memory: needs {p.memory_gb:g} GB, has {memory:.1f}: close programs or take a smaller profile")
    if disk < p.disk_gb:
        lacks.append(f"disk: needs {p.disk_gb:g} GB free, has {disk:.1f}: free some, or set LABKIT_CACHE elsewhere")
    if cores < 2 and p.nproc > 1:
        lacks.append("cores: two processes share one core, so it takes twice as long")
    if "GPU" in p.hardware and not gpus:
        lacks.append("GPU: needs one or more")
    if p.source == "hub" and not reachable:
        lacks.append("network: the Hub isn't reachable")
    if not lacks:
        return Check(f"profile {p.name}", f"can run here (needs {p.needs})", True)
    slow = all(lack.startswith("cores") for lack in lacks)
    verdict = "runs slowly here" if slow else "not here"
    fault = not slow and p.name in ("smoke", "laptop")
    return Check(f"profile {p.name}", f"{verdict} (needs {p.needs})", False if fault else None, "; ".join(lacks))


# -- The command -----------------------------------------------------------------------------------


def show(checks: list[Check]) -> None:
    """Print the checks as a table, with the remedies below what they mend."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("looked at", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found", overflow="fold")
    for check in checks:
        found = Text(check.value)
        if check.remedy:
            found.append(f"\n→ {check.remedy}", style="yellow")
        style = {True: "green", False: "bold red", None: "dim"}[check.ok]
        table.add_row(check.name, Text(check.mark, style=style), found)
    Console().print(table)


def ready(checks: list[Check]) -> bool:
    """Whether the laptop profile can run."""
    return any(check.name == "profile laptop" and check.ok is not False for check in checks)


def main(arguments: list[str] | None = None) -> int:
    """Examine and report; 0 if the laptop profile can run, else 1."""
    parser = argparse.ArgumentParser(prog="python -m labkit.doctor", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the checks as JSON, for programs")
    wants = parser.parse_args(arguments)
    checks = examine()
    if wants.json:
        print(json.dumps([dataclasses.asdict(check) for check in checks], indent=2, ensure_ascii=False))
    else:
        show(checks)
    return 0 if ready(checks) else 1


if __name__ == "__main__":
    sys.exit(main())
