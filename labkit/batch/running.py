"""One running notebook as the runner sees it: start its worker, watch it, stop it, learn how it ended."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from labkit.batch.decide import Task
from labkit.batch.outcome import Ending, Row, classify
from labkit.batch.results import Results
from labkit.batch.worker import Job, export, keep
from labkit.processes import descendants, stop_tree
from labkit.profile import ROOT

SAMPLE_SECONDS = 0.5  # between two looks at memory
STOP_SECONDS = 25  # a worker has to tidy up once told to stop, before everything of it is killed


class Running:
    """A worker process with what is known of it."""

    def __init__(
        self, task: Task, results: Results, base: Path, source: str, threads: int, limit_seconds: float
    ) -> None:
        self.task = task
        self.limit_seconds = limit_seconds
        self.peak_rss_mb = 0.0
        self.cell = 0  # the one that runs, counted from 1
        self.stopped: Ending | None = None
        self.warnings: list[str] = []
        self._reply: Ending | None = None
        self._stop_by = float("inf")
        self._next_sample = 0.0
        self._started = time.monotonic()
        self._folder = tempfile.TemporaryDirectory(prefix="labkit-")
        folder = Path(self._folder.name)
        self._events, self._stderr = folder / "events.jsonl", folder / "stderr.txt"
        self._offset = 0
        self._job = job = Job(
            notebook=str(task.notebook.path),
            partial=str(results.of(task.id, "partial.ipynb")),
            executed=str(results.of(task.id, "ipynb")),
            html=str(results.of(task.id, "html")),
            log=str(results.of(task.id, "log")),
            events=str(self._events),
            parameters=task.replaced,
            runner=os.getpid(),
        )
        for path in (job.partial, job.executed, job.html):
            Path(path).unlink(missing_ok=True)
        (folder / "job.json").write_text(json.dumps(dataclasses.asdict(job)), encoding="utf-8")
        with self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "labkit.batch.worker", str(folder / "job.json")],
                cwd=ROOT,
                env=environment(os.environ, base, source, threads),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C in the terminal reaches the runner alone, which decides
            )

    @property
    def seconds(self) -> float:
        """Wall time since it started."""
        return time.monotonic() - self._started

    @property
    def cores(self) -> int:
        """How many it keeps busy: none once its last cell has ended, and only its page is written."""
        return 0 if self._reply else self.task.notebook.cores

    def watch(self) -> bool:
        """Look at it once: memory, cell, time. False when it has ended."""
        ended = self.process.poll() is not None
        self._read_events()
        now = time.monotonic()
        if not ended and now >= self._next_sample:
            self._next_sample = now + SAMPLE_SECONDS
            self.peak_rss_mb = max(self.peak_rss_mb, rss_mb(self.process.pid))
        if not ended and not self.stopped and self.seconds > self.limit_seconds:
            self.stop(Ending("timeout", f"stopped after its limit of {self.limit_seconds / 60:g} minutes"))
        if not ended and now > self._stop_by:
            stop_tree(self.process.pid, grace=1)
        return not ended

    def stop(self, why: Ending, at_once: bool = False) -> None:
        """Tell the worker to interrupt its notebook and tidy up; `at_once` kills it and all below it."""
        self.stopped = self.stopped or why
        self._stop_by = min(self._stop_by, time.monotonic() + STOP_SECONDS)
        if at_once:
            stop_tree(self.process.pid, grace=0)
        else:
            self.process.send_signal(signal.SIGTERM)

    def row(self) -> Row:
        """What became of it, once `watch` said that it ended."""
        if not self._reply and keep(self._job):  # the worker could not do it any more
            self.warnings += filter(None, [export(self._job)])
        said = self._stderr.read_text(encoding="utf-8", errors="replace")[-2000:]
        ending = classify(self._reply, self.stopped, self.process.returncode, said, self.peak_rss_mb)
        self._folder.cleanup()
        bad = ending.status != "ok"
        return Row(
            id=self.task.id,
            title=self.task.notebook.title,
            status=ending.status,
            seconds=round(self.seconds, 1),
            peak_rss_mb=round(self.peak_rss_mb, 1),
            cell=self.cell or None if bad else None,
            heading=self.task.notebook.heading_above(self.cell) if bad else "",
            error=ending.error,
            finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        )

    def _read_events(self) -> None:
        if not self._events.exists():
            return
        with self._events.open(encoding="utf-8") as file:
            file.seek(self._offset)
            for line in iter(file.readline, ""):
                if not line.endswith("\n"):
                    break  # it is still being written
                self._offset = file.tell()
                event = json.loads(line)
                self.cell = event.get("cell", self.cell)
                self.warnings += [event["warning"]] if "warning" in event else []
                self._reply = Ending(**event["ending"]) if "ending" in event else self._reply


def environment(inherited: Mapping[str, str], base: Path, source: str, threads: int) -> dict[str, str]:
    """A notebook's environment: quiet, with its share of the cores, off the network unless meant to use it."""
    env = {
        **inherited,
        # The notebook imports the very labkit whose files its key hashes.
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), inherited.get("PYTHONPATH")])),
        "LABKIT_RESULTS": str(base),
        "LABKIT_BATCH": "1",
        "OMP_NUM_THREADS": str(threads),
        "GOMP_SPINCOUNT": "10000",  # see labkit.training.launch.SHORT_SPINS: two notebooks may share the cores
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    if source != "hub":
        env["HF_HUB_OFFLINE"] = "1"
    if not env.get("HF_ENDPOINT"):  # set but empty breaks every request
        env.pop("HF_ENDPOINT", None)
    return env


def rss_mb(pid: int) -> float:
    """Resident memory of a process and everything below it; pages they share count once for each."""
    total = 0
    try:
        processes = [psutil.Process(pid), *descendants(pid)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.Error:  # gone since it was listed, or not ours to look at
            continue
    return total / 1e6
