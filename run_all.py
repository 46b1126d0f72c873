#!/usr/bin/env python
"""Run all notebooks, or some: `python run_all.py --help`. The work is done by `labkit.batch`."""

import sys

from labkit.batch.cli import main

if __name__ == "__main__":
    sys.exit(main())
