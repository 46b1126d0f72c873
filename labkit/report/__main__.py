"""`python -m labkit.report [DIR]`: build the index page and the report of a results folder, from its files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from labkit.profile import PROFILES, LabError, results_dir
from labkit.report.index import write_index
from labkit.report.publication import print_pdf, write_publication


def main(arguments: list[str] | None = None) -> int:
    """Build the pages and say where they are; 1 if there is no such folder, or the ledger has a fault."""
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
        page = write_publication(folder)
        print(page)
        print(_printed(page))
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _printed(page: Path) -> str:
    """Where the PDF is, or why there is none: the report is complete without it."""
    try:
        pdf = print_pdf(page)
    except LabError as error:
        return f"no PDF: {error}"
    return str(pdf or f"no PDF: no Chromium or Chrome on the PATH; open {page} in a browser and print it")


if __name__ == "__main__":
    sys.exit(main())
