"""All benchmarks, one after the other; each also runs alone.

    python -m benchmarks [--only speed,generation]

One that fails doesn't keep the others from running.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from labkit.profile import ROOT

# Cheap ones first: who interrupts after a minute has seen most of the rows.
ALL = (
    "scaling",
    "rouge",
    "summarising",
    "speed",
    "generation",
    "hellaswag",
    "loader",
    "no_sync",
    "recipes",
    "reinforce",
    "ner",
    "prompt_tuning",
    "tuning",
    "continual",
)


def main() -> int:
    """Run each in a process of its own (own threads, own memory); returns how many failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(ALL), help="some of them, separated by commas")
    names = parser.parse_args().only.split(",")
    if unknown := set(names) - set(ALL):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    failed = []
    for name in names:
        began = time.monotonic()
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT).returncode:
            failed.append(name)
        print(f"{name}: {time.monotonic() - began:.0f} s\n", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    raise SystemExit(main())
