"""What a run leaves for its readers: `Record` in the notebooks, then the exported pages and the index.

Everything here reads and writes results files; nothing here knows a model.
"""

from labkit.report.record import Record

__all__ = ["Record"]
