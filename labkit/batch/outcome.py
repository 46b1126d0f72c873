"""What became of a notebook: one row of `run.json`, and the rules that say which of seven ways it ended.

A notebook is `ok` only if its worker says that every cell ran. The executed notebook alone is no witness:
papermill marks it "completed" from top to bottom even after its kernel was killed.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Literal

from labkit.report import provenance

Status = Literal["ok", "cached", "failed", "timeout", "killed", "incomplete", "skipped"]
GOOD = ("ok", "cached")
_WHICH = {
    "timeout": "ran out of time",
    "killed": "was killed",
    "incomplete": "stopped early",
    "skipped": "was skipped",
}


@dataclass
class Row:
    """One notebook in `run.json`."""

    id: str
    title: str
    status: Status
    seconds: float = 0.0
    peak_rss_mb: float = 0.0  # of the worker with all its processes together
    cell: int | None = None  # in the source notebook, counted from 1, markdown included
    heading: str = ""  # the nearest one above that cell
    error: str | None = None  # first line: what happened; then the traceback's last lines
    finished: str | None = None  # local time, ISO 8601

    @property
    def good(self) -> bool:
        """Whether the notebook truly ran to its end, now or earlier."""
        return self.status in GOOD


@dataclass(frozen=True)
class Ending:
    """How a worker ended."""

    status: Status
    error: str | None = None


def classify(reply: Ending | None, stopped: Ending | None, returncode: int, said: str, peak_rss_mb: float) -> Ending:
    """How a notebook ended.

    Args:
        reply: what the worker reported, if it lived to report.
        stopped: why the runner stopped the worker, if it did. This wins over a report, because a cell may
            have swallowed the interrupt and gone on with half its work.
        returncode: of the worker; negative is a signal.
        said: the end of what the worker wrote to stderr.
        peak_rss_mb: of the worker and its processes, for a guess at why a process was killed.
    """
    if stopped:
        return stopped
    if reply and reply.status == "killed":
        return Ending("killed", f"{reply.error} ({cause_of_kill(peak_rss_mb)})")
    if reply:
        return reply
    if returncode < 0:
        name = signal.Signals(-returncode).name
        return Ending("killed", f"the worker died of {name} ({cause_of_kill(peak_rss_mb)})")
    return Ending("failed", f"the worker ended with exit code {returncode} and no report\n{said}".strip())


def skipped(number: str, need: Status) -> Ending:
    """The ending of a notebook that could not start, because notebook `number` ended badly."""
    return Ending("skipped", f"needs {number}, which {_WHICH.get(need, need)}")


def cause_of_kill(peak_rss_mb: float) -> str:
    """A guess at why a process died of a signal, from the memory it had."""
    limit = 1000 * provenance.memory_gb()
    share = f"{peak_rss_mb:,.0f} MB of {limit:,.0f} MB were in use"
    if peak_rss_mb > 0.6 * limit:
        return f"out of memory is the likely cause: {share}"
    return f"{share} at the last look, out of memory is possible"
