"""The scheduler: starts what is ready and fits, watches it, and keeps the report up to date.

One loop, one thread, no callbacks: every tick it looks at each running notebook, and after each that ended it
writes `run.json` and the index, so that whatever happens next, what is finished is there to see. Ctrl-C and
SIGTERM only count up a number that the loop reads.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock
import psutil

from labkit.batch import junit, outcome
from labkit.batch.decide import Task
from labkit.batch.outcome import Ending, Row
from labkit.batch.results import Results, Sidecar
from labkit.batch.running import Running
from labkit.batch.terminal import Terminal
from labkit.processes import adopt_orphans, stop_descendants
from labkit.profile import PROFILES, LabError, cpu_cores

TICK_SECONDS = 0.1
INTERRUPTED = Ending("killed", "interrupted")


@dataclass(frozen=True)
class Setting:
    """What all notebooks of a run share."""

    profile: str
    source: str
    base: Path  # of all results; this run's are a folder in it


class Batch:
    """One run over some tasks, each after those it needs."""

    def __init__(
        self, tasks: Sequence[Task], notebooks: Sequence[str], results: Results, setting: Setting, jobs: int
    ) -> None:
        """`notebooks` are the ids of all there are, whose earlier rows `run.json` keeps."""
        self.notebooks, self.results, self.setting = notebooks, results, setting
        self.selected = [task.id for task in tasks]
        self.rows = {task.id: _cached(task) for task in tasks if not task.reasons}
        self.waiting = [task for task in tasks if task.reasons]
        self.running: list[Running] = []
        self.places = max(1, min(jobs, len(self.waiting)))
        self.signals = 0  # how often somebody asked us to stop
        self._heeded = 0
        self._not_ours = {child.pid for child in psutil.Process().children()}

    def run(self, terminal: Terminal) -> bool:
        """Run all; False if it was interrupted. `outcome` has the rows then, and the folder the report.

        Raises `LabError` if another run is at one of them in the same folder; at others, it may be.
        """
        started = time.monotonic()
        adopt_orphans()
        with self._alone(), self._catching_signals(), terminal.live(self):
            for row in self.rows.values():
                terminal.ended(row)
            try:
                while self.waiting or self.running:
                    self._heed_signals()
                    self._start_what_fits(terminal)
                    time.sleep(TICK_SECONDS)
                    for worker in [worker for worker in self.running if not worker.watch()]:
                        self._finish(worker, terminal)
                        self._report(terminal, time.monotonic() - started)
            finally:
                self._clear_strays([])
            self._report(terminal, time.monotonic() - started)
            junit.write(self.results.folder / "junit.xml", self.setting.profile, self.outcome())
        return self.signals == 0

    def outcome(self) -> list[Row]:
        """The rows of the selected notebooks that have one."""
        return [self.rows[id_] for id_ in self.selected if id_ in self.rows]

    def _start_what_fits(self, terminal: Terminal) -> None:
        # What needs all cores goes first: between two that need one each it would find no gap, and leave a core idle.
        # Of several at a time, later ones go before earlier ones, which are shorter and fill the gaps at the end.
        in_turn = self.waiting[::-1] if self.places > 1 else self.waiting
        for task in sorted(in_turn, key=lambda task: -task.notebook.cores):
            needs = [self.rows.get(id_) for id_ in task.notebook.needs if id_ in self.selected]
            bad = [row for row in needs if row and not row.good]
            if bad:
                self.waiting.remove(task)
                why = outcome.skipped(bad[0].id.split("_")[0], bad[0].status)
                self.rows[task.id] = Row(task.id, task.notebook.title, why.status, error=why.error)
                terminal.ended(self.rows[task.id])
            elif all(needs) and self._fits(task):
                self.waiting.remove(task)
                self.results.drop_sidecar(task.id)
                minutes = task.notebook.limit_minutes or PROFILES[self.setting.profile].limit_minutes
                threads = max(task.notebook.cores, cpu_cores() // self.places)  # more, where nobody else is to run
                started = Running(task, self.results, self.setting.base, self.setting.source, threads, 60 * minutes)
                self.running.append(started)

    def _fits(self, task: Task) -> bool:
        """A place is free, and so are the cores; what needs more cores than there are runs alone."""
        at_work = [worker.cores for worker in self.running if worker.cores]
        return not at_work or (len(at_work) < self.places and sum(at_work) + task.notebook.cores <= cpu_cores())

    def _finish(self, worker: Running, terminal: Terminal) -> None:
        self.running.remove(worker)
        self._clear_strays([other.process.pid for other in self.running])
        row, task = worker.row(), worker.task
        self.rows[task.id] = row
        if row.good:
            kept = Sidecar(task.key, task.ingredients, row.seconds, row.peak_rss_mb, row.finished or "")
            self.results.save_sidecar(task.id, kept)
        for warning in worker.warnings:
            terminal.warn(warning)
        terminal.ended(row, task)

    def _clear_strays(self, spare: Sequence[int]) -> None:
        """What a worker that was killed left behind is our child now, and nobody else's."""
        stop_descendants(grace=2, spare={*spare, *self._not_ours})

    def _report(self, terminal: Terminal, seconds: float) -> None:
        """Write `run.json` and the index, with the rows of other runs for what this run doesn't touch."""
        with filelock.FileLock(self.results.folder / ".lock"):
            known = {row.id: row for row in self.results.rows() if _still_there(row, self.results)} | self.rows
            rows = [known[id_] for id_ in self.notebooks if id_ in known]
            self.results.save_rows(self.setting.profile, self.setting.source, seconds, rows)
            try:
                from labkit.report.index import write_index

                write_index(self.results.folder)
            except Exception as error:  # a page less is no reason to lose hours of work
                terminal.warn(f"no index page: {type(error).__name__}: {error}")

    def _heed_signals(self) -> None:
        """Once: start nothing more and stop what runs, politely. Twice: at once."""
        if self.signals == self._heeded:
            return
        self._heeded = self.signals
        self.waiting.clear()
        for worker in self.running:
            worker.stop(INTERRUPTED, at_once=self.signals > 1)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else runs the same notebooks into the same folder."""
        with contextlib.ExitStack() as held:
            for task in self.waiting:
                lock = self.results.of(task.id, "lock")
                lock.parent.mkdir(parents=True, exist_ok=True)
                try:
                    held.enter_context(filelock.FileLock(lock, timeout=0))
                except filelock.Timeout:
                    raise LabError(
                        f"another run is at {task.id} in {self.results.folder}: "
                        "wait for it, or give this one a folder with --out"
                    ) from None
            yield

    @contextlib.contextmanager
    def _catching_signals(self) -> Iterator[None]:
        def count(*_: object) -> None:
            self.signals += 1

        before = {sig: signal.signal(sig, count) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


def _cached(task: Task) -> Row:
    kept = task.sidecar
    assert kept is not None, "a task without reasons to run has a good result"
    return Row(task.id, task.notebook.title, "cached", kept.seconds, kept.peak_rss_mb, finished=kept.finished)


def _still_there(row: Row, results: Results) -> bool:
    """Whether an earlier row still tells of something: a good one only with its result."""
    return not row.good or results.sidecar(row.id) is not None
