"""A `map` over processes that leaves nothing behind.

Fresh interpreters (`spawn`): a Jupyter kernel has threads, and a forked copy of it may deadlock. Spawning has
two traps of its own. A worker imports the script that started it, which must therefore not start work when
imported: `refuse_while_importing` turns what would be a deadlock into an explanation. And
`concurrent.futures` workers outlive a parent that was killed: here they watch it and leave with it. Starting
costs about 0.2 s.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from labkit.profile import LabError


def refuse_while_importing() -> None:
    """Raise `LabError` in a worker that is importing the very script which started it."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise LabError(
            "this script starts worker processes, which import it again: "
            'put its work under `if __name__ == "__main__":` (notebooks need nothing)'
        )


@contextmanager
def process_map(
    nproc: int, initializer: Callable[..., None] | None = None, initargs: tuple[Any, ...] = ()
) -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]]:
    """Give a `map(function, tasks)` with results in the order of the tasks; with `nproc` 1, the plain one.

    All tasks are submitted at once. `initializer(*initargs)` runs first in every worker. Raises `LabError` if
    a worker dies.
    """
    if nproc == 1:
        if initializer:
            initializer(*initargs)
        yield map
        return
    refuse_while_importing()
    pool = ProcessPoolExecutor(
        nproc, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(initializer, initargs)
    )
    try:
        yield pool.map
    except BrokenProcessPool as error:
        raise LabError(
            "a worker process died (its own message, if any, is above). If it was killed, memory may be "
            "short: close other programs. If this is a script, its work belongs under "
            '`if __name__ == "__main__":`'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if initializer:
        initializer(*initargs)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
