"""Run a student's function for a few seconds at most.

The call runs in a thread of its own. A signal (`SIGALRM`) would work in the main thread of a Unix process
only, and a child process can't be sent a function that was typed into a cell. When time is up an exception
is raised *inside* the thread, which ends any loop written in Python. A single long call into C can't be
ended: the thread is then left behind (as a daemon, so it doesn't keep the kernel alive) and the answer says
so.
"""

from __future__ import annotations

import contextvars
import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class _Stop(BaseException):
    """Raised inside a thread whose time is up; not an `Exception`, so `except Exception` lets it pass."""


class TookTooLong(Exception):
    """The call was not finished in time; `stuck` if it could not be ended either."""

    def __init__(self, seconds: float, stuck: bool) -> None:
        super().__init__(f"not finished after {seconds:g} s")
        self.seconds, self.stuck = seconds, stuck


@dataclass
class Outcome:
    """What a call came to: its value, or the exception that ended it."""

    value: Any = None
    error: BaseException | None = None


def call_within(seconds: float, function: Callable[..., Any], *args: Any) -> Outcome:
    """Call `function(*args)`; never raises what the function raises, not even `SystemExit`."""
    outcome = Outcome()

    def work() -> None:
        try:
            outcome.value = function(*args)
        except BaseException as error:
            outcome.error = error

    # The copied context lets what the function prints appear under the cell that called it.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
    thread.start()
    try:
        thread.join(seconds)
        late = thread.is_alive()
    finally:  # also when the reader presses Stop
        stuck = not _end(thread)
    return Outcome(error=TookTooLong(seconds, stuck)) if late else outcome


def _end(thread: threading.Thread) -> bool:
    """Whether the thread has ended, after asking it a few times (a bare `except:` swallows one request)."""
    for _ in range(5):
        if not thread.is_alive():
            break
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_Stop))
        thread.join(0.1)
    return not thread.is_alive()
