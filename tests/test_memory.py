"""Steps that spend their time on page faults show in no result, only in minutes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from labkit.profile import ROOT

FAULTS = """
import resource, numpy
from labkit.memory import keep_freed_memory
{first}
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    numpy.ones(5 << 20)  # 40 MB, freed at once
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc")
def test_a_block_that_was_freed_is_used_again():
    """Else each of the 20 blocks is asked for page by page."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment["NUMPY_MADVISE_HUGEPAGE"] = "0"  # pages of 2 MB would be few faults either way
    faults = [
        int(subprocess.check_output([sys.executable, "-c", FAULTS.format(first=first)], env=environment, cwd=ROOT))
        for first in ("", "keep_freed_memory()")
    ]
    assert faults[0] > 5 * faults[1]
