"""Runs one notebook with papermill, in a process of its own: `python -m labkit.batch.worker job.json`.

One process a notebook, because papermill changes the folder of the whole process, and because a process can
be tied to the runner's life, timed, measured and stopped with everything below it. What it has to say (the
cell that starts, how it ended) it appends to a file as lines of JSON, which survive whatever becomes of it.

Asked to stop (SIGTERM: time is up, Ctrl-C, or the runner is dead) it interrupts the cell like the Stop
button, so that the notebook is saved with the place where it was; a kernel that doesn't heed that is killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from labkit.batch.outcome import Ending
from labkit.files import write_text_atomic
from labkit.processes import adopt_orphans, die_with_parent, stop_descendants

if TYPE_CHECKING:
    import nbformat
    from papermill.exceptions import PapermillExecutionError

INTERRUPT_SECONDS = 8  # for a cell to heed its interrupt
START_SECONDS = 180  # for a kernel to start on a loaded machine
TRACEBACK_LINES = 15
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Job:
    """What a worker is told: paths, and the parameters to replace."""

    notebook: str
    partial: str  # written while it runs
    executed: str  # where it goes at the end, well or not
    html: str
    log: str  # what the cells print
    events: str  # what the worker says to the runner
    parameters: dict[str, object]
    runner: int  # pid


class Events:
    """The lines a worker leaves for the runner."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.cells_started = 0
        self.stopping = False

    def add(self, **event: object) -> None:
        """Append one line."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def cell_starts(self, cell: nbformat.NotebookNode, **_: object) -> None:
        """Count the cells of the source notebook as they start, leaving out the one papermill puts in."""
        if self.stopping:  # the interrupt found no cell running, or one that swallowed it
            raise RuntimeError("asked to stop")
        if "injected-parameters" not in cell.metadata.get("tags", []):
            self.cells_started += 1
            self.add(cell=self.cells_started)


def main(path: str) -> None:
    """Do the job described in the file at `path`."""
    job = Job(**json.loads(Path(path).read_text(encoding="utf-8")))
    events = Events(job.events)
    signal.signal(signal.SIGTERM, lambda *_: _interrupt(events))
    die_with_parent(parent=job.runner)
    adopt_orphans()
    try:
        ending = execute(job, events)
    finally:
        stop_descendants()
    moved = keep(job)
    events.add(ending=dataclasses.asdict(ending))
    if moved and (warning := export(job)):
        events.add(warning=warning)


def execute(job: Job, events: Events) -> Ending:
    """Run the notebook; once more if not even its kernel started (a port was taken, the machine is busy)."""
    ending = _execute_once(job, events)
    if ending.status != "ok" and events.cells_started == 0:
        ending = _execute_once(job, events)
    return ending


def _execute_once(job: Job, events: Events) -> Ending:
    import papermill
    from nbclient.exceptions import DeadKernelError

    _write_whole(job.partial)
    with open(job.log, "w", encoding="utf-8") as log:
        try:
            done = papermill.execute_notebook(
                _literally(job.notebook),
                _literally(job.partial),
                parameters=job.parameters,
                kernel_name="python3",
                cwd=str(Path(job.notebook).parent),
                progress_bar=False,
                stdout_file=log,
                stderr_file=log,
                start_timeout=START_SECONDS,
                iopub_timeout=60,  # nbclient's 4 s are too few for a loaded machine
                coalesce_streams=True,  # a progress bar would leave thousands of outputs
                on_cell_start=events.cell_starts,
            )
        except papermill.PapermillExecutionError as error:
            if error.ename == "DryRunEnds":  # see labkit.preflight
                _end_here(job.partial)
                return Ending("ok")
            return Ending("failed", _describe(error))
        except DeadKernelError:
            return Ending("killed", "the kernel died")
        except Exception as error:
            return Ending("failed", f"the notebook could not be run: {type(error).__name__}: {error}")
    return check(done)


def _write_whole(path: str) -> None:
    """Have papermill save `path` all or nothing: killed while it saves, it would leave a torn file of a long run."""
    from papermill.iorw import LocalHandler, papermill_io

    class WholeFiles(LocalHandler):
        def write(self, buf: str, path: str) -> None:
            write_text_atomic(Path(path), buf)

    papermill_io.register(path, WholeFiles())  # for paths that begin like this one: for it alone


def check(executed: nbformat.NotebookNode) -> Ending:
    """Whether every cell ran. `sys.exit(0)` in a cell raises nothing, but leaves the cells after it unrun."""
    for cell in executed.cells:
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        if cell.execution_count is None or cell.metadata.papermill.status != "completed":
            return Ending("incomplete", "it stopped before its last cell, as sys.exit() does")
    return Ending("ok")


def _end_here(path: str) -> None:
    """Leave of a notebook that ended itself what it ran, without the signs of an error."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    ran = []
    for cell in notebook.cells:
        if "papermill-error-cell-tag" in cell.metadata.get("tags", []):
            continue
        ran.append(cell)
        if cell.get("outputs") and cell.outputs[-1].output_type == "error":
            said = cell.outputs.pop().evalue
            cell.outputs.append(nbformat.v4.new_output("stream", text=said + "\n"))
            break
    notebook.cells = ran
    write_text_atomic(Path(path), nbformat.writes(notebook))


def keep(job: Job) -> bool:
    """Move the executed notebook, however far it came, to its place; False if there is no whole file."""
    try:
        json.loads(Path(job.partial).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        Path(job.partial).unlink(missing_ok=True)
        return False
    os.replace(job.partial, job.executed)
    return True


def export(job: Job) -> str:
    """Make the page of the executed notebook. A fault here is only a warning, which is returned."""
    try:
        from labkit.report.html import export_html

        export_html(Path(job.executed), Path(job.html))
    except Exception as error:
        return f"no HTML page of {Path(job.executed).name}: {type(error).__name__}: {error}"
    return ""


def _literally(path: str) -> str:
    """Papermill fills in `{names}` in paths."""
    return path.replace("{", "{{").replace("}", "}}")


def _describe(error: PapermillExecutionError) -> str:
    """What happened in one line, then the end of the traceback, without colours."""
    lines = [line for part in error.traceback for line in _ANSI.sub("", part).splitlines()]
    return "\n".join([f"{error.ename}: {error.evalue}".strip(), *lines[-TRACEBACK_LINES:]])


def _interrupt(events: Events) -> None:
    """Interrupt the cell that runs. Asked once more, or not heeded in time, kill everything below."""
    kernels = psutil.Process().children()
    if not events.cells_started or not kernels:
        sys.exit(128 + signal.SIGTERM)
    events.stopping = True
    signal.signal(signal.SIGTERM, _kill)
    if hasattr(signal, "alarm"):  # not on Windows, where the runner's own limit comes later
        signal.signal(signal.SIGALRM, _kill)
        signal.alarm(INTERRUPT_SECONDS)
    for kernel in kernels:
        with contextlib.suppress(psutil.NoSuchProcess):
            kernel.send_signal(signal.SIGINT)


def _kill(*_: object) -> None:
    stop_descendants(grace=1)


if __name__ == "__main__":
    main(sys.argv[1])
