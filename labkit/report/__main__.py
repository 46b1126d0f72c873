"""`python -m labkit.report [DIR]`: build the index page of a results folder again, from its files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from labkit.profile import PROFILES, LabError, results_dir
from labkit.report.index import write_index


def main(arguments: list[str] | None = None) -> int:
    """Build the page and say where it is; 1 if there is no such folder."""
    parser = argparse.ArgumentParser(prog="python -m labkit.report", description=__doc__)
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="DIR",
        default=results_dir("laptop", PROFILES["laptop"].source),
        help="a folder that a run left, such as results/smoke (default: results/laptop)",
    )
    folder = parser.parse_args(arguments).folder
    try:
        if not folder.is_dir():
            raise LabError(f"there is no folder {folder}: run the notebooks first (make run), or name another")
        print(write_index(folder))
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
