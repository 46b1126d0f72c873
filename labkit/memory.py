"""Freed memory is kept for the next training step.

    keep_freed_memory()                                            # `resolve` does, so every notebook has

glibc, the C library of most Linux systems, hands big blocks back to the system as soon as they are freed, and in the
next step asks for them again, which then come page by page: a good part of the time of a small model's step on a CPU.
What it costs: a process that was once large stays so to its end. Processes that `training.launch` starts are told by
environment variables (`ALLOCATOR`), since their first allocations come before any line of Python.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # from malloc.h


def keep_freed_memory() -> None:
    """For this process, from now on; where there is no glibc, nothing happens."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "mallopt"):
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_MMAP_THRESHOLD, 2**31 - 1)
        libc.mallopt(_TOP_PAD, 2**28)
