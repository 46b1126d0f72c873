"""What a person sees: a live line for each notebook that runs, a lasting one for each that ended.

Where the output is no terminal (a log of a CI service) there are only the lasting lines, in plain text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from labkit.batch.outcome import Row

if TYPE_CHECKING:
    from labkit.batch.decide import Task
    from labkit.batch.running import Running

_STYLE = {"ok": "green", "cached": "cyan", "skipped": "yellow"}


class Watched(Protocol):
    """What the live lines are drawn from."""

    running: list[Running]
    waiting: list[Task]


class Terminal:
    """The runner's voice.

    Args:
        rerun: gives, for a notebook's id, the command that runs just that one again.
        console: where to write; standard output by default.
    """

    def __init__(self, rerun: Callable[[str], str], console: Console | None = None) -> None:
        self.rerun = rerun
        self.console = console or Console(highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def live(self, batch: Watched) -> Iterator[None]:
        """Draw the running notebooks of `batch` below everything else, until the block ends."""
        if not self.console.is_terminal:
            yield
            return
        drawn = _Lines(batch)
        with Live(drawn, console=self.console, refresh_per_second=4, transient=True):
            yield

    def ended(self, row: Row, task: Task | None = None) -> None:
        """One notebook's lasting line; below it, if it went wrong, where and what and how to try again."""
        mark = "✓ " if row.good else "– " if row.status == "skipped" else "✗ "
        line = Text(mark if self.console.is_terminal else "", style=_STYLE.get(row.status, "red"))
        line.append("  ".join([row.id, row.status, *_cost(row)]))
        self.console.print(line)
        if row.good:
            return
        if row.cell and task:
            where = f"cell {row.cell} of {len(task.notebook.cells)}"
            self._say(f"{where}, under {row.heading!r}" if row.heading else where)
        self._say(row.error or "")
        if row.status != "skipped":
            self._say(f"run it again: {self.rerun(row.id)}")

    def warn(self, text: str) -> None:
        """Something that went wrong beside the notebooks."""
        self.console.print(Text(f"warning: {text}", style="yellow"))

    def summary(self, rows: Sequence[Row], index: Path) -> None:
        """The table at the end, and the page to open."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("notebook", "status", "time", "memory"):
            table.add_column(column, justify="right" if column in ("time", "memory") else "left")
        for row in rows:
            seconds, memory = _cost(row) or ("", "")
            table.add_row(row.id, Text(row.status, style=_STYLE.get(row.status, "red")), seconds, memory)
        self.console.print()
        self.console.print(table)
        self.console.print(f"\n{index}", markup=False)

    def _say(self, text: str) -> None:
        for line in text.splitlines():
            self.console.print(Text("    " + line))


class _Lines:
    """The live part; made anew at every refresh."""

    def __init__(self, batch: Watched) -> None:
        self.batch = batch

    def __rich__(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for worker in self.batch.running:
            cells = len(worker.task.notebook.cells)
            table.add_row(
                f"… {worker.task.id}",
                "stopping" if worker.stopped else f"cell {worker.cell}/{cells}",
                f"{worker.seconds:.0f} s",
                f"{worker.peak_rss_mb / 1000:.1f} GB",
            )
        if not self.batch.waiting:
            return Group(table)
        return Group(table, Text(f"  {len(self.batch.waiting)} waiting", style="dim"))


def _cost(row: Row) -> tuple[str, ...]:
    return (f"{row.seconds:.0f} s", f"{row.peak_rss_mb / 1000:.1f} GB") if row.seconds else ()
